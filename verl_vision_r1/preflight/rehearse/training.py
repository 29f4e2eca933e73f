"""The step of actor and reference: log-probabilities and an update through verl's own workers, at real size."""

import json
from typing import Any, Final

from verl_vision_r1.cpu import stand_ins
from verl_vision_r1.preflight.doctor.check import FailedError, SkippedError, one_line
from verl_vision_r1.preflight.estimate.figure import GIB, in_bytes
from verl_vision_r1.preflight.estimate.training import RESERVE
from verl_vision_r1.preflight.rehearse.memory import total
from verl_vision_r1.preflight.rehearse.step import Spec, Step, plan_of

UNREHEARSED: Final = {
    "megatron": "Megatron-Core has no CPU path: the memory and shapes of its training step are not rehearsed",
    "fsdp": "FSDP1 rejects weights on a CPU; rehearse with vision_r1/engine=fsdp2, which shards alike",
}
"""verl's engines that have no CPU path."""


def take(spec: Spec) -> Step:
    """Take one step of training on rank 0 of the run's fake ranks.

    Args:
        spec: The run.

    Returns:
        The peak of each phase against the memory of a GPU; the figures are bytes by phase and kind.

    Raises:
        FailedError: verl, torch or peft refuses the run; with the phase of the step.
        SkippedError: The engine has no CPU path.
    """
    stand_ins.install(kernels=spec.kernels)  # Before verl and transformers look for flash-attn.
    plan = plan_of(spec)
    if plan.actor.strategy in UNREHEARSED:
        raise SkippedError(UNREHEARSED[plan.actor.strategy])
    from verl_vision_r1.preflight.rehearse.rank import Rank

    rank = Rank(plan, spec)
    try:
        with rank.watched():
            rank.build()
            rank.log_probabilities()
            rank.update()
            if spec.sent:
                spec.sent.write_text(json.dumps(list(rank.sent())), encoding="utf-8")
    except Exception as error:
        raise FailedError(f"{rank.phase}: {one_line(error)}") from error
    return verdict(rank.memory.peaks, rank.micro_batches.tokens, spec.gpu_memory)


def verdict(peaks: dict[str, Any], tokens: list[int], gpu_memory: float) -> Step:
    """Check the peaks against the memory of a GPU.

    Args:
        peaks: Bytes by kind at the peak of each phase.
        tokens: Tokens of each micro-batch of the update.
        gpu_memory: Memory of the GPU in GiB.
    """
    worst = max(peaks, key=lambda name: total(peaks[name]))
    need, limit = total(peaks[worst]) + RESERVE, gpu_memory * GIB
    found = f"{in_bytes(need)} of {in_bytes(limit)} at the peak, in the {worst}: {_kinds(peaks[worst])}"
    figures = {f"{name}: {kind}": float(size) for name, peak in peaks.items() for kind, size in peak.items() if size}
    figures |= {"tokens per pass": float(max(tokens)), "micro-batches": float(len(tokens)), "reserve": float(RESERVE)}
    return Step(need <= limit, found, f"{in_bytes(limit)} of a GPU, {in_bytes(RESERVE)} reserved", figures=figures)


def _kinds(peak: Any) -> str:
    named = sorted(((size, kind) for kind, size in peak.items() if size and kind != "host"), reverse=True)
    return ", ".join(f"{kind} {in_bytes(size)}" for size, kind in named)
