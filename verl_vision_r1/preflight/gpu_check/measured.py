"""What a run left behind: seconds of each part of a step, peak memory, and its scores."""

import json
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TIMED: Final = "timing_s/"
MEMORY: Final = "perf/max_memory_allocated_gb"
"""GiB that torch held on one GPU at most, as verl logs it, with the name of the worker before it."""


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        steps: Steps that were logged.
        first: Seconds of the parts of the first step, by verl's name of the part.
        seconds: Those of the others, the median.
        memory: GiB that torch held on one GPU at most; None where verl logs none.
        scores: The score of every rollout.
        logged: Whether every step's mean score is a finite number.
    """

    steps: int
    first: dict[str, float]
    seconds: dict[str, float]
    memory: float | None
    scores: tuple[float, ...]
    logged: bool


def measure(metrics: Path, rollouts: Path) -> Measured:
    """Read what verl logged and dumped.

    Args:
        metrics: verl's file of metrics, a JSON line for each step.
        rollouts: Folder of the answers, a file of JSON lines for each step.

    Raises:
        ValueError: A line is no JSON.
        OSError: There is no such file.
    """
    lines = [line["data"] for line in _lines(metrics) if f"{TIMED}step" in line["data"]]
    parts = {name for line in lines for name in line if name.startswith(TIMED)}
    later = {name: [line[name] for line in lines[1:] if name in line] for name in parts}
    memory = [value for line in lines for name, value in line.items() if name.endswith(MEMORY)]
    scores = [line["score"] for file in sorted(rollouts.glob("*.jsonl")) for line in _lines(file)]
    return Measured(
        steps=len(lines),
        first={_part(name): value for name, value in (lines[0] if lines else {}).items() if name in parts},
        seconds={_part(name): statistics.median(values) for name, values in sorted(later.items()) if values},
        memory=max(memory, default=None),
        scores=tuple(scores),
        logged=bool(lines) and all(math.isfinite(line.get("critic/score/mean", math.nan)) for line in lines),
    )


def _part(name: str) -> str:
    return name.removeprefix(TIMED)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{file}:{number}: expected JSON, got {line[:80]!r}") from error
