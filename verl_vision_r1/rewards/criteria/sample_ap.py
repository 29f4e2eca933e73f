"""COCO average precision of one completion, as rewarded by VLM-R1. All predictions have the same confidence.

A test checks that the values equal those of pycocotools for one image; this is about a hundred times as fast.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes, area
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match, boxes_in_pixels
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target, normalise_label

THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
RECALLS: Final = np.linspace(0.0, 1.0, 101)
MAX_PREDICTIONS: Final = 100
GREATEST_AREA: Final = 1e10
"""COCO's limits: at most `MAX_PREDICTIONS` predictions per category count, and larger boxes are ignored."""


def average_precision(
    answer: Answer, target: Target, match: Match, stage: Stage, *, iou: float | None = None
) -> float:
    """COCO AP of the completion, averaged over the labels of the image; predictions are ranked in order of appearance.

    Without confidences, it depends on the order, and predictions after the last correct box have no effect: use it for
    comparison, not for training. A negative sample (M = 0) scores 1 for an empty prediction, else 0.

    Args:
        answer: The parsed completion; labels are compared after strip and lower.
        target: The ground truth.
        match: Unused.
        stage: Unused.
        iou: A single threshold, such as 0.5 for AP50; by default the mean over 0.50, 0.55, ... 0.95.

    Returns:
        A number in [0, 1], with IoU in original-image pixels; -1 if COCO ignores all ground-truth boxes.

    Source:
        COCO's evaluation for one image, as in the `od_ap` reward of VLM-R1.

    Example:
        >>> from verl_vision_r1.rewards.matching import NO_PAIRS
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> target = Target([[0, 0, 50, 50], [50, 50, 90, 90]], ["cat", "dog"], width=100, height=100)
        >>> answer = Answer(target.boxes[:1], ("cat",), frame=(100, 100))
        >>> round(average_precision(answer, target, NO_PAIRS, OFF), 3)
        0.5
    """
    if not len(target.boxes):
        return float(not len(answer.boxes))
    predicted = ["" if label is None else normalise_label(label) for label in answer.labels]
    thresholds = THRESHOLDS if iou is None else np.array([iou])
    labels = [normalise_label(label) for label in target.labels]
    return sample_ap(boxes_in_pixels(answer, target), predicted, target.boxes, labels, thresholds)


def sample_ap(
    predicted: Boxes,
    predicted_labels: Sequence[str],
    target: Boxes,
    target_labels: Sequence[str],
    thresholds: NDArray[np.float64] = THRESHOLDS,
) -> float:
    """Mean over labels and thresholds of the 101-point interpolated precision.

    Args:
        predicted: (N, 4) `xyxy` boxes, best first; they may be inverted or not finite.
        predicted_labels: N names. Predictions whose name is not among the target labels are ignored, as in COCO.
        target: (M, 4) `xyxy` boxes, M at least 1.
        target_labels: M names.
        thresholds: (T,) IoU thresholds of a true positive, inclusive.

    Returns:
        A number in [0, 1], or -1 if all ground-truth boxes are ignored.
    """
    names, true = np.array(predicted_labels, dtype=object), np.array(target_labels, dtype=object)
    values = [_category_ap(predicted[names == name], target[true == name], thresholds) for name in dict.fromkeys(true)]
    counted = [value for value in values if value is not None]
    return float(np.mean(counted)) if counted else -1.0


def _category_ap(predicted: Boxes, target: Boxes, thresholds: NDArray[np.float64]) -> float | None:
    """AP of one label; None if all its ground-truth boxes are ignored."""
    predicted = predicted[:MAX_PREDICTIONS]
    counted = _counted(target)
    if not counted.any():
        return None
    if not len(predicted):
        return 0.0
    # COCO puts ignored boxes last; they can be matched, and such a match is ignored too.
    order = np.argsort(~counted, kind="stable")
    correct, ignored = _greedy(coco_iou(predicted, target[order]), counted[order], thresholds)
    ignored |= ~(correct | ignored) & ~_counted(predicted)
    hits = np.cumsum(correct, axis=1, dtype=np.float64)
    misses = np.cumsum(~correct & ~ignored, axis=1, dtype=np.float64)
    precision = hits / (hits + misses + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = hits / counted.sum()
    return float(np.mean([_interpolate(*pair) for pair in zip(recall, envelope, strict=True)]))


def _greedy(
    iou: NDArray[np.float64], counted: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which predictions match a counted target box at each threshold, and which an ignored one: two (T, N) arrays.

    Each choice depends on the previous ones; all thresholds are processed at once.
    """
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    free = np.ones((len(thresholds), iou.shape[1]), dtype=bool)
    correct, ignored = np.zeros((2, len(thresholds), len(iou)), dtype=bool)
    rows = np.arange(len(thresholds))
    for index, overlap in enumerate(iou):
        # pycocotools tests whether the next IoU is less than the best so far, which is false once the best is NaN.
        after_nan = np.logical_or.accumulate(free & np.isnan(overlap), axis=1)
        possible = free & (~(overlap < least) | after_nan)
        preferred = possible & counted
        preferred |= possible & ~preferred.any(axis=1, keepdims=True)
        value = np.where(preferred, np.where(after_nan, np.inf, overlap), -1.0)
        best = value.shape[1] - 1 - value[:, ::-1].argmax(axis=1)  # Among equal IoUs, COCO takes the last.
        taken = preferred[rows, best]
        free[rows[taken], best[taken]] = False
        correct[:, index], ignored[:, index] = taken & counted[best], taken & ~counted[best]
    return correct, ignored


def _interpolate(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Mean precision at 101 recall levels; 0 at a level that is not reached."""
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(precision, 0.0)[places].mean())


def _counted(boxes: Boxes) -> NDArray[np.bool_]:
    size = area(boxes)
    counted: NDArray[np.bool_] = ~((size < 0) | (size > GREATEST_AREA))
    return counted


def coco_iou(predicted: Boxes, target: Boxes) -> NDArray[np.float64]:
    """Pairwise IoU as in pycocotools, (N, M): its minimum and maximum ignore NaN."""
    size, target_size = predicted[:, 2:] - predicted[:, :2], target[:, 2:] - target[:, :2]
    first, second = predicted[:, None, :2], target[None, :, :2]
    ends = np.fmin(first + size[:, None], second + target_size[None])
    overlap = ends - np.fmax(first, second)
    intersection = overlap[..., 0] * overlap[..., 1]
    union = size.prod(axis=1)[:, None] + target_size.prod(axis=1)[None] - intersection
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((overlap <= 0).any(axis=2), 0.0, intersection / union)
