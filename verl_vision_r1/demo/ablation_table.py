"""Table of the ablations: means over the seeds with 95 % confidence intervals."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from scipy import stats

from verl_vision_r1.demo.ablation_results import MeasuredRun, Point, Results, reached
from verl_vision_r1.demo.ablation_variants import VARIANTS
from verl_vision_r1.evaluation.presentation.tables import Grid

SHOWN: Final = (
    ("shapes_categories", "AP"),
    ("shapes_categories", "F1_50"),
    ("shapes_categories", "precision_50"),
    ("shapes_categories", "recall_50"),
    ("shapes_category", "AP"),
    ("shapes_category", "F1_50"),
)
"""Data set and measure of each column, in percent."""
INITIAL: Final = "initial model"
"""First cell of the lines that are no run."""


def ablation_table(results: Results, steps: int) -> Grid:
    """The runs of so many steps: a line for each initial model, then one for each variant."""
    heading = ("", "prompt", "seeds", *(f"{name}, {_short(where)}" for where, name in SHOWN))
    prompts = dict.fromkeys(variant.prompt for variant in VARIANTS.values())
    initial = ((prompt, results.start(prompt)) for prompt in prompts)
    rows = [(INITIAL, prompt, "", *_cells([start])) for prompt, start in initial if start is not None]
    detected = {name: variant for name, variant in VARIANTS.items() if variant.negatives is None}
    rows += [
        (variant.title, variant.prompt, str(len(runs)), *_cells(runs.values()))
        for name, variant in detected.items()
        if (runs := results.of(name, steps))
    ]
    return Grid(f"after {steps} steps: mean and 95 % CI over the seeds", heading, tuple(rows))


COMPARED: Final = {
    "sampler_off": ("sampler_drop", "sampler_weight"),
    "robust": ("filter_total", "filter_acc", "filter_half_found"),
}
"""Variants whose time to the final AP of a baseline is measured, by baseline."""
AP: Final = ("shapes_categories", "AP")


def time_table(results: Results, steps: int) -> Grid:
    """Steps and seconds after which a run reaches the final AP of its baseline with the same seed.

    A seed counts if both runs are finished; `reached` says in how many of them the AP is reached at all.
    """
    units = [f"{unit}{of}" for unit in ("steps", "seconds") for of in (" of the baseline", "")]
    names = [(baseline, name) for baseline, others in COMPARED.items() for name in others]
    rows = [
        (VARIANTS[name].title, VARIANTS[baseline].title, *times)
        for baseline, name in names
        if (times := _times(results, steps, baseline, name))
    ]
    title = "to the final AP of the baseline, all categories: mean and 95 % CI over the seeds"
    return Grid(title, ("", "baseline", "seeds", "reached", *units), tuple(rows))


def _times(results: Results, steps: int, baseline: str, name: str) -> tuple[str, ...]:
    first, second, start = results.of(baseline, steps), results.of(name, steps), results.start("vision_r1")
    if start is None or not first.keys() & second.keys():
        return ()
    found = [_until(start, first[seed].points, second[seed].points) for seed in first if seed in second]
    done = [times for times in found if None not in times]
    columns = [[float(times[column] or 0.0) for times in done] for column in range(4)]
    return (str(len(found)), str(len(done)), *map(with_interval, columns))


def _until(start: MeasuredRun, baseline: Sequence[Point], points: Sequence[Point]) -> tuple[float | None, ...]:
    """Up to the baseline's final AP: steps of the baseline, steps, seconds of the baseline, seconds."""
    where, measure = AP
    wanted = baseline[-1].measures[where][measure]

    def curve(points: Sequence[Point], x: str) -> list[tuple[float, float]]:
        initial = start.measures[where][measure]
        return [(0.0, initial), *((getattr(point, x), point.measures[where][measure]) for point in points)]

    return tuple(reached(curve(run, x), wanted) for x in ("step", "seconds") for run in (baseline, points))


def _cells(runs: Iterable[MeasuredRun]) -> Iterator[str]:
    numbers = [run.measures for run in runs]
    for where, name in SHOWN:
        yield with_interval([100 * found[where][name] for found in numbers if where in found])


def with_interval(values: Sequence[float]) -> str:
    """The mean, and half the width of Student's 95 % confidence interval if there are several values.

    Example:
        >>> with_interval([1.0]), with_interval([1.0, 2.0, 3.0]), with_interval([])
        ('1.0', '2.0 ± 2.5', '')
    """
    if not values:
        return ""
    mean = f"{np.mean(values):.1f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {half_width(values):.1f}"


def half_width(values: Sequence[float]) -> float:
    """Half the width of Student's 95 % confidence interval of the mean of at least two values."""
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def _short(where: str) -> str:
    return {"shapes_categories": "all", "shapes_category": "one category"}[where]
