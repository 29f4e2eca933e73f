"""Sheets of example images with boxes coloured by outcome: the worst images, and examples of each kind of error."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verl_vision_r1.boxes import area, pairwise_iou
from verl_vision_r1.data.picture_grid import CELL, COLUMNS, draw_cells, fitted, shortened
from verl_vision_r1.evaluation.measures.f1 import Counts
from verl_vision_r1.evaluation.measures.outcomes import (
    FALSE,
    FOUND,
    IGNORED,
    MISSED,
    OUTCOMES,
    WRONG_LABEL,
    outcomes_of_set,
)
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.presentation.gallery import without_image
from verl_vision_r1.evaluation.presentation.image_files import NoImageError, open_reduced
from verl_vision_r1.evaluation.presentation.outcome_boxes import Mark, draw_marks, with_legend, within

ERRORS: Final = (*(name for name in OUTCOMES if name != FOUND), MISSED)
"""The rows of the sheet of errors."""
MARGIN: Final = 0.6
"""Margin around the boxes of an example, in their longer side."""
LEAST: Final = 96.0
"""Smallest side of an example in pixels of the image."""
SIDE: Final = 2048
"""Longer side to which an image is reduced before an example is cut out of it."""


class _Outcomes:
    """The outcomes of a data set, and the marks of its boxes."""

    def __init__(self, truth: GroundTruth, detections: Detections) -> None:
        self.truth, self.detections = truth, detections
        self.codes, found = outcomes_of_set(truth, detections)
        self.missed = ~found & ~truth.crowd

    def rows(self, outcome: str) -> NDArray[np.intp]:
        """The predictions, or missed objects, with this outcome."""
        chosen = self.missed if outcome == MISSED else self.codes == OUTCOMES.index(outcome)
        return np.flatnonzero(chosen)

    def marks(self, image: int) -> list[Mark]:
        """The predictions and missed objects of an image, in pixels of the image."""
        rows = np.flatnonzero((self.detections.image == image) & (self.codes != IGNORED))
        objects = np.flatnonzero((self.truth.image == image) & self.missed)
        return [*map(self.prediction, rows), *map(self.object, objects)]

    def prediction(self, index: int) -> Mark:
        """A prediction, in pixels of the image."""
        name = self.truth.categories[self.detections.category[index]]
        return Mark(self.detections.boxes[index], OUTCOMES[self.codes[index]], name)

    def object(self, index: int) -> Mark:
        """An object, found or missed, in pixels of the image."""
        name = self.truth.categories[self.truth.category[index]]
        return Mark(self.truth.boxes[index], MISSED if self.missed[index] else FOUND, name)


def draw_worst(
    truth: GroundTruth, detections: Detections, by_image: Counts, images: Sequence[int], path: Path
) -> None:
    """Draw images on one sheet, with predictions and missed objects coloured by outcome.

    Args:
        truth: The ground truth.
        detections: The predictions.
        by_image: Their counts, from `f1.counts_by_image`.
        images: Image indices.
        path: The file to write. An image that is missing or cannot be read is a grey cell with a note.
    """
    known, f1 = _Outcomes(truth, detections), by_image.f1.mean(axis=1)
    cells = [_whole(known, index, float(f1[index])) for index in images]
    _save(draw_cells(cells), (*OUTCOMES, MISSED), path)


def _whole(known: _Outcomes, index: int, f1: float) -> tuple[Image.Image, str]:
    truth, detections = known.truth, known.detections
    counts = Counter(OUTCOMES[code] for code in known.codes[detections.image == index].tolist() if code != IGNORED)
    counts[MISSED] = int((known.missed & (truth.image == index)).sum())
    parts = [f"{counts[name]} {name}" for name in (*OUTCOMES, MISSED) if counts[name]]
    caption = f"{shortened(truth.images[index], 36)}: F1@mIoU {f1:.2f}\n{', '.join(parts[:3])}"
    caption += "".join(f"\n{', '.join(rest)}" for rest in [parts[3:]] if rest)
    try:
        opened, size = open_reduced(Path(truth.files[index] or "nowhere"), max(CELL))
    except NoImageError as error:
        return without_image(error.note), caption
    image, scale = fitted(opened)
    draw_marks(image, known.marks(index), scale * opened.width / size[0])
    return image, caption


def draw_errors(truth: GroundTruth, detections: Detections, path: Path) -> bool:
    """Draw examples of each kind of error, a row for each: those of the highest score, then the largest.

    Args:
        truth: The ground truth.
        detections: The predictions.
        path: The file to write.

    Returns:
        Whether there is an error; without one no file is written.
    """
    known = _Outcomes(truth, detections)
    cells = list[tuple[Image.Image, str]]()
    shown = [name for name in ERRORS if len(known.rows(name))]
    for name in shown:
        row = [_example(known, name, index) for index in _telling(known, name)]
        cells += row + [(Image.new("RGB", (1, 1), "white"), "")] * (COLUMNS - len(row))
    if cells:
        _save(draw_cells(cells), (*shown, FOUND, MISSED), path)
    return bool(cells)


def _telling(known: _Outcomes, outcome: str) -> list[int]:
    """The most telling predictions or objects of an outcome, each from another image where there are enough."""
    rows, truth = known.rows(outcome), known.truth
    table = truth if outcome == MISSED else known.detections
    scores = np.zeros(len(rows)) if isinstance(table, GroundTruth) else table.scores[rows]
    rows = rows[np.lexsort((-area(table.boxes[rows]), -scores))]
    _, first = np.unique(table.image[rows], return_index=True)
    rest = np.setdiff1d(np.arange(len(rows)), first)
    return [int(index) for index in rows[np.append(np.sort(first), rest)][:COLUMNS]]


def _example(known: _Outcomes, outcome: str, index: int) -> tuple[Image.Image, str]:
    """The part of the image around a prediction and the object that it overlaps most, or around a missed object."""
    truth, detections = known.truth, known.detections
    table = truth if outcome == MISSED else detections
    image, box = int(table.image[index]), table.boxes[index]
    said = shortened(truth.categories[table.category[index]], 24)
    score = "" if outcome == MISSED or detections.constant else f" {detections.scores[index]:.2f}"
    caption, marks = (
        f"{outcome}: {said}{score}",
        [known.object(index) if outcome == MISSED else known.prediction(index)],
    )
    objects = np.flatnonzero((truth.image == image) & ~truth.crowd)
    if outcome not in (MISSED, FALSE) and len(objects):
        iou = pairwise_iou(box[None], truth.boxes[objects])[0]
        same = truth.category[objects] == detections.category[index]
        best = int(np.argmax(iou + (same if outcome != WRONG_LABEL else 0)))
        other = truth.boxes[objects[best]]
        marks.append(known.object(int(objects[best])))
        box = np.concatenate([np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])])
        caption += f"\nobject: {shortened(truth.categories[truth.category[objects[best]]], 24)}, IoU {iou[best]:.2f}"
    caption += f"\n{shortened(truth.images[image], 50)}"
    try:
        opened, size = open_reduced(Path(truth.files[image] or "nowhere"), SIDE)
    except NoImageError as error:
        return without_image(error.note), caption
    factor = opened.width / size[0]
    corners = _around(within(box[None], size)[0], size)
    cut, scale = fitted(opened.crop(tuple(np.round(corners * factor).astype(int).tolist())))
    draw_marks(cut, marks, scale * factor, corners[:2])
    return cut, caption


def _around(box: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """The part of an image around a box, in the proportions of a cell, in pixels of the image."""
    centre, sides = (box[:2] + box[2:]) / 2, (box[2:] - box[:2])
    high = max((1 + MARGIN) * max(float(sides[1]), float(sides[0]) * CELL[1] / CELL[0]), LEAST)
    half = np.array([high * CELL[0] / CELL[1], high]) / 2
    return np.clip(np.concatenate([centre - half, centre + half]), 0, np.tile(size, 2))


def _save(sheet: Image.Image, shown: Sequence[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with_legend(sheet, shown).save(path, quality=88)
