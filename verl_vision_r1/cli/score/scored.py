"""The scores of the lines of a file, and their means."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from verl_vision_r1.rewards.explanation.explain import scores_as_dict
from verl_vision_r1.rewards.scoring import Scores

TOLERANCE: Final = 1e-6
"""Tolerance of equal totals."""


@dataclass(frozen=True)
class Scored:
    """The scores of one line of a file.

    Attributes:
        line: Line number, from 1.
        task: The task.
        scores: The scores.
        recorded: Total reward according to the file.
    """

    line: int
    task: str
    scores: Scores
    recorded: float | None = None

    @property
    def differs(self) -> bool:
        """Whether the file has another total; verl stores rewards as float32."""
        return self.recorded is not None and not math.isclose(
            self.scores.total, self.recorded, rel_tol=TOLERANCE, abs_tol=TOLERANCE
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"line": self.line, "task": self.task, **scores_as_dict(self.scores), **self.recorded_as_dict()}

    def recorded_as_dict(self) -> dict[str, float]:
        """The recorded total for JSON, if there is one."""
        return {} if self.recorded is None else {"recorded": self.recorded}


def means(scored: Sequence[Scored]) -> dict[str, float]:
    """The mean total, that of the file if it has any, and of each criterion over the lines whose task uses it."""
    names = dict.fromkeys(name for item in scored for name in item.scores.parts)
    of_criteria = {name: _mean(i.scores.parts[name] for i in scored if name in i.scores.parts) for name in names}
    known = [item.recorded for item in scored if item.recorded is not None]
    recorded = {"recorded": _mean(known)} if known else {}
    return {"total": _mean(item.scores.total for item in scored), **recorded, **of_criteria}


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)
