"""Precision, recall and F1 over IoU thresholds, for models that predict no confidence.

There is no ranking: the result depends only on which predictions can be matched to objects, not on their order. T is
the number of thresholds; the other sizes are those of `predictions.arrays`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from verl_vision_r1.boxes import Boxes, area, pairwise_iou
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

THRESHOLDS: Final = np.arange(10, 20) / 20
"""0.5, 0.55 ... 0.95."""
THRESHOLDS.setflags(write=False)

TIE_BREAK: Final = 1e-6
"""Weight of the IoU against the number of matches: small enough never to outweigh a match."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Which predictions and objects are matched at each IoU threshold.

    Attributes:
        hit: (N, T) whether the prediction is a true positive.
        ignored: (N, T) whether it is unmatched but inside a crowd of its category: no false positive either.
        found: (M, T) whether the object is matched; a crowd never is.
    """

    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    found: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts over a data set, or for each image or category; the arrays have shape (..., T).

    Attributes:
        hits: True positives.
        predicted: Predictions that are not ignored.
        objects: Objects that are not crowds.
    """

    hits: NDArray[np.int64]
    predicted: NDArray[np.int64]
    objects: NDArray[np.int64]

    @property
    def precision(self) -> NDArray[np.float64]:
        """Fraction of the predictions that are true positives, in [0, 1]; NaN without predictions."""
        return _ratio(self.hits, self.predicted)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Fraction of the objects that are matched, in [0, 1]; NaN without objects."""
        return _ratio(self.hits, self.objects)

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall, in [0, 1]; NaN without predictions and objects.

        Example:
            >>> Counts(np.array([3]), np.array([4]), np.array([8])).f1.tolist()
            [0.5]
        """
        return _ratio(2 * self.hits, self.predicted + self.objects)

    def total(self) -> "Counts":
        """The sum over the first axis: over all images or categories."""
        return Counts(self.hits.sum(axis=0), self.predicted.sum(axis=0), self.objects.sum(axis=0))


def match(truth: GroundTruth, detections: Detections) -> Matches:
    """Match predictions to objects of their image and category whose IoU reaches the threshold.

    The matching is one-to-one. At each threshold it has the most matches, and among those the largest total IoU. It
    does not depend on the order of the predictions: they are sorted by coordinates. An object without area cannot be
    matched.

    Returns:
        The matches, in the order of the predictions and of the objects.

    Example:
        >>> one = np.zeros(1, np.intp)
        >>> box = np.array([[0.0, 0.0, 10.0, 10.0]])
        >>> truth = GroundTruth(("a",), ("cat",), one, one, box, area(box), np.array([False]), ("",))
        >>> match(truth, Detections(one, one, box * 0.9, np.ones(1))).hit.sum(axis=1).tolist()
        [7]
    """
    kinds = len(truth.categories)
    order = np.lexsort(detections.boxes.T)
    keys = (detections.image * kinds + detections.category)[order]
    object_keys = truth.image * kinds + truth.category
    hit = np.zeros((len(order), len(THRESHOLDS)), np.bool_)
    found = np.zeros((len(object_keys), len(THRESHOLDS)), np.bool_)
    objects = np.flatnonzero(~truth.crowd & (area(truth.boxes) > 0))
    for rows, columns in groups(keys, object_keys[objects]):
        rows, columns = order[rows], objects[columns]
        _match_group(pairwise_iou(detections.boxes[rows], truth.boxes[columns]), rows, columns, hit, found)
    covered = in_crowd(keys, detections.boxes[order], object_keys[truth.crowd], truth.boxes[truth.crowd])
    ignored = np.zeros_like(hit)
    ignored[order] = covered[:, None] >= THRESHOLDS
    return Matches(hit, ignored & ~hit, found)


def groups(first: NDArray[np.intp], second: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The indices of each key that both arrays contain, by increasing key, in the order of each array.

    Example:
        >>> [(rows.tolist(), columns.tolist()) for rows, columns in groups(np.array([7, 5, 7]), np.array([9, 7]))]
        [([0, 2], [1])]
    """
    orders = [np.argsort(keys, kind="stable") for keys in (first, second)]
    ordered = [keys[order] for keys, order in zip((first, second), orders, strict=True)]
    shared = np.intersect1d(ordered[0], ordered[1])
    edges = [np.searchsorted(keys, shared, side).tolist() for keys in ordered for side in ("left", "right")]
    for start, stop, other_start, other_stop in zip(*edges, strict=True):
        yield orders[0][start:stop], orders[1][other_start:other_stop]


def _match_group(
    iou: NDArray[np.float64],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    hit: NDArray[np.bool_],
    found: NDArray[np.bool_],
) -> None:
    """Set the matches of one group of predictions and objects at each threshold."""
    near = iou >= THRESHOLDS[0]
    by_row, by_column = near.sum(axis=1), near.sum(axis=0)
    if by_row.max() <= 1 and by_column.max() <= 1:
        # Each prediction overlaps at most one object and vice versa: nothing to optimise.
        row, column = near.nonzero()
        hit[rows[row]] = found[columns[column]] = iou[row, column, None] >= THRESHOLDS
        return
    some, others = by_row.nonzero()[0], by_column.nonzero()[0]
    iou, rows, columns = iou[np.ix_(some, others)], rows[some], columns[others]
    for place, threshold in enumerate(THRESHOLDS):
        row, column = assigned((iou >= threshold) * (1 + TIE_BREAK * iou))
        hit[rows[row], place] = found[columns[column], place] = True


def assigned(gain: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The one-to-one assignment of largest total gain, for (N, M) gains; pairs without gain are left out."""
    row, column = linear_sum_assignment(gain, maximize=True)
    positive = gain[row, column] > 0
    return row[positive], column[positive]


def in_crowd(keys: NDArray[np.intp], boxes: Boxes, crowd_keys: NDArray[np.intp], crowds: Boxes) -> NDArray[np.float64]:
    """The largest fraction of each box's area that is inside one crowd with the same key.

    Args:
        keys: (N,) keys of the boxes: image and category as one number.
        boxes: (N, 4) boxes, `xyxy` in pixels.
        crowd_keys: (C,) keys of the crowds.
        crowds: (C, 4) boxes of the crowds, in the same frame.

    Returns:
        (N,) in [0, 1]; 0 for a box without area.
    """
    covered = np.zeros(len(boxes))
    for rows, columns in groups(keys, crowd_keys):
        first, second = boxes[rows, None], crowds[None, columns]
        sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
        overlap = np.maximum(sides, 0.0).prod(axis=2).max(axis=1)
        covered[rows] = np.divide(overlap, area(boxes[rows]), out=np.zeros(len(rows)), where=overlap > 0)
    return covered


def counts_by_image(truth: GroundTruth, detections: Detections, matches: Matches) -> Counts:
    """Counts of each image, of shape (I, T)."""
    return _counts(truth, matches, detections.image, truth.image, len(truth.images))


def counts_by_category(truth: GroundTruth, detections: Detections, matches: Matches) -> Counts:
    """Counts of each category, of shape (K, T)."""
    return _counts(truth, matches, detections.category, truth.category, len(truth.categories))


def _counts(
    truth: GroundTruth, matches: Matches, of_prediction: NDArray[np.intp], of_object: NDArray[np.intp], size: int
) -> Counts:
    hits, predicted = np.zeros((2, size, len(THRESHOLDS)), np.int64)
    np.add.at(hits, of_prediction, matches.hit)
    np.add.at(predicted, of_prediction, ~matches.ignored)
    objects = np.bincount(of_object[~truth.crowd], minlength=size).astype(np.int64)
    return Counts(hits, predicted, np.repeat(objects[:, None], len(THRESHOLDS), axis=1))


def summary(counts: Counts) -> dict[str, float]:
    """The metrics of a table, in [0, 1] or NaN.

    Args:
        counts: Pooled counts of shape (T,), from `counts_by_image(...).total()`.

    Returns:
        `F1_50`, `precision_50` and `recall_50` at IoU 0.5; `F1` is the mean over the thresholds.
    """
    at_half = {"F1_50": counts.f1[0], "precision_50": counts.precision[0], "recall_50": counts.recall[0]}
    return {name: float(value) for name, value in {"F1": counts.f1.mean(), **at_half}.items()}


def points(counts: Counts) -> list[dict[str, float]]:
    """Precision, recall and F1 at each of the T thresholds, by increasing `iou`.

    Args:
        counts: Pooled counts of shape (T,).
    """
    columns = (THRESHOLDS, counts.precision, counts.recall, counts.f1)
    names = ("iou", "precision", "recall", "f1")
    return [dict(zip(names, row, strict=True)) for row in np.stack(columns, axis=1).tolist()]


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio
