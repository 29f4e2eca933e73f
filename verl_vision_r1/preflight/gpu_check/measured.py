"""Measurements of a run: seconds of each part of a step, peak memory, and rewards."""

import json
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TIMED: Final = "timing_s/"
MEMORY: Final = "perf/max_memory_allocated_gb"
"""verl's metric for the peak of torch's memory on one GPU in GiB; a prefix names the worker."""


@dataclass(frozen=True)
class Measured:
    """The measurements of one run.

    Attributes:
        steps: Number of logged steps.
        first: Seconds of each part of the first step, by verl's name.
        seconds: Median seconds of each part of the later steps.
        memory: Peak GiB of torch's memory on one GPU; None if verl logs none.
        scores: The reward of every rollout.
        logged: Whether the mean reward of every step is a finite number.
    """

    steps: int
    first: dict[str, float]
    seconds: dict[str, float]
    memory: float | None
    scores: tuple[float, ...]
    logged: bool


def measure(metrics: Path, rollouts: Path) -> Measured:
    """Read the metrics and rollout files of a run.

    Args:
        metrics: verl's metrics file, a JSON line per step.
        rollouts: Folder of the rollout files, one per step.

    Raises:
        ValueError: A line is not JSON.
        OSError: A file cannot be read.
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
