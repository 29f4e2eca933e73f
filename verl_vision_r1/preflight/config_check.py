"""Checks of configuration and data before Ray starts: an error ends the run and names the key.

Every recipe lists `Preflight` under `hydra.callbacks`. Hydra turns an exception of a callback into a warning, so an
error is raised as `SystemExit`.
"""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from verl_vision_r1 import cpu, supported

if TYPE_CHECKING:
    from verl_vision_r1.settings import Settings


class Preflight(Callback):
    """Checks the composed configuration of a training run."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the run. Hydra calls this right before verl's `main`."""
        import verl

        try:
            supported.require(verl.__version__)
            check(config)
        except (ValueError, FileNotFoundError, supported.UnsupportedError) as error:
            raise SystemExit(f"verl-vision-r1: {error}") from error


def check(config: DictConfig) -> None:
    """Find the errors that verl reports late or not at all.

    Raises:
        ValueError, FileNotFoundError: The message has the key, the expected value and the value found.
    """
    settings = check_keys(config)
    _check_model(config.actor_rollout_ref.model)
    _check_attention(config)
    check_samples(config, settings)


def check_samples(config: DictConfig, settings: "Settings", *, missing_ok: bool = False) -> int:
    """Check the files of samples, and that an epoch has a step.

    Args:
        config: The configuration of the run.
        settings: Its settings.
        missing_ok: Whether a file may be missing, because the run starts on another machine.

    Returns:
        The number of samples checked.
    """
    checked = 0
    for key in ("train_files", "val_files"):
        files = config.data[key]
        paths = [files] if isinstance(files, str) else list(files)
        local = [Path(path).expanduser() for path in paths if "://" not in path]
        local = [path for path in local if path.exists() or not missing_ok]
        samples = sum(_check_samples(f"data.{key}", path, settings) for path in local)
        if key == "train_files" and len(local) == len(paths):
            _check_batch(config, samples)
        checked += samples
    return checked


def check_keys(config: DictConfig) -> "Settings":
    """The checks that need neither the model nor the samples.

    Returns:
        The settings of the key `vision_r1`.

    Raises:
        ValueError: The message has the key, the expected value and the value found.
    """
    from verl_vision_r1.settings import Settings

    settings = Settings.from_config(OmegaConf.to_container(config.vision_r1, resolve=True))  # type: ignore[arg-type]
    _check_trainer(config)
    _check_advantage(config, settings.preset.criteria)
    _check_frozen(config)
    _check_batched_tokens(config.actor_rollout_ref.rollout)
    _check_packages()
    return settings


def _check_samples(key: str, path: Path, settings: "Settings") -> int:
    from verl_vision_r1.data.parquet import check_rows

    try:
        return check_rows(path, settings.preset.tasks, settings.prompts)
    except FileNotFoundError as error:
        if path.exists():
            raise
        raise FileNotFoundError(
            f"{key}: expected an existing file, got {path}; correct the path, or run vision-r1 prepare"
        ) from error


def _check_trainer(config: DictConfig) -> None:
    if not config.trainer.use_v1:
        raise ValueError(
            "trainer.use_v1: expected True, got False; verl's older trainer does not pass the step to the reward"
        )
    for key in ("custom_reward_function", "reward_model"):
        legacy = OmegaConf.select(config, f"{key}.path") or OmegaConf.select(config, f"{key}.reward_manager")
        if legacy:
            raise ValueError(f"{key}: verl 0.9 ignores this key; expected reward.{key}, got {legacy!r}")
    if config.trainer.device == "cpu" and not cpu.requested():
        raise ValueError(
            f"VERL_PLATFORM: expected cpu for trainer.device=cpu, got {os.environ.get('VERL_PLATFORM')!r};"
            " start the run with `VERL_PLATFORM=cpu python -m verl.trainer.main_ppo ...`"
        )


def _check_advantage(config: DictConfig, criteria: tuple[str, ...]) -> None:
    estimator, keys = config.algorithm.adv_estimator, list(config.algorithm.get("gdpo_reward_keys") or ())
    if estimator == "gdpo":
        raise ValueError(
            "algorithm.adv_estimator: expected vision_r1_gdpo, got 'gdpo', which verl's V1 trainer does not support"
        )
    if estimator != "vision_r1_gdpo":
        return
    if not str(config.trainer.v1.trainer_mode).startswith("vision_r1_"):
        raise ValueError(
            "trainer.v1.trainer_mode: expected a mode that begins with vision_r1_ for"
            f" algorithm.adv_estimator=vision_r1_gdpo, got {config.trainer.v1.trainer_mode!r}"
        )
    known = {name for criterion in criteria for name in (criterion, f"{criterion}_raw")}
    if not keys or not set(keys) <= known:
        raise ValueError(f"algorithm.gdpo_reward_keys: expected some of {', '.join(criteria)}, got {keys}")


def _check_frozen(config: DictConfig) -> None:
    model, actor = config.actor_rollout_ref.model, config.actor_rollout_ref.actor
    if not actor.get("freeze_vision_tower"):
        return
    if "verl_vision_r1.training.freeze" not in str(model.get("external_lib") or ""):
        raise ValueError(
            "actor_rollout_ref.actor.freeze_vision_tower: verl 0.9 declares this key but never reads it; expected"
            " vision_r1/freeze=vision_tower, got the key alone"
        )
    key = "megatron.override_transformer_config.freeze_vision_model"
    if config.model_engine == "megatron" and not OmegaConf.select(actor, key):
        raise ValueError(
            f"vision_r1/freeze: expected vision_r1/engine=megatron, which sets actor.{key}, got model_engine=megatron"
            " alone"
        )


def _check_batched_tokens(rollout: DictConfig) -> None:
    """Check that a sequence fits into a batch: verl 0.9 would raise the limit, but fails at its own frozen field."""
    tokens, longest = rollout.max_num_batched_tokens, rollout.max_model_len
    if rollout.name == "vllm" and not rollout.enable_chunked_prefill and longest and tokens < longest:
        raise ValueError(
            "actor_rollout_ref.rollout.max_num_batched_tokens: expected at least max_model_len without"
            f" enable_chunked_prefill, {longest}, got {tokens}; set it to {longest}"
        )


def _check_packages() -> None:
    """Packages that verl imports for images but installs only with the extra of a rollout engine."""
    for module in ("transfer_queue", "qwen_vl_utils"):
        if importlib.util.find_spec(module) is None:
            raise ValueError(
                f"expected the package {module}, got none; verl's extras install it: pip install 'verl[vllm]'"
            )


def _check_attention(config: DictConfig) -> None:
    """The package for the attention that verl requests of transformers. Megatron has its own attention."""
    import torch

    if config.trainer.device != "cuda" or config.model_engine == "megatron" or not torch.cuda.is_available():
        return
    attention = OmegaConf.select(config, "actor_rollout_ref.model.override_config.attn_implementation")
    packages = ("flash_attn", "kernels")  # transformers falls back to the second.
    if attention in (None, "flash_attention_2") and not any(importlib.util.find_spec(name) for name in packages):
        raise ValueError(
            "actor_rollout_ref.model.override_config.attn_implementation: expected the package flash_attn for"
            " flash_attention_2, verl's default, got none; install the build that verl's extra fsdp names, or add"
            " +actor_rollout_ref.model.override_config.attn_implementation=sdpa"
            " actor_rollout_ref.model.use_remove_padding=false actor_rollout_ref.model.use_fused_kernels=false"
        )


def _check_batch(config: DictConfig, samples: int) -> None:
    """Check that an epoch has a step: verl trains on whole batches only."""
    limit, batch = config.data.get("train_max_samples", -1), config.data.train_batch_size
    samples = min(samples, limit) if limit > 0 else samples
    if samples < batch and not config.trainer.val_only:
        raise ValueError(
            f"data.train_batch_size: expected at most {samples}, the number of training samples, got {batch}; lower it"
            " and actor_rollout_ref.actor.ppo_mini_batch_size, and raise trainer.total_epochs"
        )


def _check_model(model: DictConfig) -> None:
    """The model's configuration can be read from a folder, the cache or the hub."""
    if "://" in model.path:
        return
    from verl_vision_r1.reward_manager.manager import load_model_config

    try:
        load_model_config(model)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise FileNotFoundError(
            f"actor_rollout_ref.model.path: expected a model folder or a name on the hub, got {model.path!r}: {first}"
        ) from error
