"""Table of the ablations of refusal: AP of the positive samples, and what is refused."""

from collections.abc import Iterable, Iterator
from typing import Final

from verl_vision_r1.demo.ablation_results import MeasuredRun, Results
from verl_vision_r1.demo.ablation_table import INITIAL, with_interval
from verl_vision_r1.demo.ablation_variants import NEVER_REFUSES, VARIANTS
from verl_vision_r1.demo.refusal import ABSENT, OTHERS
from verl_vision_r1.evaluation.presentation.tables import Grid

COLUMNS: Final = {
    "AP, all": ("shapes_categories", "AP"),
    "AP, one category": ("shapes_category", "AP"),
    "refused: all": ("shapes_categories", "positives_refused"),
    "one category": ("shapes_category", "positives_refused"),
    "other colours": (OTHERS, "negatives_refused"),
    "absent category": (ABSENT, "negatives_refused"),
}
"""Data set and measure of each column, in percent. Only the last two data sets have negative samples."""


def refusal_table(results: Results, steps: int) -> Grid:
    """The finished runs of the variants of refusal; a line for each seed, and one for their mean."""
    start = results.start(NEVER_REFUSES)
    rows = [(INITIAL, "", *_cells([start]))] if start is not None else []
    for name in (name for name, variant in VARIANTS.items() if variant.negatives is not None):
        runs = results.of(name, steps)
        rows += [(VARIANTS[name].title, str(seed), *_cells([run])) for seed, run in runs.items()]
        if len(runs) > 1:
            rows.append((VARIANTS[name].title, "mean", *_cells(runs.values())))
    return Grid(f"refusal after {steps} steps, by seed; mean and 95 % CI", ("", "seed", *COLUMNS), tuple(rows))


def _cells(runs: Iterable[MeasuredRun]) -> Iterator[str]:
    numbers = [run.measures for run in runs]
    for where, name in COLUMNS.values():
        yield with_interval([100 * found[where][name] for found in numbers])
