"""A model without its weights: its configuration and its numbers of parameters."""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from verl_vision_r1.preflight.doctor.check import one_line


@dataclass(frozen=True)
class Model:
    """The properties of a model that determine memory and time.

    Attributes:
        config: Its Hugging Face configuration.
        source: Where the configuration is from.
        parameters: Number of parameters, including adapters.
        trained: Number of trainable parameters.
        experts: Number of parameters in the experts of a mixture.
        vision_trained: Whether layers of the vision tower are trained.
        vision_recorded: Whether autograd records the vision tower's passes if gradient checkpointing or LoRA is on.
        largest_layer: Number of parameters in the largest layer that FSDP gathers at once.
        outside_layers: Number of parameters outside of these layers: embeddings, head, connector.
    """

    config: Any
    source: str
    parameters: int
    trained: int
    experts: int
    vision_trained: bool
    vision_recorded: bool
    largest_layer: int
    outside_layers: int

    @functools.cached_property
    def text(self) -> Any:
        """The configuration of the language model."""
        return self.config.get_text_config()

    @property
    def head_size(self) -> int:
        """Size of one attention head."""
        return int(getattr(self.text, "head_dim", None) or self.text.hidden_size // self.text.num_attention_heads)

    @property
    def side(self) -> int:
        """Side of a visual token in pixels."""
        vision = self.config.vision_config
        return int(vision.patch_size * vision.spatial_merge_size)

    @property
    def patches_of_token(self) -> int:
        """Number of patches that the vision tower merges into one token."""
        return int(self.config.vision_config.spatial_merge_size**2)


def read_config(model: Mapping[str, Any], file: Path | None = None) -> tuple[Any, str]:
    """The Hugging Face configuration of a run's model, without network access.

    Args:
        model: `actor_rollout_ref.model` of the run.
        file: A `config.json` or a folder with one, used instead.

    Returns:
        The configuration, and where it is from: a path, the hub's cache, or the published sizes in this package.

    Raises:
        ValueError: It is not found, or is not that of a vision-language model.
    """
    from transformers import AutoConfig

    name, trust = str(file or model["path"]), bool(model.get("trust_remote_code", False))
    try:
        found = AutoConfig.from_pretrained(name, local_files_only=True, trust_remote_code=trust)
        config, source = found, name if Path(name).exists() else f"{name}, in the hub's cache"
    except (OSError, ValueError) as error:
        if file is not None:
            raise ValueError(
                f"--model-config: expected the config.json of a model, got {file}: {one_line(error)}"
            ) from error
        config, source = _published(name)
    if not hasattr(config, "vision_config"):
        raise ValueError(f"{source}: expected a vision-language model, got {config.model_type}")
    return config, source


def published_names() -> tuple[str, ...]:
    """The models whose published sizes come with the package."""
    return tuple(_sizes()["models"])


def _sizes() -> dict[str, Any]:
    text = resources.files("verl_vision_r1.preflight.estimate").joinpath("sizes.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _published(name: str) -> tuple[Any, str]:
    from transformers import AutoConfig

    published = _sizes()
    models: dict[str, dict[str, Any]] = published["models"]
    plain = re.sub(r"-(Instruct|Thinking)$", "", name.rstrip("/").rpartition("/")[2])
    if plain not in models:
        raise ValueError(
            f"actor_rollout_ref.model.path: expected a folder, a model in the hub's cache, or one of"
            f" {', '.join(models)}, got {name!r}; pass its config.json with --model-config FILE"
        )
    sizes = models[plain]
    sizes["text_config"] |= published["families"][sizes["model_type"]]
    return AutoConfig.for_model(**sizes), f"{plain}, as published"


def measure(config: Any, source: str, actor: Mapping[str, Any]) -> Model:
    """Build the model on torch's `meta` device, which allocates no memory, and count its parameters.

    Args:
        config: The Hugging Face configuration.
        source: Where it is from.
        actor: `actor_rollout_ref` of the run, with the frozen parts and the adapters.

    Raises:
        ValueError: transformers has no vision-language model with this configuration.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        module = AutoModelForImageTextToText.from_config(config)
    layers = [_count(part) for part in module.modules() if type(part).__name__ in _layer_names(module)]
    _freeze(module, str(actor["model"].get("external_lib") or ""))
    module = _with_adapters(module, actor["model"])
    trained = [(name, part.numel()) for name, part in module.named_parameters() if part.requires_grad]
    return Model(
        config,
        source,
        parameters=_count(module),
        trained=sum(count for _, count in trained),
        experts=sum(part.numel() for name, part in module.named_parameters() if ".experts." in name),
        vision_trained=any("visual." in name and ".blocks." in name for name, _ in trained),
        vision_recorded=_input_requires_grad(module),
        largest_layer=max(layers),
        outside_layers=_count(module) - sum(layers),
    )


def _input_requires_grad(module: Any) -> bool:
    """Whether `enable_input_require_grads` of transformers 5 includes the vision tower, frozen or not.

    It is called with gradient checkpointing and with LoRA, and hooks the input embeddings of every part of the model.
    Those of Qwen2-VL's and Qwen2.5-VL's towers are the patches; the other families' towers have none that it finds.
    """
    tower = next(part for name, part in module.named_modules() if name.endswith("visual"))
    try:
        return tower.get_input_embeddings() is not None
    except NotImplementedError:
        return False


def _count(module: Any) -> int:
    return sum(part.numel() for part in module.parameters())


def _layer_names(module: Any) -> set[str]:
    """The classes of the layers that verl's FSDP engine gathers one at a time."""
    return set(module._no_split_modules or ())


def _freeze(module: Any, library: str) -> None:
    if "verl_vision_r1.training.freeze_vision" in library:
        from verl_vision_r1.training.frozen import freeze

        freeze(module, connector=library.endswith("freeze_vision"))


def _with_adapters(module: Any, model: Mapping[str, Any]) -> Any:
    if int(model.get("lora_rank") or 0) <= 0:
        return module
    import torch
    from peft import LoraConfig, get_peft_model
    from verl.utils.py_functional import convert_to_regular_types

    targets = {key: convert_to_regular_types(model.get(key)) for key in ("target_modules", "exclude_modules")}
    with torch.device("meta"):  # After the imports, which compute with real tensors.
        return get_peft_model(module, LoraConfig(r=int(model["lora_rank"]), **targets))
