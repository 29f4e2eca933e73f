"""Geometry of boxes: `xyxy`, float64, continuous coordinates (no plus one), one frame for both sides.

Shapes are written with N for predicted and M for target boxes. No boxes is an array of shape (0, 4).
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""(N, 4) float64 `xyxy` boxes."""

NO_BOXES: Final[Boxes] = np.zeros((0, 4))
NO_BOXES.setflags(write=False)


class Pairwise(NamedTuple):
    """What every predicted and every target box have to do with each other, each of shape (N, M).

    Attributes:
        iou: Intersection over union, in [0, 1].
        giou: Its generalised form, in (-1, 1].
        distance: Sum of the four absolute differences of the coordinates (L1), in units of the frame.
    """

    iou: NDArray[np.float64]
    giou: NDArray[np.float64]
    distance: NDArray[np.float64]


def as_boxes(values: Any) -> Boxes:
    """Turn what a person wrote into boxes.

    Args:
        values: Anything of shape (N, 4) or empty.

    Returns:
        (N, 4) float64 array, all finite.

    Raises:
        ValueError: The shape is another one, or a coordinate is not a finite number.

    Example:
        >>> as_boxes([]).shape, as_boxes([[1, 2, 3, 4]]).dtype.name
        ((0, 4), 'float64')
    """
    try:
        boxes = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"boxes: expected N lists of four numbers, got {values!r:.120}") from error
    if boxes.size == 0:
        return NO_BOXES
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes: expected shape (N, 4), got {boxes.shape}")
    if not np.isfinite(boxes).all():
        raise ValueError(f"boxes: expected finite numbers, got {boxes.tolist()!r:.120}")
    return boxes


def area(boxes: Boxes) -> NDArray[np.float64]:
    """Area of each box in squared units of its frame, shape (N,).

    Example:
        >>> area(as_boxes([[0, 0, 4, 3]])).tolist()
        [12.0]
    """
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def pairwise_iou(predicted: Boxes, target: Boxes) -> NDArray[np.float64]:
    """Intersection over union of every pair.

    Args:
        predicted: (N, 4) boxes; one of no positive area overlaps nothing.
        target: (M, 4) boxes of positive area, in the same frame.

    Returns:
        IoU in [0, 1], of shape (N, M).

    Example:
        >>> pairwise_iou(as_boxes([[0, 0, 2, 2]]), as_boxes([[0, 0, 2, 1], [2, 2, 4, 4]])).tolist()
        [[0.5, 0.0]]
    """
    overlap, sides, target_sides, spare = _overlap(predicted, target)
    np.maximum(overlap, 0.0, out=overlap)
    intersection: NDArray[np.float64] = overlap[0]
    intersection *= overlap[1]
    areas = np.maximum(sides[0] * sides[1], 0.0)[:, None]
    union = np.add(areas, target_sides[0] * target_sides[1], out=spare[0])
    union -= intersection
    intersection /= union
    return intersection


def pairwise_geometry(predicted: Boxes, target: Boxes) -> Pairwise:
    """IoU, GIoU and L1 distance of every pair, from one pass.

    The enclosing box needs no minimum and maximum of its own: along one axis, its side and the signed overlap of two
    intervals sum to the two lengths; and the two differences of the ends sum to that side less the signed overlap.

    Args:
        predicted: (N, 4) boxes of positive area.
        target: (M, 4) boxes of positive area, in the same frame.

    Source:
        GIoU: Rezatofighi et al., arXiv 1902.09630, Algorithm 1.

    Example:
        >>> pairs = pairwise_geometry(as_boxes([[0, 0, 2, 2]]), as_boxes([[0, 0, 2, 1], [2, 2, 4, 4]]))
        >>> pairs.iou.tolist(), pairs.giou.tolist(), pairs.distance.tolist()
        ([[0.5, 0.0]], [[0.5, -0.5]], [[1.0, 8.0]])
    """
    overlap, sides, target_sides, hull = _overlap(predicted, target)
    np.add(sides[:, :, None], target_sides[:, None, :], out=hull)
    hull -= overlap
    distance = hull[0] + hull[1]
    distance -= overlap[0]
    distance -= overlap[1]
    enclosing = hull[0]
    enclosing *= hull[1]
    np.maximum(overlap, 0.0, out=overlap)
    intersection = overlap[0]
    intersection *= overlap[1]
    union = np.add((sides[0] * sides[1])[:, None], target_sides[0] * target_sides[1], out=hull[1])
    union -= intersection
    intersection /= union
    union /= enclosing
    union += intersection
    union -= 1.0
    return Pairwise(iou=intersection, giou=union, distance=distance)


def _overlap(predicted: Boxes, target: Boxes) -> tuple[NDArray[np.float64], ...]:
    """How far each two boxes overlap along x and y, (2, N, M), negative for a gap; their sides, (2, N) and (2, M).

    The last array is of the first one's shape and to be written over. With the few boxes of an ordinary answer the
    time goes into numpy's calls, not into the numbers: both axes at once, in place, on contiguous columns.
    """
    columns, target_columns = np.ascontiguousarray(predicted.T), np.ascontiguousarray(target.T)
    overlap = np.minimum(columns[2:, :, None], target_columns[2:, None, :])
    start = np.maximum(columns[:2, :, None], target_columns[:2, None, :])
    overlap -= start
    return overlap, columns[2:] - columns[:2], target_columns[2:] - target_columns[:2], start
