"""Workarounds for bugs in verl, each until a release fixes it.

Each links its upstream issue and says when to remove it. For each, a test fails once verl no longer needs it.
"""

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import wrapt


def apply() -> None:
    """Apply all workarounds, once per process, before verl's workers are imported."""
    _patch_position_ids_of_equal_length()
    for family in ("qwen2_vl", "glm4v"):
        wrapt.register_post_import_hook(_patch_vision_output, f"verl.models.transformers.{family}")
    wrapt.register_post_import_hook(_patch_glm_flops, "verl.utils.flops_counter")
    wrapt.register_post_import_hook(_patch_head_of_fused_kernels, "verl.utils.fsdp_utils")
    wrapt.register_post_import_hook(_patch_import_of_trl, "verl.models.transformers.monkey_patch")


def _patch_position_ids_of_equal_length() -> None:
    """https://github.com/verl-project/verl/issues/7899, verl 0.9.0 and 0.9.1, any vision-language model, trainer V1.

    If all sequences of a rank's batch have the same length, torch treats the first axis of the (C, L) M-RoPE ids as
    the ragged one, but verl's `maybe_fix_3d_position_ids` marks the second: the next `unbind` raises. It can happen in
    any run, after hours.

    Remove when https://github.com/verl-project/verl/pull/7901 or an equivalent fix is released.
    """
    from verl.utils import tensordict_utils

    tensordict_utils.maybe_fix_3d_position_ids = fix_position_ids


def fix_position_ids(data: Any) -> None:
    """Make the nested `position_ids` of a batch ragged along the sequence, whatever axis torch chose.

    Args:
        data: A TensorDict. Its `position_ids`, if nested, contain B samples of shape (C, L_b), C = 3 or 4.
    """
    ids = data["position_ids"] if "position_ids" in data.keys() else None  # noqa: SIM118, a TensorDict is no dict
    if ids is None or not ids.is_nested or ids.dim() != 3:
        return
    values, offsets = ids.values(), ids.offsets()
    samples = len(offsets) - 1
    channels = values.shape[0] // samples
    by_channel = channels >= 3 and torch.equal(offsets, torch.arange(samples + 1, device=offsets.device) * channels)
    if not by_channel:
        ids._ragged_idx = 2  # Already ragged along the sequence; pickling loses the index of the axis.
        return
    length = values.shape[1]
    joined = values.reshape(samples, channels, length).transpose(0, 1).reshape(channels, samples * length)
    ends = torch.arange(samples + 1, device=offsets.device) * length
    data["position_ids"] = torch.nested.nested_tensor_from_jagged(joined, offsets=ends, jagged_dim=2)


def _patch_vision_output(module: ModuleType) -> None:
    """https://github.com/verl-project/verl/issues/6814, verl 0.9.0 and 0.9.1 with transformers 5.

    There the vision tower returns an output object, where verl expects a tensor. GLM-4.1V does not train at all.
    Qwen2-VL and Qwen2.5-VL fail at a micro-batch without an image, which can occur in any run, after hours, when verl
    pads a batch that lost a prompt (`trainer/ppo/padding_utils.py`).

    Fixed on verl's main branch (seen at commit 0c63411). Remove when the first release includes the fix.
    """
    module._get_input_embeds = with_tensor_of_the_vision_tower(module._get_input_embeds)  # type: ignore[attr-defined]


def with_tensor_of_the_vision_tower(embed: Callable[..., Any]) -> Callable[..., Any]:
    """Make the vision tower return only the tensor while `embed` runs.

    Args:
        embed: A function whose first argument is the model, and which calls the model's `visual`.
    """

    def patched(model: Any, *arguments: Any, **options: Any) -> Any:
        with model.visual.register_forward_hook(lambda tower, given, output: getattr(output, "pooler_output", output)):
            return embed(model, *arguments, **options)

    return patched


def _patch_glm_flops(module: ModuleType) -> None:
    """https://github.com/verl-project/verl/issues/6814, verl 0.9.0 and 0.9.1 with transformers 5.

    verl's FLOPs counter reads sizes from GLM-4.1V's configuration that are in its text configuration.

    Remove when a release reads the text configuration.
    """
    count = module.ESTIMATE_FUNC["glm4v"]
    module.ESTIMATE_FUNC["glm4v"] = lambda config, *arguments: count(config.get_text_config(), *arguments)


def _patch_head_of_fused_kernels(module: ModuleType) -> None:
    """https://github.com/verl-project/verl/issues/7520, verl 0.9.0 and 0.9.1, FSDP2 with fused kernels.

    Since https://github.com/verl-project/verl/pull/5516, an output head that is not tied to the embedding is an FSDP2
    unit of its own. The fused kernels read its weight without calling it, so it is still sharded: Qwen2-VL-7B and
    Qwen2.5-VL from 7B on fail in the first forward pass ("got mixed torch.Tensor and DTensor").

    Remove when https://github.com/verl-project/verl/pull/7427 or an equivalent fix is released.
    """
    module._select_fsdp2_wrap_targets = without_fused_head(  # type: ignore[attr-defined]
        module._select_fsdp2_wrap_targets
    )


def without_fused_head(select: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Leave the output head in the root unit, which is gathered during the whole forward pass, if kernels are fused.

    Args:
        select: verl's function from a model and the classes of its layers to the modules that become FSDP2 units.
    """

    def patched(model: Any, layers: Any) -> list[Any]:
        units = select(model, layers)
        if not hasattr(model, "_verl_fused_kernels_backend"):  # verl sets it where it replaces the forward function.
            return units
        head = model.get_output_embeddings()
        return [unit for unit in units if unit is not head]

    return patched


def _patch_import_of_trl(module: ModuleType) -> None:
    """https://github.com/verl-project/verl/issues/5690, verl 0.9.0 and 0.9.1 with TRL 1.13 or later.

    For every FSDP model verl imports a class of TRL if Python finds a module `trl`, even an empty folder of that name
    in the working directory. Only a critic with TRL's value head needs the class. TRL removed it in
    https://github.com/huggingface/trl/pull/7020, and every run ends with an ImportError.

    Remove when a release of verl starts with a TRL that lacks the class.
    """
    module.is_trl_available = has_value_head  # type: ignore[attr-defined]


@functools.cache
def has_value_head() -> bool:
    """Whether verl's import of the class from TRL succeeds."""
    for name in ("trl.experimental.ppo", "trl"):
        try:
            return bool(importlib.import_module(name).AutoModelForCausalLMWithValueHead)
        except (ImportError, AttributeError):
            continue
        except Exception:  # TRL raises a RuntimeError if one of its modules cannot be imported.
            return False
    return False
