"""Memory of one GPU while the policy is trained: what is there throughout, and what each phase adds."""

from collections.abc import Iterator
from typing import Final

from verl_vision_r1.preflight.estimate.figure import GIB, Figure
from verl_vision_r1.preflight.estimate.passes import (
    Pass,
    checkpointing_of,
    image_share,
    logits_of,
    probabilities_pass,
    tokens_of_update,
    update_pass,
)
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.estimate.sharding import Place, Shares, shares, size_of

RESERVE: Final = 4 * GIB
"""For CUDA contexts, NCCL's buffers, captured graphs and gaps between blocks: assumed."""


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on one GPU's memory while the policy is trained."""
    held = shares(plan)
    update = update_pass(plan, held.size)
    yield Figure("weights", held.weights, "bytes", held.basis + held.weights_place.value)
    yield Figure("optimizer", held.optimizer, "bytes", "Adam's two moments" + held.optimizer_place.value)
    yield Figure("gradients", held.gradients, "bytes", "in the type of the weights, until the optimizer's step")
    yield Figure("gathered", held.gathered, "bytes", "whole for a moment: embeddings, head and two layers")
    yield Figure("tokens of a pass", tokens_of_update(plan), "tokens", "of the update, on one GPU, at most")
    how = "one array a layer (checkpointing)" if checkpointing_of(plan) else "all that layers keep (no checkpointing)"
    basis = f"{how}; {image_share(plan):.0%} of the tokens are of images"
    yield Figure("activations", update.kept + update.vision, "bytes", basis)
    yield Figure("one layer's backward pass", update.layer, "bytes", "what it keeps, and the gradients in it")
    yield Figure("logits", update.logits, "bytes", logits_of(plan, held.size).words)
    yield from _peaks(plan, held, update)
    yield Figure("host memory of a node", _host(plan, held), "bytes", "parts of the training; the processes need more")


def _peaks(plan: Plan, held: Shares, update: Pass) -> Iterator[Figure]:
    memory = plan.assumed.gpu_memory * GIB
    resident = held.optimizer * (held.optimizer_place is Place.stays)
    resident += held.weights * (held.weights_place is not Place.away) + RESERVE
    if plan.old_probabilities or plan.reference:
        need = resident + held.gathered + probabilities_pass(plan, held.size).peak
        yield verdict(
            "peak: probabilities", need, memory, f"weights, a forward pass, {RESERVE / GIB:g} GiB in reserve"
        )
    need = held.in_use + RESERVE + held.gathered + update.peak
    yield verdict("peak: update", need, memory, "weights, moments, gradients, a pass, the same reserve")
    # torch's Adam has one more array of the size of the gradients; Megatron's is fused.
    more = held.gradients * (held.weights_place is not Place.away and plan.actor.strategy != "megatron")
    basis = "weights, moments, gradients, one more array of their size unless fused, the reserve"
    yield verdict("peak: optimizer step", held.in_use + RESERVE + more, memory, basis)


def verdict(name: str, need: float, memory: float, basis: str) -> Figure:
    """A peak, and whether it is below the memory of the GPU."""
    room = memory - need
    says = f"fits, {room / GIB:.1f} GiB to spare" if room >= 0 else f"does not fit, {-room / GIB:.1f} GiB too much"
    return Figure(name, need, "bytes", f"{says} of {memory / GIB:g}; {basis}")


def _host(plan: Plan, held: Shares) -> float:
    """Offloaded parts, and the reference model, which verl's FSDP engines keep on the host."""
    each = held.host
    if plan.reference and not plan.adapters and plan.actor.strategy != "megatron":
        each += plan.model.parameters * size_of(plan.config.actor_rollout_ref.ref.fsdp_config.model_dtype) / plan.gpus
    return float(each * plan.config.trainer.n_gpus_per_node)
