"""The generated part of docs/guides/confidences.md: AP by log-probabilities and by a constant score."""

from collections.abc import Iterator
from statistics import fmean

from generators.ablations import RESULTS
from generators.demo import STEPS
from generators.markdown import between_marks, table
from verl_vision_r1.demo.ablation_results import MeasuredRun
from verl_vision_r1.demo.ablation_table import with_interval
from verl_vision_r1.demo.ablation_variants import VARIANTS

SETS = {"shapes_categories": "all categories", "shapes_category": "one category"}
"""The data sets of the demo, by name in the file."""


def page(written: str) -> str:
    """The page with a line for each variant."""
    columns = [f"AP, {shown}, {kind}" for shown in SETS.values() for kind in ("constant", "log-probability")]
    return between_marks(written, table(("run", "seeds", *columns, "gain, mean"), list(_rows())), "confidences.md")


def measured() -> dict[str, list[MeasuredRun]]:
    """The runs of the demo's number of steps that recorded log-probabilities, by variant."""
    found: dict[str, list[MeasuredRun]] = {}
    for run in RESULTS.runs():
        if run.steps == STEPS and all("AP_logprob" in run.measures.get(name, {}) for name in SETS):
            found.setdefault(run.variant, []).append(run)
    return found


def gain(run: MeasuredRun) -> float:
    """How much AP the ranking adds, mean of both data sets, in percent."""
    return 100 * fmean(run.measures[name]["AP_logprob"] - run.measures[name]["AP"] for name in SETS)


def _rows() -> Iterator[tuple[str, ...]]:
    runs = measured()
    for variant, own in runs.items():
        yield (VARIANTS[variant].title, str(len(own)), *_cells(own), with_interval([gain(run) for run in own]))
    everything = [run for own in runs.values() for run in own]
    if everything:
        cells = _cells(everything)
        yield ("all runs", str(len(everything)), *cells, with_interval([gain(run) for run in everything]))


def _cells(runs: list[MeasuredRun]) -> Iterator[str]:
    for name in SETS:
        for measure in ("AP", "AP_logprob"):
            yield with_interval([100 * run.measures[name][measure] for run in runs])
