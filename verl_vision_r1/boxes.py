"""Geometry of boxes: `xyxy`, float64, continuous coordinates (no plus one), one frame for both sides.

Shapes are written with N for predicted and M for target boxes. No boxes is an array of shape (0, 4).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""(N, 4) float64 `xyxy` boxes."""


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
    except (TypeError, ValueError) as error:
        raise ValueError(f"boxes: expected N lists of four numbers, got {values!r:.120}") from error
    if boxes.size == 0:
        return np.zeros((0, 4))
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


def pairwise_iou_giou(predicted: Boxes, target: Boxes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intersection over union, and its generalised form, of every pair.

    Both come from one pass because the matching wants GIoU and the criteria want IoU of the same pairs.

    Args:
        predicted: (N, 4) boxes of positive area.
        target: (M, 4) boxes of positive area, in the same frame.

    Returns:
        IoU in [0, 1] and GIoU in (-1, 1], each of shape (N, M).

    Source:
        GIoU: Rezatofighi et al., arXiv 1902.09630, Algorithm 1.

    Example:
        >>> iou, giou = pairwise_iou_giou(as_boxes([[0, 0, 2, 2]]), as_boxes([[0, 0, 2, 1], [2, 2, 4, 4]]))
        >>> iou.tolist(), giou.tolist()
        ([[0.5, 0.0]], [[0.5, -0.5]])
    """
    first, second = predicted[:, None, :], target[None, :, :]
    overlap = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    hull = np.maximum(first[..., 2:], second[..., 2:]) - np.minimum(first[..., :2], second[..., :2])
    np.maximum(overlap, 0.0, out=overlap)
    intersection = overlap[..., 0] * overlap[..., 1]
    union = area(predicted)[:, None] + area(target)[None, :] - intersection
    enclosing = hull[..., 0] * hull[..., 1]
    iou = intersection / union
    return iou, iou - (enclosing - union) / enclosing
