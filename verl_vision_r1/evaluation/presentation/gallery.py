"""The images that a model sees worst, with what is there and what was said drawn on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from verl_vision_r1.data.picture_grid import CELL, draw_boxes, draw_cells, fitted
from verl_vision_r1.evaluation.measures.f1 import Counts
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

THERE: Final = "#1b7837"
"""Colour of what is there."""
SAID: Final = "#d55e00"
"""Colour of what was said."""
NAMED: Final = 12
"""Objects of an image up to which they are named: more names would hide it."""


def worst(truth: GroundTruth, detections: Detections, by_image: Counts, count: int = 12) -> list[int]:
    """The images of the lowest F1 over the thresholds, among equals those with more boxes first.

    Args:
        truth: What is there.
        detections: What was said.
        by_image: `f1.counts_by_image` of the two.
        count: How many at most; images with neither objects nor predictions are none.
    """
    boxes = np.bincount(truth.image, minlength=len(truth.images))
    boxes += np.bincount(detections.image, minlength=len(truth.images))
    score = np.nan_to_num(by_image.f1.mean(axis=1), nan=2.0)
    order = np.lexsort((-boxes, score))
    return [int(index) for index in order if score[index] <= 1][:count]


def draw_gallery(
    truth: GroundTruth, detections: Detections, by_image: Counts, images: Sequence[int], path: Path
) -> None:
    """Draw images on one sheet: what is there in green, what was said in orange.

    Args:
        truth: What is there.
        detections: What was said.
        by_image: `f1.counts_by_image` of the two.
        images: Numbers of the images.
        path: The file to write. An image that is not here or cannot be read is a grey cell that says so.
    """
    f1 = by_image.f1.mean(axis=1)
    cells = [
        (_cell(truth, detections, index), _caption(truth, detections, index, float(f1[index]))) for index in images
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_cells(cells).save(path, quality=88)


def draw_before_after(
    truth: GroundTruth, runs: Sequence[tuple[str, Detections, Counts]], images: Sequence[int], path: Path
) -> None:
    """Draw the same images of several runs side by side.

    Args:
        truth: What is there.
        runs: Of each run its name, what was said, and `f1.counts_by_image`.
        images: Numbers of the images.
        path: The file to write.
    """
    cells = [
        (_cell(truth, said, index), f"{name}: {_caption(truth, said, index, float(counts.f1[index].mean()))}")
        for index in images
        for name, said, counts in runs
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_cells(cells).save(path, quality=88)


def _cell(truth: GroundTruth, detections: Detections, index: int) -> Image.Image:
    try:
        with Image.open(truth.files[index] or "nowhere") as opened:
            image, scale = fitted(opened)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return _unreadable(truth.files[index])
    for table, colour in ((truth, THERE), (detections, SAID)):
        own = table.image == index
        labels = [truth.categories[category] for category in table.category[own].tolist()]
        labels = [""] * len(labels) if table is truth and len(labels) > NAMED else labels
        within = np.clip(table.boxes[own] * scale, 0, np.tile(image.size, 2) - 1)
        # A box whose corners are the wrong way round is drawn as if they were not.
        corners = np.sort(within.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
        draw_boxes(image, corners, labels, [colour] * len(labels))
    return image


def _unreadable(file: str) -> Image.Image:
    """A grey cell that says why it is one."""
    cell = Image.new("RGB", (CELL[0] - 8, CELL[1] - 8), "grey")
    reason = "the image cannot be read" if file and Path(file).is_file() else "the image is not here"
    ImageDraw.Draw(cell).text((12, 12), reason, fill="white")
    return cell


def _caption(truth: GroundTruth, detections: Detections, index: int, f1: float) -> str:
    objects = int(((truth.image == index) & ~truth.crowd).sum())
    said = int((detections.image == index).sum())
    missing = "" if Path(truth.files[index] or "nowhere").is_file() else " (image not here)"
    return f"{truth.images[index]}{missing}\nF1 {f1:.2f}, {objects} there (green), {said} said (orange)"
