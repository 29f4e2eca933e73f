"""Outlines of COCO annotations (`segmentation`), for pointing.

A list of polygons `[[x1, y1, x2, y2, ...], ...]` is an outline. A mask as run-length encoding, which COCO has for
crowds only, is none: such an object keeps its box as target.
"""

from typing import Any, Final

import numpy as np

from verl_vision_r1.data.readers.entries import LARGEST, Entry
from verl_vision_r1.points import Outline

DIGITS: Final = 2
"""Decimals of a vertex; COCO has as many."""


def compacted(entry: Entry) -> Entry:
    """Keep the polygons of an entry as arrays, which take an eighth of the memory; drop any other mask.

    Example:
        >>> compacted({"segmentation": {"counts": "abc", "size": [4, 4]}})
        {'segmentation': None}
    """
    if "segmentation" in entry:
        value = entry["segmentation"]
        polygons = [_polygon(polygon) for polygon in value] if isinstance(value, list) else []
        entry["segmentation"] = [polygon for polygon in polygons if polygon is not None] or None
    return entry


def _polygon(value: Any) -> Any:
    """A polygon as float32 (K, 2), or None where it is none: as pycocotools, it needs three vertices."""
    if not isinstance(value, list) or len(value) < 6 or len(value) % 2:
        return None
    if not all(type(number) in (int, float) and abs(number) <= LARGEST for number in value):
        return None
    return np.array(value, dtype=np.float32).reshape(-1, 2)


def outline_of(annotation: Entry, size: tuple[int, int]) -> Outline:
    """The outline of an annotation that `compacted` returned, clipped to its image; empty if it has none.

    Args:
        annotation: The annotation.
        size: Width and height of the image in pixels.

    Example:
        >>> annotation = compacted({"segmentation": [[1, 2, 9, 2, 5, 7.25]]})
        >>> [polygon.tolist() for polygon in outline_of(annotation, (8, 6))]
        [[[1.0, 2.0], [8.0, 2.0], [5.0, 6.0]]]
    """
    polygons = annotation.get("segmentation") or ()
    return tuple(np.clip(polygon.astype(np.float64).round(DIGITS), 0.0, size) for polygon in polygons)
