"""verl's part of a vLLM worker, which loads the weights that the actor sends into vLLM's model."""

import contextlib
import types
from typing import Any

import torch

from verl_vision_r1.preflight.config_check.parallel import ROLLOUT
from verl_vision_r1.preflight.doctor.check import FailedError, SkippedError
from verl_vision_r1.preflight.rehearse.rollout_engine.checks import message
from verl_vision_r1.preflight.rehearse.rollout_engine.vllm import engine_config
from verl_vision_r1.preflight.rehearse.weight_transfer.model import build, in_worker


def make_receiver(config: Any) -> Any:
    """The receiver with the run's model in it.

    Args:
        config: The configuration of the run. Where it has LoRA, vLLM wraps the layers that can have adapters.

    Raises:
        FailedError: vLLM cannot build the model.
        SkippedError: vLLM refuses the run, which is the verdict of the step `rollout engine`.
    """
    from omegaconf import OmegaConf

    OmegaConf.resolve(config)
    try:
        made = engine_config(config)
    except (Exception, SystemExit) as error:
        raise SkippedError(f"vLLM refuses the run before it builds the model: {message(error)}") from error
    try:
        model = build(made)
    except Exception as error:
        size = int(config.actor_rollout_ref.rollout.tensor_model_parallel_size)
        raise FailedError(f"vLLM cannot build the model with TP {size}: {message(error)}", _smaller(config)) from error
    return _receiver(model, made)


def _receiver(model: Any, made: Any) -> Any:
    from verl.utils.vllm.patch import patch_vllm_moe_model_weight_loader
    from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

    receiver: Any = object.__new__(vLLMColocateWorkerExtension)
    receiver.lora_manager = _add_adapters(receiver, model, made) if made.lora_config else None
    receiver.model_runner = types.SimpleNamespace(model=model, vllm_config=made, drafter=None)
    patch_vllm_moe_model_weight_loader(model)
    return receiver


def _smaller(config: Any) -> str:
    """The next smaller tensor-parallel size with which vLLM builds the model; empty if there is none."""
    rollout = config.actor_rollout_ref.rollout
    for size in range(int(rollout.tensor_model_parallel_size) - 1, 0, -1):
        rollout.tensor_model_parallel_size = size
        with contextlib.suppress(Exception):
            build(engine_config(config))
            return f"{ROLLOUT}.tensor_model_parallel_size={size}"
    return ""


def _add_adapters(receiver: Any, model: Any, made: Any) -> Any:
    """Wrap the layers that can have adapters, as vLLM's worker does after it has loaded its model.

    Raises:
        SkippedError: The model has experts, whose adapters need a GPU's kernels.
    """
    from verl.utils.vllm import VLLMHijack
    from vllm.lora.utils import is_moe_model
    from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

    if is_moe_model(model):
        raise SkippedError("vLLM on a CPU has no adapters for experts: their names and shapes are not checked")
    VLLMHijack.hijack()
    manager = LRUCacheWorkerLoRAManager(made, torch.device("meta"), model.embedding_modules)
    with in_worker(made):
        manager.create_lora_manager(model, made)
    receiver.add_lora = manager.add_adapter
    return manager
