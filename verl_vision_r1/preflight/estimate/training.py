"""Section on the memory of one GPU during training: the model state, and the memory of each phase."""

from collections.abc import Iterator
from typing import Final

from verl_vision_r1.preflight.estimate.figure import GIB, Figure
from verl_vision_r1.preflight.estimate.passes import (
    Pass,
    checkpointing_of,
    image_fraction,
    logits_of,
    probabilities_pass,
    tokens_of_update,
    update_pass,
)
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.estimate.sharding import ModelState, Place, model_state, size_of

RESERVE: Final = 4 * GIB
"""Assumed bytes for CUDA contexts, NCCL buffers, captured graphs and fragmentation."""


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on the memory of one GPU during training."""
    state = model_state(plan)
    update = update_pass(plan, state.size)
    yield Figure("weights", state.weights, "bytes", state.basis + state.weights_place.value)
    yield Figure("optimizer", state.optimizer, "bytes", "Adam's two moments" + state.optimizer_place.value)
    yield Figure("gradients", state.gradients, "bytes", "in the dtype of the weights, until the optimizer step")
    yield Figure("gathered parameters", state.gathered, "bytes", "embeddings, head and two layers, gathered by FSDP")
    yield Figure("tokens per pass", tokens_of_update(plan), "tokens", "of the update, per GPU, at most")
    how = "one array per layer (checkpointing)" if checkpointing_of(plan) else "all activations (no checkpointing)"
    basis = f"{how}; {image_fraction(plan):.0%} of the tokens are image tokens"
    yield Figure("activations", update.activations, "bytes", basis)
    yield Figure("backward pass of one layer", update.layer, "bytes", "its activations and their gradients")
    yield Figure("logits", update.logits, "bytes", logits_of(plan, state.size).basis)
    yield from _peaks(plan, state, update)
    basis = "offloaded model state and reference model; Ray's processes need more"
    yield Figure("host memory per node", _host(plan, state), "bytes", basis)


def _peaks(plan: Plan, state: ModelState, update: Pass) -> Iterator[Figure]:
    memory = plan.assumed.memory * GIB
    resident = state.optimizer * (state.optimizer_place is Place.ON_GPU)
    resident += state.weights * (state.weights_place is not Place.ON_HOST) + RESERVE
    if plan.old_probabilities or plan.reference:
        need = resident + state.gathered + probabilities_pass(plan, state.size).peak
        basis = f"weights, a forward pass, {RESERVE / GIB:g} GiB reserve"
        yield peak("peak: log-probabilities", need, memory, basis)
    need = state.in_use + RESERVE + state.gathered + update.peak
    yield peak("peak: update", need, memory, "weights, moments, gradients, a pass, the reserve")
    # torch's Adam allocates one more array of the size of the gradients; Megatron's is fused.
    extra = state.gradients * (state.weights_place is not Place.ON_HOST and plan.actor.strategy != "megatron")
    basis = "weights, moments, gradients, one more array of their size unless fused, the reserve"
    yield peak("peak: optimizer step", state.in_use + RESERVE + extra, memory, basis)


def peak(name: str, need: float, memory: float, basis: str) -> Figure:
    """A peak, and whether it fits into the memory of the GPU.

    Args:
        name: The phase.
        need: Bytes needed.
        memory: Bytes of the GPU.
        basis: What is counted.
    """
    free = memory - need
    fits = f"fits, {free / GIB:.1f} GiB free" if free >= 0 else f"does not fit, {-free / GIB:.1f} GiB too much"
    return Figure(name, need, "bytes", f"{fits} of {memory / GIB:g}; {basis}", fits=free >= 0)


def _host(plan: Plan, state: ModelState) -> float:
    """Offloaded state, and the reference model, which verl's FSDP engines store on the host."""
    per_gpu = state.host
    if plan.reference and not plan.adapters and plan.actor.strategy != "megatron":
        dtype = plan.config.actor_rollout_ref.ref.fsdp_config.model_dtype
        per_gpu += plan.model.parameters * size_of(dtype) / plan.gpus
    return float(per_gpu * plan.config.trainer.n_gpus_per_node)
