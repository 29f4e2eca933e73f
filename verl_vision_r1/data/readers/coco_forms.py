"""Detect boxes of a COCO file that are `[x1, y1, x2, y2]` instead of `[x, y, width, height]`."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.data.readers.coco_document import Document
from verl_vision_r1.data.readers.entries import LARGEST, Entry, Key, id_of
from verl_vision_r1.shown import shown

NEAR: Final = 0.01
"""Relative difference of two areas that are the same: tools round coordinates and areas."""

MOST: Final = 10_000
"""About as many boxes are looked at, spread over the file."""

FEW: Final = 5
"""Fewer boxes outside their images prove nothing about all boxes of a file."""


def expect_sides(document: Document, images: dict[Key, Entry], path: Path) -> None:
    """Refuse a file most of whose boxes can only be corners.

    A box is one if its `area` is that of the corners and not width times height; or if it is inside the image as
    corners only, in a file of at least `FEW` boxes.

    Raises:
        ValueError: More than half of the boxes are corners; the message has both readings of one.
    """
    annotations = document["annotations"]
    found = _numbers(annotations[:: 1 + len(annotations) // MOST], images)
    if not len(found):
        return
    boxes, areas, sizes = found[:, :4], found[:, 4], found[:, 5:]
    sides, corners = boxes[:, 2] * boxes[:, 3], np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    as_sides, as_corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]), boxes
    contradicts = _near(areas, corners) & ~_near(areas, sides) & _inside(as_corners, sizes)
    outside = _inside(as_corners, sizes) & ~_inside(as_sides, sizes) & ~_near(areas, sides) & (len(found) >= FEW)
    for wrong, known in ((contradicts, ~np.isnan(areas)), (outside, np.ones(len(found), dtype=np.bool_))):
        if 2 * wrong.sum() > known.sum():
            place = int(np.flatnonzero(wrong)[0])
            area = "" if np.isnan(areas[place]) else f", and its 'area' is {areas[place]:g}"
            width, height = sizes[place]
            raise ValueError(
                f"{path}: expected boxes [x, y, width, height], got {wrong.sum()} of {known.sum()} that fit only as"
                f" [x1, y1, x2, y2], such as {shown(boxes[place].tolist())} in {width:g}x{height:g} pixels: by the"
                f" former its area is {sides[place]:g}, by the latter {corners[place]:g}{area}. Convert the boxes"
            )


def _numbers(annotations: list[Entry], images: dict[Key, Entry]) -> NDArray[np.float64]:
    """(N, 7): the four numbers of a box, its `area` or NaN, and the size of its image or infinity."""
    rows = []
    for annotation in annotations:
        box, area = annotation.get("bbox"), annotation.get("area")
        if isinstance(box, list) and len(box) == 4 and all(map(_is_number, box)):
            entry = images.get(_image_of(annotation), {})
            size = [side if _is_number(side) else np.inf for side in (entry.get("width"), entry.get("height"))]
            rows.append((*box, area if _is_number(area) else np.nan, *size))
    return np.array(rows, dtype=np.float64).reshape(-1, 7)


def _image_of(annotation: Entry) -> Key:
    try:
        return id_of(annotation, "image_id", "")
    except ValueError:
        return ""


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= LARGEST


def _near(areas: NDArray[np.float64], computed: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.abs(areas - computed) <= NEAR * np.abs(areas) + 1


def _inside(boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether boxes `xyxy` have an area and exceed their images by at most a pixel."""
    ordered = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    return np.asarray(ordered & (boxes[:, :2] >= -1).all(axis=1) & (boxes[:, 2:] <= sizes + 1).all(axis=1))
