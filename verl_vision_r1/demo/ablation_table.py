"""Table of the ablations: means over the seeds with 95 % confidence intervals."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from scipy import stats

from verl_vision_r1.demo.ablations import VARIANTS, Ablations, result_of, start_of
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


def ablation_table(plan: Ablations) -> Grid:
    """The finished runs: a line for each initial model, then one for each variant."""
    heading = ("", "prompt", "seeds", *(f"{name}, {_short(where)}" for where, name in SHOWN))
    prompts = dict.fromkeys(variant.prompt for variant in VARIANTS.values())
    initial = ((prompt, start_of(plan, prompt)) for prompt in prompts)
    rows = [("initial model", prompt, "", *_cells([file])) for prompt, file in initial if file.is_file()]
    rows += [
        (VARIANTS[name].title, VARIANTS[name].prompt, str(len(files)), *_cells(files)) for name, files in _done(plan)
    ]
    return Grid(f"after {plan.steps} steps: mean and 95 % CI over the seeds", heading, tuple(rows))


def _done(plan: Ablations) -> Iterator[tuple[str, list[Path]]]:
    for name in VARIANTS:
        files = sorted(result_of(plan, name, 0).parent.parent.glob("*/result.json"))
        if files:
            yield name, files


def _cells(files: Sequence[Path]) -> Iterator[str]:
    numbers = [json.loads(file.read_text(encoding="utf-8")) for file in files]
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
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean} ± {half:.1f}"


def _short(where: str) -> str:
    return {"shapes_categories": "all", "shapes_category": "one category"}[where]
