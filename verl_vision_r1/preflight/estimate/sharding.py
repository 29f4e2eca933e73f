"""How a training divides the model among the GPUs, and what of it is where."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from verl_vision_r1.preflight.estimate.figure import counted
from verl_vision_r1.preflight.estimate.plan import Plan

SIZES: Final = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2}
"""Bytes of a number by the names that verl takes."""
MOMENTS: Final = 2
"""Numbers that Adam keeps of each parameter."""


class Place(Enum):
    """Where a part of the training is: on the GPU, there only while it is used, or on the host."""

    stays = ""
    between = "; on the host between its phases"
    away = "; on the host (offload_policy)"


@dataclass(frozen=True)
class Shares:
    """Bytes on one GPU of what a training keeps of the model.

    Attributes:
        weights: The parameters.
        gradients: Their gradients, from the first backward pass to the optimizer's step.
        optimizer: Adam's moments, and with Megatron its float32 copy of the parameters.
        gathered: Parameters that are put together from all GPUs for a moment, with the gradients of the largest.
        weights_place: Where the parameters and their gradients are.
        optimizer_place: Where the moments are.
        size: Bytes of a number in the type that is computed in.
        basis: How it is divided.
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
        """What is on the GPU throughout, while answers are generated too."""
        weights = self.weights * (self.weights_place is Place.stays)
        return weights + self.optimizer * (self.optimizer_place is Place.stays)

    @property
    def in_use(self) -> float:
        """Weights, gradients and moments on the GPU while the policy is updated."""
        weights = (self.weights + self.gradients) * (self.weights_place is not Place.away)
        return weights + self.optimizer * (self.optimizer_place is not Place.away)

    @property
    def host(self) -> float:
        """What is in the memory of the host, at the time that most of it is there."""
        gradients = self.gradients * (self.weights_place is Place.away)
        weights = self.weights * (self.weights_place is not Place.stays)
        return weights + gradients + self.optimizer * (self.optimizer_place is not Place.stays)


def shares(plan: Plan) -> Shares:
    """How the model is divided among the GPUs.

    Raises:
        ValueError: `actor.strategy` is of an engine whose memory is not known here, or a type of numbers is.
    """
    strategy = str(plan.actor.strategy)
    if strategy in ("fsdp", "fsdp2"):
        return _sharded(plan, plan.actor.fsdp_config)
    if strategy == "megatron":
        return _megatron(plan, plan.actor.megatron)
    raise ValueError(f"actor_rollout_ref.actor.strategy: expected fsdp, fsdp2 or megatron, got {strategy!r}")


def _sharded(plan: Plan, engine: Any) -> Shares:
    model, precision = plan.model, engine.get("mixed_precision") or {}
    size, stored = (size_of(name) for name in (precision.get("param_dtype", "bf16"), engine.model_dtype))
    parts = plan.gpus if int(engine.fsdp_size) <= 0 else min(int(engine.fsdp_size), plan.gpus)
    always_away = bool(engine.get("offload_policy")) and plan.actor.strategy == "fsdp2"
    return Shares(
        model.parameters * stored / parts,
        model.trained * stored / parts,
        MOMENTS * model.trained * stored / parts,
        _gathered(plan, size, alone=parts == 1 and size == stored),
        Place.away if always_away else Place.between if engine.param_offload else Place.stays,
        Place.away if always_away else Place.between if engine.optimizer_offload else Place.stays,
        size,
        f"{plan.actor.strategy} over {counted(parts, 'GPU')}, {engine.model_dtype} stored, {8 * size} bits computed",
    )


def _gathered(plan: Plan, size: int, *, alone: bool) -> int:
    """What is whole for a moment; nothing on one GPU that computes in the type that it stores."""
    if alone:
        return 0
    outside = plan.model.outside_layers
    gradients = outside if plan.model.trained == plan.model.parameters else 0
    return (outside + 2 * plan.model.largest_layer + gradients) * size


def _megatron(plan: Plan, engine: Any) -> Shares:
    """By Megatron's own account: bfloat16 weights, float32 gradients, and 12 bytes that all ranks divide."""
    model, pipeline = plan.model, int(engine.pipeline_model_parallel_size)
    tensor, experts = int(engine.tensor_model_parallel_size), int(engine.expert_model_parallel_size)
    within = int(engine.get("expert_tensor_parallel_size") or tensor)
    each = (model.parameters - model.experts) / (tensor * pipeline) + model.experts / (experts * within * pipeline)
    trained = each * model.trained / model.parameters
    return Shares(
        2 * each,
        4 * trained,
        12 * (model.trained / plan.gpus if engine.use_distributed_optimizer else trained),
        0,
        Place.between if engine.param_offload else Place.stays,
        Place.between if engine.optimizer_offload else Place.stays,
        2,
        f"megatron, approximate: tensor {tensor}, pipeline {pipeline}, experts {experts} x {within}",
    )


def size_of(name: Any) -> int:
    """Bytes of a number of a type that verl takes.

    Raises:
        ValueError: The name is unknown.

    Example:
        >>> size_of("bf16")
        2
    """
    if str(name) not in SIZES:
        raise ValueError(f"dtype: expected one of {', '.join(SIZES)}, got {name!r}")
    return SIZES[str(name)]
