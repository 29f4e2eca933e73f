"""The generated part of docs/get_started/demo.md: the demo's results by seed, from docs/ablations.jsonl."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from generators.ablations import RESULTS
from generators.markdown import between_marks, table
from verl_vision_r1.demo.ablation_results import MeasuredRun

STEPS = 40
"""Steps of `make demo`."""


@dataclass(frozen=True)
class Result:
    """The result of one run, or the initial model, in percent.

    Attributes:
        everything: AP of the prompts with all categories.
        single: AP of the prompts with one category.
        f1_50: F1 at IoU 0.5, mean of both.
        f1: F1 over IoU 0.5 to 0.95, mean of both.
        minutes: Time of the training steps.
    """

    everything: float
    single: float
    f1_50: float
    f1: float
    minutes: float

    @property
    def ap(self) -> float:
        """AP, mean of both."""
        return (self.everything + self.single) / 2


def start() -> Result:
    """The initial model."""
    run = RESULTS.start("vision_r1")
    if run is None:
        raise ValueError(f"{RESULTS.file}: expected a line of the variant start/vision_r1, got none")
    return _result(run)


def results() -> dict[int, Result]:
    """The runs of the demo by seed."""
    return {seed: _result(run) for seed, run in RESULTS.of("robust", STEPS).items()}


def _result(run: MeasuredRun) -> Result:
    both = [run.measures[name] for name in ("shapes_categories", "shapes_category")]
    f1_50, f1 = (100 * fmean(found[name] for found in both) for name in ("F1_50", "F1"))
    return Result(*(100 * found["AP"] for found in both), f1_50, f1, run.points[-1].seconds / 60)


def page(written: str) -> str:
    """The page with the table of all seeds."""
    heading = (
        *("seed", "AP, all categories", "AP, one category", "AP, mean", "times the start"),
        *("F1 at IoU 0.5, mean", "F1 over 0.5:0.95, mean", "training, minutes"),
    )
    return between_marks(written, table(heading, list(_rows())), "get_started/demo.md")


def _rows() -> Iterator[tuple[str, ...]]:
    first = start()
    yield ("start", *_cells(first), f"{first.ap:.1f}", "", f"{first.f1_50:.1f}", f"{first.f1:.1f}", "")
    for seed, run in results().items():
        shares = (f"{run.ap:.1f}", f"{run.ap / first.ap:.2f}", f"{run.f1_50:.1f}", f"{run.f1:.1f}")
        yield (str(seed), *_cells(run), *shares, f"{run.minutes:.1f}")


def _cells(run: Result) -> tuple[str, str]:
    return f"{run.everything:.1f}", f"{run.single:.1f}"
