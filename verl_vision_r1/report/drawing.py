"""Draw a scored completion on its image: objects in green, predictions and their matches in orange.

A point is a dot where it hits, else a cross.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.data.picture_grid import LINE, draw_boxes, draw_outlines, draw_points
from verl_vision_r1.evaluation.presentation.gallery import GROUND_TRUTH_COLOUR, PREDICTION_COLOUR
from verl_vision_r1.evaluation.presentation.image_files import open_reduced
from verl_vision_r1.rewards.explanation import Explanation, Verdict
from verl_vision_r1.shown import printable
from verl_vision_r1.targets import Target

SIDES: Final = (640, 1600)
"""Minimum and maximum of the longer side in pixels, to which other images are scaled."""
MAX_NAMED: Final = 30
"""With more boxes only their numbers are written: names would hide the image."""

Rectangle = tuple[float, float, float, float]
"""`xyxy` in pixels of the drawing."""


def open_image(path: Path, target: Target) -> Image.Image:
    """Open the image of a sample, reduced to `SIDES`.

    Args:
        path: The image file.
        target: The ground truth.

    Raises:
        ValueError: The file does not exist, is not an image or is too large, or its size is not that of the target.
    """
    image, size = open_reduced(path, SIDES[1])
    if size != (target.width, target.height):
        expected = f"{target.width}x{target.height}"
        raise ValueError(f"{path}: expected {expected} pixels as in the target, got {size[0]}x{size[1]}")
    return image


def draw(explanation: Explanation, image: Image.Image | None = None) -> Image.Image:
    """Draw a scored completion: objects in green, predictions in orange, a line for each match.

    Args:
        explanation: The explained reward of the completion.
        image: The image, in the proportions of the target; None draws on grey.

    Returns:
        The drawing; its longer side is within `SIDES`.
    """
    target = explanation.target
    longer = max(target.width, target.height)
    scale = min(max(longer, SIDES[0]), SIDES[1]) / longer
    size = (max(1, round(target.width * scale)), max(1, round(target.height * scale)))
    picture = Image.new("RGB", size, "grey") if image is None else image.resize(size)
    objects = _within(target.boxes * scale, size)
    drawn = [verdict for verdict in explanation.verdicts if np.isfinite(verdict.box).all()]
    boxes = _within(np.array([verdict.box for verdict in drawn], dtype=np.float64).reshape(-1, 4) * scale, size)
    draw_boxes(picture, objects, [""] * len(objects), [GROUND_TRUTH_COLOUR] * len(objects))
    outlines = [tuple(ring * scale for ring in outline) for outline in target.outlines]
    draw_outlines(picture, outlines, [GROUND_TRUTH_COLOUR] * len(outlines))
    if target.task == "pointing":
        hits = [verdict.object is not None for verdict in drawn]
        draw_points(picture, boxes[:, :2], [PREDICTION_COLOUR] * len(drawn), hits)
    else:
        draw_boxes(picture, boxes, [""] * len(boxes), [PREDICTION_COLOUR] * len(boxes))
    _join(picture, boxes, objects, drawn)
    taken: list[Rectangle] = []
    for box, name in zip(objects.tolist(), _object_names(explanation), strict=True):
        _write(picture, (box[0], box[1] - LINE), name, GROUND_TRUTH_COLOUR, taken)
    for (left, top, _, bottom), verdict in zip(boxes.tolist(), drawn, strict=True):
        within = bottom - LINE if bottom - top > 2 * LINE else bottom
        _write(picture, (left + 2, within), _prediction_name(verdict, explanation), PREDICTION_COLOUR, taken)
    return picture


def _within(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """Boxes clipped to the image; swapped corners are swapped back."""
    within = np.clip(boxes, 0, np.array([*size, *size]) - 1)
    corners: NDArray[np.float64] = np.sort(within.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    return corners


def _object_names(explanation: Explanation) -> list[str]:
    target, missed = explanation.target, explanation.missed or ()
    names = [printable(label, 24) for label in target.labels[: len(target.boxes)]]
    if len(names) > MAX_NAMED:
        return [str(number) for number in range(1, len(names) + 1)]
    ends = [", missed" if number in missed else "" for number in range(1, len(names) + 1)]
    return [f"object {number}: {name}{end}" for number, (name, end) in enumerate(zip(names, ends, strict=True), 1)]


def _prediction_name(verdict: Verdict, explanation: Explanation) -> str:
    if len(explanation.verdicts) > MAX_NAMED:
        return str(verdict.number)
    name = "" if verdict.label is None else f" {printable(verdict.label, 24)}"
    if explanation.missed is None:
        return f"{verdict.number}{name}"
    return f"{verdict.number}{name}: {'no object' if verdict.object is None else f'object {verdict.object}'}"


def _join(picture: Image.Image, boxes: Boxes, objects: Boxes, verdicts: list[Verdict]) -> None:
    """Draw a line from the centre of each matched box to that of its object."""
    pen = ImageDraw.Draw(picture)
    for box, verdict in zip(boxes, verdicts, strict=True):
        if verdict.object is not None:
            ends = [(corners[:2] + corners[2:]) / 2 for corners in (box, objects[verdict.object - 1])]
            pen.line([tuple(end.tolist()) for end in ends], fill=PREDICTION_COLOUR, width=2)


def _write(picture: Image.Image, place: tuple[float, float], name: str, colour: str, taken: list[Rectangle]) -> None:
    """Write a name at a place, or above it if it would cover another name."""
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=12)
    width = pen.textlength(name, font=font)
    x = max(0.0, min(place[0], picture.width - width))
    y = _free(x, max(0.0, min(place[1], picture.height - LINE)), width, taken)
    pen.rectangle(pen.textbbox((x, y), name, font=font), fill=colour)
    pen.text((x, y), name, fill="white", font=font)


def _free(x: float, y: float, width: float, taken: list[Rectangle]) -> float:
    """The lowest free position at or above y, which is then taken; y if none is free."""
    for higher in range(int(y // LINE) + 1):
        top = y - higher * LINE
        if not any(x < x2 and x1 < x + width and top < y2 and y1 < top + LINE for x1, y1, x2, y2 in taken):
            taken.append((x, top, x + width, top + LINE))
            return top
    return y
