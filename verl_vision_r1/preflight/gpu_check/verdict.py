"""Whether what was measured is as expected. A figure without a limit is shown and not judged."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from verl_vision_r1.preflight.gpu_check.measured import Measured
from verl_vision_r1.preflight.gpu_check.plan import ROLLOUTS, STEPS, Expected, Plan


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        found: What was measured, or None where nothing was.
        limit: What was expected: a number to reach, or one not to exceed; None where nothing is.
        unit: Of both.
        ok: Whether it is right; None where it is not judged.
    """

    name: str
    found: float | None
    limit: float | None
    unit: str
    ok: bool | None


def judge(plan: Plan, expected: Expected, measured: Measured) -> Iterator[Finding]:
    """Compare a run with what was expected of it.

    Yields:
        Steps, rollouts and scores, which must be exact on any machine; then seconds and memory, on a GPU alone.
    """
    wanted = plan.prompts * ROLLOUTS * STEPS
    finite = sum(map(math.isfinite, measured.scores))
    yield Finding("steps", measured.steps, STEPS, "", measured.steps == STEPS)
    yield Finding("rollouts scored", len(measured.scores), wanted, "", len(measured.scores) == wanted)
    yield Finding("scores that are finite", finite, wanted, "", finite == wanted and measured.logged)
    for name in dict.fromkeys((*expected.seconds, *measured.seconds)):
        yield _at_most(name, measured.seconds.get(name), expected.seconds.get(name), "seconds")
    yield _at_most("peak memory", measured.memory, expected.memory, "GiB")


def _at_most(name: str, found: float | None, limit: float | None, unit: str) -> Finding:
    ok = None if limit is None else found is not None and found <= limit
    return Finding(name, found, limit, unit, ok)
