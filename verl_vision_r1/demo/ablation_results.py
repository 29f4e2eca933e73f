"""The measured runs of the ablations: a file of JSON Lines, one line for each run, which is never rewritten.

A run whose line is there is not repeated, so that a series can be interrupted and continued, also on another machine.
The project's own measurements are docs/ablations.jsonl.
"""

import datetime
import fcntl
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.result import evaluated

if TYPE_CHECKING:
    from verl_vision_r1.evaluation.evaluate import Evaluation

MEASURES: Final = (
    *("AP", "AP_logprob", "AP50", "AP75", "F1", "F1_50", "precision_50", "recall_50"),
    *("count_error", "positives_refused", "negatives_refused"),
)
"""The measures that are kept, of those that a data set has."""
PACKAGES: Final = ("verl-vision-r1", "verl", "torch", "transformers")


@dataclass(frozen=True)
class Point:
    """A validation of a run.

    Attributes:
        step: After so many steps.
        seconds: Time of these steps, without validations.
        measures: Measures in [0, 1], or counts, by data set; under "training" the first step of its stage, from 1.
    """

    step: int
    seconds: float
    measures: dict[str, dict[str, float]]


@dataclass(frozen=True)
class MeasuredRun:
    """A run of the ablations, or the measurement of an initial model, whose variant is `start/NAME`.

    Attributes:
        variant: Its name.
        steps: Its number of steps; 0 for an initial model.
        seed: Its seed.
        points: Its validations. The last one follows the last step.
        date: The day on which it ended, in ISO 8601.
        hardware: Processor and number of cores.
        versions: Versions of the packages.
    """

    variant: str
    steps: int
    seed: int
    points: tuple[Point, ...]
    date: str
    hardware: str
    versions: dict[str, str]

    @property
    def measures(self) -> dict[str, dict[str, float]]:
        """The measures after the last step, by data set."""
        return self.points[-1].measures


class Results:
    """The measured runs in a file.

    Args:
        file: The file. It need not exist yet.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def runs(self) -> list[MeasuredRun]:
        """All runs in the order of measurement."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.is_file() else []
        return [_read(json.loads(line)) for line in lines]

    def of(self, variant: str, steps: int) -> dict[int, MeasuredRun]:
        """The runs of a variant by seed; of a run that was measured twice, the last."""
        found = {run.seed: run for run in self.runs() if (run.variant, run.steps) == (variant, steps)}
        return dict(sorted(found.items()))

    def start(self, name: str) -> MeasuredRun | None:
        """The measurement of an initial model."""
        return self.of(start_variant(name), 0).get(0)

    def add(self, variant: str, steps: int, seed: int, points: Sequence[Point]) -> None:
        """Append a run that has just ended. Several processes may do so at once."""
        found = {name: version(name) for name in PACKAGES}
        run = MeasuredRun(variant, steps, seed, tuple(points), today(), hardware(), found)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(asdict(run)) + "\n")


def start_variant(name: str) -> str:
    """The variant under which an initial model is listed."""
    return f"start/{name}"


def _read(line: dict[str, Any]) -> MeasuredRun:
    return MeasuredRun(**line | {"points": tuple(Point(**point) for point in line["points"])})


def today() -> str:
    """The date in UTC, in ISO 8601."""
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def hardware() -> str:
    """Processor and number of cores that this process may use."""
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def points_of(demo: Demo) -> list[Point]:
    """The validations of a finished run of GRPO, each with the step that began the stage of the curriculum."""
    entries = _training_steps(demo.metrics)
    seconds = [float(entry["timing_s/step"]) for entry in entries]
    stages = [entry.get("critic/vision_r1/stage", 0.0) for entry in entries]
    steps = sorted(int(path.stem) for path in demo.validations.glob("*.jsonl"))
    return [
        Point(step, round(sum(seconds[:step]), 1), measures_of(demo, step) | _stage_since(stages[:step]))
        for step in steps
    ]


def _stage_since(stages: list[float]) -> dict[str, dict[str, float]]:
    return {"training": {"stage_since": 1 + stages.index(stages[-1])}}


def measures_of(demo: Demo, step: int) -> dict[str, dict[str, float]]:
    """The kept measures of a validation by data set, without those that it cannot have, such as AP of negatives."""
    return measures_in(evaluated(demo, step))


def measures_in(evaluation: "Evaluation") -> dict[str, dict[str, float]]:
    """The same of a validation that is already evaluated."""
    return {found.name.split("/")[0]: _kept(found.values) for found in evaluation.sets}


def _kept(values: Mapping[str, float]) -> dict[str, float]:
    return {key: round(values[key], 5) for key in MEASURES if math.isfinite(values.get(key, math.nan))}


def _training_steps(metrics: Path) -> list[dict[str, float]]:
    """What each training step logged."""
    entries = (json.loads(line)["data"] for line in metrics.read_text(encoding="utf-8").splitlines())
    return [entry for entry in entries if "timing_s/step" in entry]


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
