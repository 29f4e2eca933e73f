"""What makes a training step fit: changes are tried, smallest first, until one fits."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from verl_vision_r1.preflight.estimate.figure import GIB
from verl_vision_r1.preflight.rehearse.step import Step

OFFLOAD: Final = "vision_r1/engine=fsdp2_offload"
ON_HOST: Final = "actor_rollout_ref.actor.fsdp_config.offload_policy=true"
ADAPTERS: Final = "vision_r1/tuning=lora"
BUDGETS: Final = (
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu",
    "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu",
    "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu",
)
"""Tokens per pass on one GPU."""
SEQUENCES: Final = (
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu",
    "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu",
)
"""Sequences per pass on one GPU, without `use_dynamic_bsz`."""


def advised(step: Step, config: Any, gpu_memory: float, retry: Callable[[tuple[str, ...]], Step]) -> Step:
    """A training step with the smallest change that makes it fit, if it does not fit.

    Args:
        step: The result of the step.
        config: The configuration of the run.
        gpu_memory: Memory of one GPU in GiB.
        retry: Takes the step again with further overrides.
    """
    if step.ok is not False or "reserve" not in step.figures:
        return step  # It fits, or it failed for another reason than memory.
    tried = list(changes(config, _state(step) < gpu_memory * GIB))
    fits = next((change for change in tried if retry(change).ok), None)
    advice = " ".join(fits) if fits else f"larger GPUs: none of {len(tried)} changes makes it fit"
    return replace(step, advice=advice)


def changes(config: Any, tokens: bool) -> Iterator[tuple[str, ...]]:
    """Changes to try, smallest first: fewer tokens per pass, offloading, adapters, more nodes.

    Args:
        config: The configuration of the run.
        tokens: Whether fewer tokens alone can be enough.
    """
    fewer, actor = list(_fewer_tokens(config)), config.actor_rollout_ref.actor
    yield from fewer if tokens else ()
    offloaded = actor.fsdp_config.param_offload and actor.fsdp_config.optimizer_offload
    for change, made in ((OFFLOAD, offloaded), (ON_HOST, actor.fsdp_config.offload_policy)):
        if not made:
            yield (change,)
            yield from ((change, *fewest) for fewest in fewer[-1:])
    if not config.actor_rollout_ref.model.lora_rank:
        yield (ADAPTERS,)
    yield from ((f"trainer.nnodes={int(config.trainer.nnodes) * factor}",) for factor in (2, 4))


def _fewer_tokens(config: Any) -> Iterator[tuple[str, ...]]:
    """Half the tokens per pass and half of that, no less than the longest prompt and completion."""
    longest = int(config.data.max_prompt_length + config.data.max_response_length)
    actor = config.actor_rollout_ref.actor
    if actor.use_dynamic_bsz:
        tokens = int(actor.ppo_max_token_len_per_gpu)
        for budget in sorted({tokens // 2, tokens // 4, longest}, reverse=True):
            if longest <= budget < tokens:
                yield tuple(f"{key}={budget}" for key in BUDGETS)
    elif actor.ppo_micro_batch_size_per_gpu and actor.ppo_micro_batch_size_per_gpu > 1:
        yield tuple(f"{key}=1" for key in SEQUENCES)


def _state(step: Step) -> float:
    """Bytes that fewer tokens do not change, at the largest of the peaks."""
    phases = {name.partition(": ")[0] for name in step.figures if ": " in name}
    kept = ("parameters", "gradients", "moments", "unsharded")
    return step.figures["reserve"] + max(
        sum(step.figures.get(f"{phase}: {kind}", 0.0) for kind in kept) for phase in phases
    )
