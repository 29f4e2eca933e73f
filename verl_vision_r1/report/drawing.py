"""An answer drawn on its image: what is there in green, what was said in orange, a line from a box to its object."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.data.picture_grid import LINE, draw_boxes
from verl_vision_r1.data.readers.image_size import read_size
from verl_vision_r1.evaluation.presentation.gallery import SAID, THERE
from verl_vision_r1.rewards.explanation import Explanation, Verdict
from verl_vision_r1.rewards.explanation.words import printable
from verl_vision_r1.targets import Target

SIDES: Final = (640, 1600)
"""Pixels of the longer side of a picture: smaller and larger images are scaled to that."""
NAMED: Final = 30
"""Boxes up to which they are named: more names would hide the picture."""

Rectangle = tuple[float, float, float, float]
"""`xyxy` in pixels of the picture."""


def open_image(path: Path, target: Target) -> Image.Image:
    """The image that a target is about.

    Args:
        path: The file.
        target: The ground truth.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no image, or has another size than the target says.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the image of the answer, got no such file")
    size, _ = read_size(path)
    if size != (target.width, target.height):
        raise ValueError(f"{path}: expected {target.width}x{target.height} pixels, got {size[0]}x{size[1]}")
    with Image.open(path) as opened:
        return opened.convert("RGB")


def draw(explanation: Explanation, image: Image.Image | None = None) -> Image.Image:
    """Draw an answer: objects in green, predictions in orange, each pair joined by a line.

    Args:
        explanation: The answer.
        image: Its image, of the size that the target says; plain grey without one.

    Returns:
        The picture, whose longer side has `SIDES` pixels at least and at most.
    """
    target = explanation.target
    longer = max(target.width, target.height)
    scale = min(max(longer, SIDES[0]), SIDES[1]) / longer
    size = (max(1, round(target.width * scale)), max(1, round(target.height * scale)))
    picture = Image.new("RGB", size, "grey") if image is None else image.resize(size)
    objects = _within(target.boxes * scale, size)
    drawn = [verdict for verdict in explanation.verdicts if np.isfinite(verdict.box).all()]
    boxes = _within(np.array([verdict.box for verdict in drawn], dtype=np.float64).reshape(-1, 4) * scale, size)
    for group, colour in ((objects, THERE), (boxes, SAID)):
        draw_boxes(picture, group, [""] * len(group), [colour] * len(group))
    _join(picture, boxes, objects, drawn)
    taken: list[Rectangle] = []
    for box, words in zip(objects.tolist(), _objects(explanation), strict=True):
        _write(picture, (box[0], box[1] - LINE), words, THERE, taken)
    for (left, top, _, bottom), verdict in zip(boxes.tolist(), drawn, strict=True):
        within = bottom - LINE if bottom - top > 2 * LINE else bottom
        _write(picture, (left + 2, within), _prediction(verdict, explanation), SAID, taken)
    return picture


def _within(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """Boxes cut at the border; one whose corners are the wrong way round is drawn as if they were not."""
    within = np.clip(boxes, 0, np.array([*size, *size]) - 1)
    corners: NDArray[np.float64] = np.sort(within.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    return corners


def _objects(explanation: Explanation) -> list[str]:
    target, missed = explanation.target, explanation.missed or ()
    names = [printable(label, 24) for label in target.labels[: len(target.boxes)]]
    if len(names) > NAMED:
        return [str(number) for number in range(1, len(names) + 1)]
    ends = [", missed" if number in missed else "" for number in range(1, len(names) + 1)]
    return [f"object {number}: {name}{end}" for number, (name, end) in enumerate(zip(names, ends, strict=True), 1)]


def _prediction(verdict: Verdict, explanation: Explanation) -> str:
    if len(explanation.verdicts) > NAMED:
        return str(verdict.number)
    name = "" if verdict.label is None else f" {printable(verdict.label, 24)}"
    if explanation.missed is None:
        return f"{verdict.number}{name}"
    return f"{verdict.number}{name}: {'no object' if verdict.object is None else f'object {verdict.object}'}"


def _join(picture: Image.Image, boxes: Boxes, objects: Boxes, verdicts: list[Verdict]) -> None:
    """A line from the middle of each matched box to that of its object."""
    pen = ImageDraw.Draw(picture)
    for box, verdict in zip(boxes, verdicts, strict=True):
        if verdict.object is not None:
            ends = [(corners[:2] + corners[2:]) / 2 for corners in (box, objects[verdict.object - 1])]
            pen.line([tuple(end.tolist()) for end in ends], fill=SAID, width=2)


def _write(picture: Image.Image, place: tuple[float, float], words: str, colour: str, taken: list[Rectangle]) -> None:
    """A name at a place, or above it where it would hide another: of objects over the box, of predictions in it."""
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=12)
    width = pen.textlength(words, font=font)
    x = max(0.0, min(place[0], picture.width - width))
    y = _free(x, max(0.0, min(place[1], picture.height - LINE)), width, taken)
    pen.rectangle(pen.textbbox((x, y), words, font=font), fill=colour)
    pen.text((x, y), words, fill="white", font=font)


def _free(x: float, y: float, width: float, taken: list[Rectangle]) -> float:
    """The next height at or above a place at which a name hides no other, which is then taken; else the place."""
    for higher in range(int(y // LINE) + 1):
        top = y - higher * LINE
        if not any(x < x2 and x1 < x + width and top < y2 and y1 < top + LINE for x1, y1, x2, y2 in taken):
            taken.append((x, top, x + width, top + LINE))
            return top
    return y
