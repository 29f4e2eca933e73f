"""Verdicts on a run: each measurement against its limit. A measurement without a limit is only shown."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from verl_vision_r1.preflight.gpu_check.measured import Measured
from verl_vision_r1.preflight.gpu_check.plan import ROLLOUTS, STEPS, Expected, Plan


@dataclass(frozen=True)
class Verdict:
    """One measurement and its limit.

    Attributes:
        name: What is measured.
        measured: The measurement, or None if there is none.
        limit: The exact number expected, or a maximum; None if there is no limit.
        unit: Unit of both; empty for a count.
        ok: Whether the limit is met; None if there is none.
    """

    name: str
    measured: float | None
    limit: float | None
    unit: str
    ok: bool | None


def verdicts(plan: Plan, expected: Expected, measured: Measured) -> Iterator[Verdict]:
    """Check the measurements of a run against its limits.

    Yields:
        Steps, rollouts and rewards, which must be exact on any machine; then seconds and memory, which have limits on
        a GPU only.
    """
    rollouts = plan.prompts * ROLLOUTS * STEPS
    finite = sum(map(math.isfinite, measured.scores))
    yield Verdict("steps", measured.steps, STEPS, "", measured.steps == STEPS)
    yield Verdict("rollouts scored", len(measured.scores), rollouts, "", len(measured.scores) == rollouts)
    yield Verdict("finite rewards", finite, rollouts, "", finite == rollouts and measured.logged)
    for name in dict.fromkeys((*expected.seconds, *measured.seconds)):
        yield _at_most(name, measured.seconds.get(name), expected.seconds.get(name), "seconds")
    yield _at_most("peak memory", measured.memory, expected.memory, "GiB")


def _at_most(name: str, measured: float | None, limit: float | None, unit: str) -> Verdict:
    ok = None if limit is None else measured is not None and measured <= limit
    return Verdict(name, measured, limit, unit, ok)
