"""Table of the ablations of refusal: AP of the positive samples, and what is refused."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from verl_vision_r1.demo.ablation_table import with_interval
from verl_vision_r1.demo.ablations import NEVER_REFUSES, VARIANTS, Ablations, result_of, start_of
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


def refusal_table(plan: Ablations) -> Grid:
    """The finished runs of the variants of refusal; a line for each seed, and one for their mean."""
    start = start_of(plan, NEVER_REFUSES)
    rows = [("initial model", "", *_cells([start]))] if start.is_file() else []
    for name in (name for name, variant in VARIANTS.items() if variant.negatives is not None):
        files = [result_of(plan, name, seed) for seed in range(plan.seeds)]
        done = {str(seed): file for seed, file in enumerate(files) if file.is_file()}
        rows += [(VARIANTS[name].title, seed, *_cells([file])) for seed, file in done.items()]
        if len(done) > 1:
            rows.append((VARIANTS[name].title, "mean", *_cells(list(done.values()))))
    return Grid(f"refusal after {plan.steps} steps, by seed; mean and 95 % CI", ("", "seed", *COLUMNS), tuple(rows))


def _cells(files: Sequence[Path]) -> Iterator[str]:
    numbers = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    for where, name in COLUMNS.values():
        yield with_interval([100 * found[where][name] for found in numbers])
