"""Box geometry: `xyxy`, float64, continuous coordinates (no `+ 1`), predicted and target boxes in the same frame.

In shapes, N is the number of predicted boxes and M of target boxes. "No boxes" is an array of shape (0, 4).
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.shown import shown

Boxes = NDArray[np.float64]
"""(N, 4) float64 `xyxy` boxes."""

NO_BOXES: Final[Boxes] = np.zeros((0, 4))
NO_BOXES.setflags(write=False)


class Pairwise(NamedTuple):
    """Pairwise measures of N predicted and M target boxes, each of shape (N, M).

    Attributes:
        iou: Intersection over union, in [0, 1].
        giou: Generalized IoU, in (-1, 1].
        distance: L1 distance: the sum of the four absolute coordinate differences, in units of the frame.
    """

    iou: NDArray[np.float64]
    giou: NDArray[np.float64]
    distance: NDArray[np.float64]


def as_boxes(values: Any) -> Boxes:
    """Convert user input to an array of boxes.

    Args:
        values: Anything of shape (N, 4), or empty.

    Returns:
        (N, 4) float64 array, all finite.

    Raises:
        ValueError: The shape is not (N, 4), or a coordinate is not a finite number.

    Example:
        >>> as_boxes([]).shape, as_boxes([[1, 2, 3, 4]]).dtype.name
        ((0, 4), 'float64')
    """
    try:
        boxes = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"boxes: expected N lists of four numbers, got {shown(values)}") from error
    if boxes.size == 0:
        return NO_BOXES
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes: expected shape (N, 4), got {boxes.shape}")
    if not np.isfinite(boxes).all():
        raise ValueError(f"boxes: expected finite numbers, got {shown(boxes.tolist())}")
    return boxes


def area(boxes: Boxes) -> NDArray[np.float64]:
    """Area of each box in squared units of its frame, shape (N,).

    Example:
        >>> area(as_boxes([[0, 0, 4, 3]])).tolist()
        [12.0]
    """
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def pairwise_iou(predicted: Boxes, target: Boxes) -> NDArray[np.float64]:
    """Pairwise intersection over union.

    Args:
        predicted: (N, 4) boxes; a box without positive area has IoU 0 with every target.
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
    """Pairwise IoU, GIoU and L1 distance, in one pass.

    The enclosing box is derived from the signed overlap: along one axis, the side of the enclosing box is the sum of
    the two lengths minus the signed overlap, and the L1 distance is that side minus the signed overlap.

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
    """Signed overlap of each two boxes along x and y, (2, N, M), negative for a gap; their sides, (2, N) and (2, M).

    The last array is a buffer of shape (2, N, M). With the few boxes of a typical prediction, the overhead of numpy's
    calls dominates: both axes are computed at once, in place, on contiguous columns.
    """
    columns, target_columns = np.ascontiguousarray(predicted.T), np.ascontiguousarray(target.T)
    overlap = np.minimum(columns[2:, :, None], target_columns[2:, None, :])
    start = np.maximum(columns[:2, :, None], target_columns[:2, None, :])
    overlap -= start
    return overlap, columns[2:] - columns[:2], target_columns[2:] - target_columns[:2], start
