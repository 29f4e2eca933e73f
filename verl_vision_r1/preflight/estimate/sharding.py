"""Parameters, gradients and optimizer state of a training run on one GPU, and where they are stored."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from verl_vision_r1.preflight.estimate.figure import counted
from verl_vision_r1.preflight.estimate.plan import Plan

SIZES: Final = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2}
"""Bytes per number, by verl's names of the dtypes."""
MOMENTS: Final = 2
"""Numbers per parameter in the state of Adam."""


class Place(Enum):
    """Where parameters or optimizer state are stored; the value is a remark for the output."""

    ON_GPU = ""
    OFFLOADED = "; offloaded to the host between phases"
    ON_HOST = "; on the host (offload_policy)"


@dataclass(frozen=True)
class ModelState:
    """Bytes of the model's training state on one GPU.

    Attributes:
        weights: The parameters.
        gradients: The gradients, from the first backward pass to the optimizer step.
        optimizer: Adam's moments, and with Megatron the float32 copy of the parameters.
        gathered: Parameters that FSDP gathers from all GPUs at once, with their gradients.
        weights_place: Where parameters and gradients are stored.
        optimizer_place: Where the moments are stored.
        size: Bytes per number of the compute dtype.
        basis: How the model is sharded.
    """

    weights: float
    gradients: float
    optimizer: float
    gathered: float
    weights_place: Place
    optimizer_place: Place
    size: int
    basis: str

    @property
    def resident(self) -> float:
        """Bytes that are always on the GPU, also during generation."""
        weights = self.weights * (self.weights_place is Place.ON_GPU)
        return weights + self.optimizer * (self.optimizer_place is Place.ON_GPU)

    @property
    def in_use(self) -> float:
        """Bytes of weights, gradients and moments on the GPU during an update of the policy."""
        weights = (self.weights + self.gradients) * (self.weights_place is not Place.ON_HOST)
        return weights + self.optimizer * (self.optimizer_place is not Place.ON_HOST)

    @property
    def host(self) -> float:
        """Peak bytes in the memory of the host."""
        gradients = self.gradients * (self.weights_place is Place.ON_HOST)
        weights = self.weights * (self.weights_place is not Place.ON_GPU)
        return weights + gradients + self.optimizer * (self.optimizer_place is not Place.ON_GPU)


def model_state(plan: Plan) -> ModelState:
    """The training state of one GPU.

    Raises:
        ValueError: The engine in `actor.strategy` or a dtype is not known.
    """
    strategy = str(plan.actor.strategy)
    if strategy in ("fsdp", "fsdp2"):
        return _sharded(plan, plan.actor.fsdp_config)
    if strategy == "megatron":
        return _megatron(plan, plan.actor.megatron)
    raise ValueError(f"actor_rollout_ref.actor.strategy: expected fsdp, fsdp2 or megatron, got {strategy!r}")


def _sharded(plan: Plan, engine: Any) -> ModelState:
    model, precision = plan.model, engine.get("mixed_precision") or {}
    size, stored = (size_of(name) for name in (precision.get("param_dtype", "bf16"), engine.model_dtype))
    parts = plan.gpus if int(engine.fsdp_size) <= 0 else min(int(engine.fsdp_size), plan.gpus)
    on_host = bool(engine.get("offload_policy")) and plan.actor.strategy == "fsdp2"
    return ModelState(
        model.parameters * stored / parts,
        model.trained * stored / parts,
        MOMENTS * model.trained * stored / parts,
        _gathered(plan, size, alone=parts == 1 and size == stored),
        Place.ON_HOST if on_host else _place(engine.param_offload),
        Place.ON_HOST if on_host else _place(engine.optimizer_offload),
        size,
        f"{plan.actor.strategy} over {counted(parts, 'GPU')}, stored in {engine.model_dtype}, computed in"
        f" {8 * size} bits",
    )


def _place(offload: bool) -> Place:
    return Place.OFFLOADED if offload else Place.ON_GPU


def _gathered(plan: Plan, size: int, *, alone: bool) -> int:
    """Bytes that FSDP gathers; 0 on one GPU whose compute dtype is the stored one."""
    if alone:
        return 0
    outside = plan.model.outside_layers
    gradients = outside if plan.model.trained == plan.model.parameters else 0
    return (outside + 2 * plan.model.largest_layer + gradients) * size


def _megatron(plan: Plan, engine: Any) -> ModelState:
    """Megatron: bfloat16 weights, float32 gradients, and 12 bytes per parameter that all ranks share."""
    model, pipeline = plan.model, int(engine.pipeline_model_parallel_size)
    tensor, experts = int(engine.tensor_model_parallel_size), int(engine.expert_model_parallel_size)
    within = int(engine.get("expert_tensor_parallel_size") or tensor)
    each = (model.parameters - model.experts) / (tensor * pipeline) + model.experts / (experts * within * pipeline)
    trained = each * model.trained / model.parameters
    return ModelState(
        2 * each,
        4 * trained,
        12 * (model.trained / plan.gpus if engine.use_distributed_optimizer else trained),
        0,
        _place(engine.param_offload),
        _place(engine.optimizer_offload),
        2,
        f"megatron, approximate: tensor {tensor}, pipeline {pipeline}, experts {experts} x {within}",
    )


def size_of(name: Any) -> int:
    """Bytes per number of a dtype.

    Args:
        name: One of verl's names in `SIZES`.

    Raises:
        ValueError: The name is unknown.

    Example:
        >>> size_of("bf16")
        2
    """
    if str(name) not in SIZES:
        raise ValueError(f"dtype: expected one of {', '.join(SIZES)}, got {name!r}")
    return SIZES[str(name)]
