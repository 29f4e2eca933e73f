"""Metrics of grounding, classification and counting.

Every metric is a `Ratio` of two sums over the completions, so that the bootstrap resamples a mean, a fraction and
LISA's cumulative IoU in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes, area, pairwise_geometry
from verl_vision_r1.rewards.criteria.text import joined
from verl_vision_r1.targets import Target

Numbers = NDArray[np.float64]

PERCENT: Final = (50, 10, 30, 70, 90)
"""IoU thresholds of the accuracy of expressions; RefCOCO's first."""


@dataclass(frozen=True, eq=False)
class Ratio:
    """A metric of Q completions or images: the sum of the numerators over the sum of the denominators.

    Attributes:
        numerator: (Q,) or (Q, T); with T columns the metric is the mean of their ratios.
        denominator: The same shape.
    """

    numerator: Numbers
    denominator: Numbers

    def value(self, weights: Numbers | None = None) -> Numbers:
        """The metric, NaN if the denominator is 0.

        Args:
            weights: (R, Q) how often each entry counts in each of R resamples.

        Returns:
            A scalar; with weights an array of shape (R,).
        """
        counts = np.ones((1, len(self.numerator))) if weights is None else weights
        with np.errstate(invalid="ignore", divide="ignore"):
            values: Numbers = (counts @ self.numerator) / (counts @ self.denominator)
        values = values.reshape(len(counts), -1).mean(axis=1)
        return values[0] if weights is None else values


def mean_of(values: Sequence[float] | Numbers) -> Ratio:
    """The mean of one value per completion.

    Example:
        >>> float(mean_of([1.0, 0.0, 0.5]).value())
        0.5
    """
    numerator = np.asarray(values, dtype=np.float64)
    return Ratio(numerator, np.ones_like(numerator))


def expressions(predictions: Sequence[Boxes], targets: Sequence[Target]) -> dict[str, Ratio]:
    """Metrics of referring expressions.

    Args:
        predictions: For each completion the (N, 4) predicted boxes, `xyxy` in original-image pixels.
        targets: The ground truth.

    Returns:
        `accuracy_50`: RefCOCO's accuracy: the IoU of the first predicted box with the first object is at least 0.5.
        `accuracy_10`, `accuracy_30`, `accuracy_70`, `accuracy_90`: the same at other thresholds.
        `centre_accuracy`: the centre of that box is inside the object.
        `mean_IoU`: mean IoU of these two boxes: Visual-RFT's mIoU on LISA.
        `generalised_IoU`: their mean GIoU, in [-1, 1]; -1 without a box.
        `gIoU`, `cIoU`: LISA's metrics, on the area that all boxes cover instead of masks: the mean of intersection
        over union, and the sum of intersections over the sum of unions. An empty prediction for an empty ground truth
        has a gIoU of 1, and does not affect cIoU.

    Source:
        LISA (arXiv 2308.00692), section 5.1, for gIoU and cIoU.
    """
    pairs = list(zip(predictions, targets, strict=True))
    iou, giou = np.array([_first_overlap(boxes, target) for boxes, target in pairs]).reshape(-1, 2).T
    covered = np.array([covered_areas(boxes, target.boxes) for boxes, target in pairs])
    intersection, union = covered.reshape(-1, 2).T
    each = np.divide(intersection, union, out=np.ones_like(union), where=union > 0)
    return {
        **{f"accuracy_{percent}": mean_of((iou >= percent / 100).astype(np.float64)) for percent in PERCENT},
        "centre_accuracy": mean_of([_centre_inside(boxes, target) for boxes, target in pairs]),
        "mean_IoU": mean_of(iou),
        "generalised_IoU": mean_of(giou),
        "gIoU": mean_of(each),
        "cIoU": Ratio(intersection, union),
    }


def _first_overlap(boxes: Boxes, target: Target) -> tuple[float, float]:
    """IoU and GIoU of the first predicted box and the first object."""
    if not len(boxes) or not len(target.boxes):
        both_empty = float(len(boxes) == len(target.boxes))
        return both_empty, 2 * both_empty - 1
    if area(boxes[:1])[0] <= 0:
        return 0.0, -1.0
    geometry = pairwise_geometry(boxes[:1], target.boxes[:1])
    return float(geometry.iou[0, 0]), float(geometry.giou[0, 0])


def _centre_inside(boxes: Boxes, target: Target) -> float:
    """Whether the centre of the first predicted box is inside the first object; both may be empty."""
    if not len(boxes) or not len(target.boxes):
        return float(len(boxes) == len(target.boxes))
    centre, corners = (boxes[0, :2] + boxes[0, 2:]) / 2, target.boxes[0]
    return float((centre >= corners[:2]).all() and (centre <= corners[2:]).all())


def covered_areas(first: Boxes, second: Boxes) -> tuple[float, float]:
    """Intersection and union, in square pixels, of the regions that two sets of boxes cover.

    Args:
        first: (N, 4) boxes, `xyxy` in pixels.
        second: (M, 4) boxes in the same frame.

    Example:
        >>> boxes = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2]])
        >>> covered_areas(boxes, np.array([[2.0, 0, 4, 2]]))
        (2.0, 8.0)
    """
    corners = np.concatenate([first, second])
    columns, rows = np.unique(corners[:, ::2]), np.unique(corners[:, 1::2])
    cells = np.outer(np.diff(rows), np.diff(columns))
    covered = [_cells(boxes, columns, rows, cells.shape) for boxes in (first, second)]
    return float(cells[covered[0] & covered[1]].sum()), float(cells[covered[0] | covered[1]].sum())


def _cells(boxes: Boxes, columns: Numbers, rows: Numbers, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which cells of the grid of all corner coordinates lie in a box."""
    covered = np.zeros(shape, dtype=np.bool_)
    left, right = np.searchsorted(columns, boxes[:, 0]), np.searchsorted(columns, boxes[:, 2])
    top, bottom = np.searchsorted(rows, boxes[:, 1]), np.searchsorted(rows, boxes[:, 3])
    for box in zip(top.tolist(), bottom.tolist(), left.tolist(), right.tolist(), strict=True):
        covered[box[0] : box[1], box[2] : box[3]] = True
    return covered


def classes(predictions: Sequence[str | None], targets: Sequence[Target]) -> dict[str, Ratio]:
    """Metrics of classification.

    Args:
        predictions: The predicted class of each completion, None if it could not be parsed.
        targets: The ground truth; its label is the class.

    Returns:
        `accuracy`: the prediction equals the name, without regard to blanks, underscores and case.
        `accuracy_published`: Visual-RFT's: one of the two contains the other, so an empty answer is correct.
    """
    predicted = [None if prediction is None else joined(prediction) for prediction in predictions]
    names = [joined(target.labels[0]) for target in targets]
    pairs = list(zip(predicted, names, strict=True))
    return {
        "accuracy": mean_of([float(text == name) for text, name in pairs]),
        "accuracy_published": mean_of(
            [float(text is not None and (text in name or name in text)) for text, name in pairs]
        ),
    }


def counts(predictions: Sequence[int | None], targets: Sequence[Target]) -> dict[str, Ratio]:
    """Metrics of counting.

    Args:
        predictions: The predicted count of each completion, None if it could not be parsed: an error as for 0 objects,
            and never correct.
        targets: The ground truth.

    Returns:
        `accuracy`: fraction of correct counts. `within_1`: fraction with an error of at most 1. `absolute_error`: mean
        absolute error, in objects. `bias`: mean error, in objects; positive if too many are counted.
    """
    predicted = np.array([prediction or 0 for prediction in predictions], dtype=np.float64)
    error = predicted - np.array([target.instances for target in targets], dtype=np.float64)
    parsed = np.array([prediction is not None for prediction in predictions], dtype=np.bool_)
    return {
        "accuracy": mean_of((parsed & (error == 0)).astype(np.float64)),
        "within_1": mean_of((parsed & (abs(error) <= 1)).astype(np.float64)),
        "absolute_error": mean_of(abs(error)),
        "bias": mean_of(error),
    }
