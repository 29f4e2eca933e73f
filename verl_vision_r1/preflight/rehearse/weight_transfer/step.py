"""The step: what the actor sends is loaded into vLLM's model."""

import importlib.util
import json
from pathlib import Path

import torch

from verl_vision_r1.preflight.doctor.check import SkippedError
from verl_vision_r1.preflight.rehearse.rollout_engine.server import use_folder
from verl_vision_r1.preflight.rehearse.step import Spec, Step, composed
from verl_vision_r1.preflight.rehearse.weight_transfer.adapter import load_adapter
from verl_vision_r1.preflight.rehearse.weight_transfer.receiver import make_receiver
from verl_vision_r1.preflight.rehearse.weight_transfer.weights import Weights, load_weights


def take(spec: Spec) -> Step:
    """Load what the actor sends into vLLM's model.

    Raises:
        FailedError: A weight is not taken, or a parameter is not loaded.
        SkippedError: vLLM is not the run's engine or not installed.
    """
    config = composed(spec.overrides)
    _need_vllm(str(config.actor_rollout_ref.rollout.name))
    use_folder(config, spec.folder)
    assert spec.sent, "expected the weights that the actor sends, got none"
    base, adapter = read_sent(spec.sent)
    receiver = make_receiver(config)
    taken = []
    if base or not receiver.lora_manager:  # With adapters, vLLM loads the base weights itself.
        taken.append(f"{load_weights(receiver, base):,} weights")
    if receiver.lora_manager:
        taken.append(f"{load_adapter(receiver, adapter, config):,} LoRA matrices")
    name = type(receiver.model_runner.model).__name__
    size = receiver.model_runner.vllm_config.parallel_config.tensor_parallel_size
    figures = {"weights": float(len(base)), "adapter_matrices": float(len(adapter))}
    return Step(True, f"vLLM's {name} takes {' and '.join(taken)}", f"names and shapes, TP {size}", "", figures)


def _need_vllm(engine: str) -> None:
    if engine != "vllm":
        raise SkippedError(f"rollout.name={engine}: names and shapes are checked against vLLM's models only")
    if importlib.util.find_spec("vllm") is None:
        raise SkippedError("vLLM is not installed here: its models are not known")


def read_sent(path: Path) -> tuple[Weights, Weights]:
    """The weights that the actor sends: those of the model, without memory, and those of its adapter, all zero."""
    base, adapter = [], []
    for name, shape, dtype in json.loads(path.read_text(encoding="utf-8")):
        kind: torch.dtype = getattr(torch, dtype.removeprefix("torch."))
        if name.startswith("base_model."):
            adapter.append((name, torch.zeros(shape, dtype=kind)))  # vLLM copies them on the CPU first.
        else:
            base.append((name, torch.empty(shape, dtype=kind, device="meta")))
    return base, adapter
