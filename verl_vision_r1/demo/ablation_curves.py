"""Measures during a run of the ablations, and how long it takes to reach a given AP."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.result import evaluated


@dataclass(frozen=True)
class Point:
    """A validation of a run.

    Attributes:
        step: After so many steps.
        seconds: Time of these steps, without validations.
        measures: Measures by data set.
    """

    step: int
    seconds: float
    measures: dict[str, dict[str, float]]


def write_curve(demo: Demo, file: Path) -> None:
    """Evaluate each validation of a finished run and write its points."""
    seconds = _seconds(demo.metrics)
    steps = sorted(int(path.stem) for path in demo.validations.glob("*.jsonl"))
    points = [Point(step, sum(seconds[:step]), _measures(demo, step)) for step in steps]
    file.write_text(json.dumps([asdict(point) for point in points]), encoding="utf-8")


def read_curve(file: Path) -> list[Point]:
    """Read the points of a run."""
    return [Point(**point) for point in json.loads(file.read_text(encoding="utf-8"))]


def _measures(demo: Demo, step: int) -> dict[str, dict[str, float]]:
    return {found.name.split("/")[0]: found.values for found in evaluated(demo, step).sets}


def _seconds(metrics: Path) -> list[float]:
    """Time of each training step."""
    entries = (json.loads(line)["data"] for line in metrics.read_text(encoding="utf-8").splitlines())
    return [float(entry["timing_s/step"]) for entry in entries if "timing_s/step" in entry]


def reached(points: Sequence[tuple[float, float]], value: float) -> float | None:
    """Where a curve first reaches a value, by linear interpolation.

    Args:
        points: (x, y) in the order of x.
        value: The value of y.

    Returns:
        The x; None if the curve stays below.

    Example:
        >>> reached([(0, 10.0), (20, 30.0), (40, 50.0)], 40.0), reached([(0, 10.0)], 40.0)
        (30.0, None)
    """
    for (x, y), (following, higher) in pairwise(points):
        if y < value <= higher:
            return x + (following - x) * (value - y) / (higher - y)
    return points[0][0] if points and points[0][1] >= value else None
