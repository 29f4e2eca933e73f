"""Tables to paste into a paper, of single categories, and of TIDE's error types. Fractions are in percent."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from verl_vision_r1.evaluation.evaluate import Evaluation
from verl_vision_r1.evaluation.measure import TASKS, Measured
from verl_vision_r1.evaluation.measures.detection import by_category
from verl_vision_r1.evaluation.measures.tide import TYPES
from verl_vision_r1.evaluation.presentation.style import PRINTED
from verl_vision_r1.evaluation.presentation.tables import SIDE_BY_SIDE, Grid, shown

HEADINGS: Final = {
    "detection": PRINTED,
    "grounding": {"accuracy_50": "Acc@0.5", "mean_IoU": "mIoU", "gIoU": "gIoU", "cIoU": "cIoU"},
    "classification": {"accuracy": "Acc", "accuracy_published": "Acc Visual-RFT"},
    "counting": {"accuracy": "Acc", "within_1": "Acc±1", "absolute_error": "MAE", "bias": "Bias"},
    "pointing": {"accuracy": "Acc", "precision": "P", "F1": "F1", "count_error": "MAE"},
}
"""The names of the metrics in papers, by task; metrics that no data set has are left out."""

ERRORS: Final = {
    "Cls": "wrong category",
    "Loc": "misplaced",
    "Both": "wrong category, misplaced",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed object",
}


def paper_tables(evaluation: Evaluation) -> Iterator[Grid]:
    """One table for each task, with the data sets as rows, then one for each detection set, with its categories."""
    for task in TASKS:
        found = sorted((measured for measured in evaluation.sets if measured.task == task), key=lambda own: own.name)
        if found:
            yield _paper_table(task, found, evaluation)
    for measured in evaluation.sets:
        if measured.tables is not None:
            yield _category_table(measured, evaluation)


def _paper_table(task: str, found: Sequence[Measured], evaluation: Evaluation) -> Grid:
    headings = {name: short for name, short in HEADINGS[task].items() if any(name in own.values for own in found)}
    rows = [(own.name, *_cells(own.values, headings)) for own in found]
    if len(found) > 1:
        rows.append(("Mean", *_cells(evaluation.means[task], headings)))
    images = sum(len(own.images) for own in found)
    return Grid(_caption(task.capitalize(), images, evaluation), ("Data set", *headings.values()), tuple(rows))


def _cells(values: dict[str, float], names: dict[str, str]) -> list[str]:
    return [shown(name, values.get(name, math.nan)) for name in names]


def _caption(what: str, images: int, evaluation: Evaluation) -> str:
    return f"{what}: protocol {evaluation.protocol.name}, {images:,} images, {evaluation.date}"


def _category_table(measured: Measured, evaluation: Evaluation) -> Grid:
    """The categories, those with most objects first, and all together."""
    tables, values = measured.tables, measured.values
    assert tables is not None
    found = by_category(tables.truth, tables.ap, tables.by_category)
    named = {name: PRINTED[name] for name in ("AP", "AP50", "F1_50", "precision_50", "recall_50")}
    order = sorted(found, key=lambda name: (-found[name]["objects"], name))
    rows = [
        (name, *(f"{found[name][count]:,}" for count in ("objects", "predicted")), *_cells(found[name], named))
        for name in order
        if found[name]["objects"] or found[name]["predicted"]
    ]
    total = (f"{int(sum(own[count] for own in found.values())):,}" for count in ("objects", "predicted"))
    rows.append(("All", *total, *_cells(values, named)))
    title = _caption(f"{measured.name} by category", len(measured.images), evaluation)
    return Grid(title, ("Category", "Objects", "Predicted", *named.values()), tuple(rows))


def error_tables(evaluation: Evaluation) -> Iterator[Grid]:
    """TIDE's errors of the detection sets: by how much AP50 rises without them, and how many there are."""
    found = [(own.name, own.tables.tide) for own in evaluation.sets if own.tables and own.tables.tide]
    if not found:
        return
    cells = {
        name: [f"{shown(kind, errors.gains[kind])} ({errors.counts[kind]:,})" for kind in TYPES]
        for name, errors in found
    }
    title = "TIDE's errors: rise of AP50 without them (number)"
    if len(found) <= SIDE_BY_SIDE:
        rows = zip([f"{kind}: {ERRORS[kind]}" for kind in TYPES], *cells.values(), strict=True)
        yield Grid(title, ("", *cells), tuple(rows))
    else:
        yield Grid(title, ("data set", *TYPES), tuple((name, *row) for name, row in cells.items()))
