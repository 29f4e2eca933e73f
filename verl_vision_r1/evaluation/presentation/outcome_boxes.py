"""Boxes coloured by their outcome, on an image, with a legend for the whole sheet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.data.picture_grid import LINE, shortened
from verl_vision_r1.evaluation.measures.outcomes import FOUND, MISSED
from verl_vision_r1.evaluation.presentation.style import OUTCOME_COLOURS, overlap

DASH: Final = 7
"""Length of a dash, and of the gap after it, in pixels."""
LEGEND: Final = 30
"""Height of the legend in pixels."""


@dataclass(frozen=True)
class Mark:
    """One box to draw.

    Attributes:
        box: (4,) `xyxy` in pixels of the original image.
        outcome: Its outcome, one of the keys of `style.OUTCOME_COLOURS`; a missed object is dashed.
        name: What to write at it, where there is room; may be empty.
    """

    box: NDArray[np.float64]
    outcome: str
    name: str


def draw_marks(
    image: Image.Image, marks: Sequence[Mark], scale: float, corner: NDArray[np.float64] | None = None
) -> None:
    """Draw boxes on an image, errors above what is found, and names where they cover no other name.

    Args:
        image: The image, or a part of it, drawn on in place.
        marks: The boxes.
        scale: Pixels of the drawing for each pixel of the original image.
        corner: (2,) x and y of the drawing's upper left corner in the original image; by default its own corner.
    """
    start = np.zeros(4) if corner is None else np.tile(corner, 2)
    marks = [replace(mark, box=within((mark.box - start) * scale, image.size)[0]) for mark in marks]
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=12)
    order = [FOUND, MISSED]
    for mark in sorted(marks, key=lambda mark: order.index(mark.outcome) if mark.outcome in order else len(order)):
        _outline(pen, mark)
    taken: list[tuple[float, ...]] = []
    for mark in sorted(marks, key=lambda mark: mark.outcome == FOUND):
        name = shortened(mark.name, 24)
        wide = pen.textlength(name, font=font)
        if not name or wide > max(60.0, 1.5 * float(mark.box[2] - mark.box[0])):
            continue
        left = max(0.0, min(float(mark.box[0]), image.width - wide))
        for top in (float(mark.box[1]) - LINE, float(mark.box[1]) + 1, float(mark.box[3]) + 1):
            place = (left, top, left + wide, top + LINE)
            if 0 <= top <= image.height - LINE and not any(overlap(place, other) for other in taken):
                taken.append(place)
                pen.rectangle(place, fill=OUTCOME_COLOURS[mark.outcome])
                pen.text((left, top), name, fill="white", font=font)
                break


def _outline(pen: ImageDraw.ImageDraw, mark: Mark) -> None:
    colour, (left, top, right, bottom) = OUTCOME_COLOURS[mark.outcome], mark.box.tolist()
    if mark.outcome != MISSED:
        pen.rectangle((left, top, right, bottom), outline=colour, width=2)
        return
    for start in np.arange(left, right, 2 * DASH).tolist():
        for height in (top, bottom):
            pen.line((start, height, min(start + DASH, right), height), fill=colour, width=2)
    for start in np.arange(top, bottom, 2 * DASH).tolist():
        for across in (left, right):
            pen.line((across, start, across, min(start + DASH, bottom)), fill=colour, width=2)


def within(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """Boxes clipped to an image of this (width, height); swapped corners are swapped back."""
    clipped = np.clip(boxes.reshape(-1, 2, 2), 0, np.array(size) - 1)
    corners: Boxes = np.sort(clipped, axis=1).reshape(-1, 4)
    return corners


def with_legend(sheet: Image.Image, shown: Sequence[str]) -> Image.Image:
    """The sheet below a legend of these outcomes."""
    framed = Image.new("RGB", (sheet.width, sheet.height + LEGEND), "white")
    framed.paste(sheet, (0, LEGEND))
    pen, font, left = ImageDraw.Draw(framed), ImageFont.load_default(size=14), 8.0
    for outcome in (name for name in OUTCOME_COLOURS if name in shown):
        name = f"{outcome} object" if outcome == MISSED else outcome
        _outline(pen, Mark(np.array([left, 8.0, left + 28, 22.0]), outcome, ""))
        pen.text((left + 35, 6), name, fill="black", font=font)
        left += 35 + pen.textlength(name, font=font) + 24
    return framed
