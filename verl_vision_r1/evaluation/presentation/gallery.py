"""The images of several runs side by side, with the ground truth and the predictions; the choice of the worst."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from verl_vision_r1.data.picture_grid import CELL, draw_boxes, draw_cells, fitted
from verl_vision_r1.documents import is_regular_file
from verl_vision_r1.evaluation.measures.f1 import Counts
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.presentation.image_files import NoImageError, open_reduced
from verl_vision_r1.evaluation.presentation.outcome_boxes import within

GROUND_TRUTH_COLOUR: Final = "#1b7837"
"""Green."""
PREDICTION_COLOUR: Final = "#d55e00"
"""Orange."""
MAX_NAMED: Final = 12
"""With more objects their names are not written: they would hide the image."""


def worst(truth: GroundTruth, detections: Detections, by_image: Counts, count: int = 12) -> list[int]:
    """The images with the lowest F1, mean over the IoU thresholds; of equal F1 those with more boxes first.

    Args:
        truth: The ground truth.
        detections: The predictions.
        by_image: Their counts, from `f1.counts_by_image`.
        count: Maximum number of images.

    Returns:
        Image indices, without images that have neither objects nor predictions.
    """
    boxes = np.bincount(truth.image, minlength=len(truth.images))
    boxes += np.bincount(detections.image, minlength=len(truth.images))
    score = np.nan_to_num(by_image.f1.mean(axis=1), nan=2.0)
    order = np.lexsort((-boxes, score))
    return [int(index) for index in order if score[index] <= 1][:count]


def draw_before_after(
    truth: GroundTruth, runs: Sequence[tuple[str, Detections, Counts]], images: Sequence[int], path: Path
) -> None:
    """Draw the same images with the predictions of several runs side by side.

    Args:
        truth: The ground truth.
        runs: For each run its name, its predictions, and their counts from `f1.counts_by_image`.
        images: Image indices.
        path: The file to write.
    """
    cells = [
        (_cell(truth, found, index), f"{name}: {_caption(truth, found, index, float(counts.f1[index].mean()))}")
        for index in images
        for name, found, counts in runs
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_cells(cells).save(path, quality=88)


def _cell(truth: GroundTruth, detections: Detections, index: int) -> Image.Image:
    try:
        opened, size = open_reduced(Path(truth.files[index] or "nowhere"), max(CELL))
    except NoImageError as error:
        return without_image(error.note)
    image, scale = fitted(opened)
    scale *= opened.width / size[0]
    for table, colour in ((truth, GROUND_TRUTH_COLOUR), (detections, PREDICTION_COLOUR)):
        own = table.image == index
        labels = [truth.categories[category] for category in table.category[own].tolist()]
        labels = [""] * len(labels) if table is truth and len(labels) > MAX_NAMED else labels
        draw_boxes(image, within(table.boxes[own] * scale, image.size), labels, [colour] * len(labels))
    return image


def without_image(note: str) -> Image.Image:
    """A grey cell with the reason."""
    cell = Image.new("RGB", (CELL[0] - 8, CELL[1] - 8), "grey")
    ImageDraw.Draw(cell).text((12, 12), note, fill="white")
    return cell


def _caption(truth: GroundTruth, detections: Detections, index: int, f1: float) -> str:
    objects = int(((truth.image == index) & ~truth.crowd).sum())
    predicted = int((detections.image == index).sum())
    missing = "" if is_regular_file(Path(truth.files[index] or "nowhere")) else " (image not found)"
    return f"{truth.images[index]}{missing}\nF1 {f1:.2f}, {objects} objects (green), {predicted} predicted (orange)"
