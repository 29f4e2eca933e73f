"""COCO average precision of one completion: what VLM-R1 rewards. All predictions have the same confidence.

The figures are those of pycocotools for one image, which a test holds this to; it is some hundred times as fast.
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
"""COCO's bounds: so many predictions of a category count, and boxes beyond that area are left aside."""


def average_precision(
    answer: Answer, target: Target, match: Match, stage: Stage, *, iou: float | None = None
) -> float:
    """COCO AP of the answer, the predictions ranked by their place in it, averaged over the labels of the image.

    Without confidences it depends on the order and is blind to what follows the last right box: it is here to
    compare with, not to train on. A negative image (M = 0) scores 1 without predictions, else 0. The stage does not
    matter.

    Args:
        answer: The answer; labels are compared after strip and lower.
        target: The ground truth.
        match: Has no part in it.
        stage: Has no part in it.
        iou: One threshold, such as 0.5 for AP50; by default the mean over 0.50, 0.55, ... 0.95.

    Returns:
        A number in [0, 1], overlaps taken in original-image pixels; -1 where COCO leaves all true boxes aside.

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
        predicted_labels: N names. Predictions of a name that no true box has are left aside, as COCO has it.
        target: (M, 4) `xyxy` boxes, M at least 1.
        target_labels: M names.
        thresholds: (T,) IoU from which on a pair counts.

    Returns:
        A number in [0, 1], or -1 where all true boxes are left aside.
    """
    names, own = np.array(predicted_labels, dtype=object), np.array(target_labels, dtype=object)
    values = [_category_ap(predicted[names == name], target[own == name], thresholds) for name in dict.fromkeys(own)]
    counted = [value for value in values if value is not None]
    return float(np.mean(counted)) if counted else -1.0


def _category_ap(predicted: Boxes, target: Boxes, thresholds: NDArray[np.float64]) -> float | None:
    """AP of one label; None where all its true boxes are left aside."""
    predicted = predicted[:MAX_PREDICTIONS]
    counted = _counted(target)
    if not counted.any():
        return None
    if not len(predicted):
        return 0.0
    # COCO puts the boxes that are left aside last; they may be matched, and such a match is left aside too.
    order = np.argsort(~counted, kind="stable")
    right, aside = _greedy(coco_iou(predicted, target[order]), counted[order], thresholds)
    aside |= ~(right | aside) & ~_counted(predicted)
    hits = np.cumsum(right, axis=1, dtype=np.float64)
    misses = np.cumsum(~right & ~aside, axis=1, dtype=np.float64)
    precision = hits / (hits + misses + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = hits / counted.sum()
    return float(np.mean([_interpolate(*pair) for pair in zip(recall, envelope, strict=True)]))


def _greedy(
    iou: NDArray[np.float64], counted: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which predictions take a counted true box at each threshold, and which one that is left aside: two (T, N).

    Every prediction's choice depends on those before it; all thresholds choose at once.
    """
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    free = np.ones((len(thresholds), iou.shape[1]), dtype=bool)
    right, aside = np.zeros((2, len(thresholds), len(iou)), dtype=bool)
    rows = np.arange(len(thresholds))
    for index, overlap in enumerate(iou):
        # pycocotools asks whether the next overlap is less than the best so far, which nothing is once that is NaN.
        after_nan = np.logical_or.accumulate(free & np.isnan(overlap), axis=1)
        possible = free & (~(overlap < least) | after_nan)
        preferred = possible & counted
        preferred |= possible & ~preferred.any(axis=1, keepdims=True)
        value = np.where(preferred, np.where(after_nan, np.inf, overlap), -1.0)
        best = value.shape[1] - 1 - value[:, ::-1].argmax(axis=1)  # Of equal overlaps COCO takes the last.
        taken = preferred[rows, best]
        free[rows[taken], best[taken]] = False
        right[:, index], aside[:, index] = taken & counted[best], taken & ~counted[best]
    return right, aside


def _interpolate(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Precision at 101 levels of recall; 0 where a level is not reached."""
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(precision, 0.0)[places].mean())


def _counted(boxes: Boxes) -> NDArray[np.bool_]:
    size = area(boxes)
    counted: NDArray[np.bool_] = ~((size < 0) | (size > GREATEST_AREA))
    return counted


def coco_iou(predicted: Boxes, target: Boxes) -> NDArray[np.float64]:
    """IoU of every pair as pycocotools has it, (N, M): NaN passes through its minimum and maximum."""
    size, target_size = predicted[:, 2:] - predicted[:, :2], target[:, 2:] - target[:, :2]
    first, second = predicted[:, None, :2], target[None, :, :2]
    ends = np.fmin(first + size[:, None], second + target_size[None])
    overlap = ends - np.fmax(first, second)
    intersection = overlap[..., 0] * overlap[..., 1]
    union = size.prod(axis=1)[:, None] + target_size.prod(axis=1)[None] - intersection
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((overlap <= 0).any(axis=2), 0.0, intersection / union)
