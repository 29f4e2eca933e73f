"""Checks of the machine: the platform, and packages that verl imports later."""

import importlib.util
import os

from omegaconf import DictConfig, OmegaConf

from verl_vision_r1 import cpu


def check_platform(config: DictConfig) -> None:
    """A run on the CPU needs the variable.

    Raises:
        ValueError: It is not set.
    """
    if config.trainer.device == "cpu" and not cpu.requested():
        raise ValueError(
            f"VERL_PLATFORM: expected cpu for trainer.device=cpu, got {os.environ.get('VERL_PLATFORM')!r};"
            " start the run with `VERL_PLATFORM=cpu python -m verl.trainer.main_ppo ...`"
        )


def check_packages() -> None:
    """Packages that verl imports for images but installs only with the extra of a rollout engine.

    Raises:
        ValueError: One is missing.
    """
    for module in ("transfer_queue", "qwen_vl_utils"):
        if importlib.util.find_spec(module) is None:
            raise ValueError(
                f"expected the package {module}, got none; verl's extras install it: pip install 'verl[vllm]'"
            )


def check_attention(config: DictConfig) -> None:
    """The package for the attention that verl requests of transformers. Megatron has its own attention.

    Raises:
        ValueError: It is missing.
    """
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
