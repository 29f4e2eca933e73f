"""The honest measure where a model states no confidence: precision, recall and F1 over thresholds of the IoU.

No ranking enters: what counts is which predictions can be paired with objects, whatever the order they were said in.
T is the number of thresholds; images, categories, objects and predictions are those of `evaluation.tables`.
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
"""Weight of the IoU beside the number of pairs: it decides between equal numbers and never makes up for a pair."""


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of every prediction and every object at each threshold.

    Attributes:
        hit: (N, T) whether the prediction is paired with an object.
        ignored: (N, T) whether it is none, but lies in a crowd of its category: neither right nor wrong.
        found: (M, T) whether the object is paired with a prediction; a crowd never is.
    """

    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    found: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Counts:
    """How many, of the whole or of each image, category or the like; the arrays are of shape (..., T).

    Attributes:
        hits: Predictions that are paired with an object.
        predicted: Predictions that are not ignored.
        objects: Objects that are no crowd.
    """

    hits: NDArray[np.int64]
    predicted: NDArray[np.int64]
    objects: NDArray[np.int64]

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the predictions that are hits, in [0, 1]; NaN where nothing is predicted."""
        return _ratio(self.hits, self.predicted)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the objects that are found, in [0, 1]; NaN where there is no object."""
        return _ratio(self.hits, self.objects)

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of the two, in [0, 1]; NaN where there is neither a prediction nor an object.

        Example:
            >>> Counts(np.array([3]), np.array([4]), np.array([8])).f1.tolist()
            [0.5]
        """
        return _ratio(2 * self.hits, self.predicted + self.objects)

    def total(self) -> "Counts":
        """Summed over the first axis: of all images or categories together."""
        return Counts(self.hits.sum(axis=0), self.predicted.sum(axis=0), self.objects.sum(axis=0))


def match(truth: GroundTruth, detections: Detections) -> Matches:
    """Pair predictions with objects of their image and category whose IoU reaches the threshold.

    One-to-one; for each threshold by itself the greatest number of pairs, and of those the greatest total IoU. The
    order of the predictions does not matter: they are matched in the order of their coordinates. An object without
    area can not be found.

    Returns:
        What became of each, in the order of the two tables.

    Example:
        >>> one = np.zeros(1, np.intp)
        >>> box = np.array([[0.0, 0.0, 10.0, 10.0]])
        >>> truth = GroundTruth(("a",), ("cat",), one, one, box, area(box), np.array([False]), ("",))
        >>> match(truth, Detections(one, one, box * 0.9, np.ones(1))).hit.sum(axis=1).tolist()
        [7]
    """
    kinds = len(truth.categories)
    order = np.lexsort(detections.boxes.T)
    said = (detections.image * kinds + detections.category)[order]
    there = truth.image * kinds + truth.category
    hit = np.zeros((len(order), len(THRESHOLDS)), np.bool_)
    found = np.zeros((len(there), len(THRESHOLDS)), np.bool_)
    objects = np.flatnonzero(~truth.crowd & (area(truth.boxes) > 0))
    for rows, columns in groups(said, there[objects]):
        rows, columns = order[rows], objects[columns]
        _pair(pairwise_iou(detections.boxes[rows], truth.boxes[columns]), rows, columns, hit, found)
    covered = in_crowd(said, detections.boxes[order], there[truth.crowd], truth.boxes[truth.crowd])
    ignored = np.zeros_like(hit)
    ignored[order] = covered[:, None] >= THRESHOLDS
    return Matches(hit, ignored & ~hit, found)


def groups(first: NDArray[np.intp], second: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The places of each key that both arrays hold, by rising key, each in its array's order.

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


def _pair(
    iou: NDArray[np.float64],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    hit: NDArray[np.bool_],
    found: NDArray[np.bool_],
) -> None:
    """Enter the pairs of one group of predictions and objects at each threshold."""
    near = iou >= THRESHOLDS[0]
    by_row, by_column = near.sum(axis=1), near.sum(axis=0)
    if by_row.max() <= 1 and by_column.max() <= 1:
        # No choice: each pair stands by itself.
        row, column = near.nonzero()
        hit[rows[row]] = found[columns[column]] = iou[row, column, None] >= THRESHOLDS
        return
    some, others = by_row.nonzero()[0], by_column.nonzero()[0]
    iou, rows, columns = iou[np.ix_(some, others)], rows[some], columns[others]
    for place, threshold in enumerate(THRESHOLDS):
        row, column = assigned((iou >= threshold) * (1 + TIE_BREAK * iou))
        hit[rows[row], place] = found[columns[column], place] = True


def assigned(gain: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The one-to-one pairs of greatest total gain, of shape (N, M), and only those that gain something."""
    row, column = linear_sum_assignment(gain, maximize=True)
    pays = gain[row, column] > 0
    return row[pays], column[pays]


def in_crowd(said: NDArray[np.intp], boxes: Boxes, there: NDArray[np.intp], crowds: Boxes) -> NDArray[np.float64]:
    """The greatest share of each box's own area that lies in one crowd of its key.

    Args:
        said: (N,) keys of the boxes, such as image and category in one number.
        boxes: (N, 4) boxes; one without area lies in nothing.
        there: (C,) keys of the crowds.
        crowds: (C, 4) their boxes, in the same frame.

    Returns:
        (N,) in [0, 1].
    """
    covered = np.zeros(len(boxes))
    for rows, columns in groups(said, there):
        first, second = boxes[rows, None], crowds[None, columns]
        sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
        overlap = np.maximum(sides, 0.0).prod(axis=2).max(axis=1)
        covered[rows] = np.divide(overlap, area(boxes[rows]), out=np.zeros(len(rows)), where=overlap > 0)
    return covered


def counts_by_image(truth: GroundTruth, detections: Detections, matches: Matches) -> Counts:
    """Counts of shape (I, T), of the images in their order."""
    return _counts(truth, matches, detections.image, truth.image, len(truth.images))


def counts_by_category(truth: GroundTruth, detections: Detections, matches: Matches) -> Counts:
    """Counts of shape (K, T), of the categories in their order."""
    return _counts(truth, matches, detections.category, truth.category, len(truth.categories))


def _counts(
    truth: GroundTruth, matches: Matches, said: NDArray[np.intp], there: NDArray[np.intp], size: int
) -> Counts:
    hits, predicted = np.zeros((2, size, len(THRESHOLDS)), np.int64)
    np.add.at(hits, said, matches.hit)
    np.add.at(predicted, said, ~matches.ignored)
    objects = np.bincount(there[~truth.crowd], minlength=size).astype(np.int64)
    return Counts(hits, predicted, np.repeat(objects[:, None], len(THRESHOLDS), axis=1))


def summary(counts: Counts) -> dict[str, float]:
    """The few numbers for a table, in [0, 1] or NaN.

    Args:
        counts: Of shape (T,): pooled, as of `counts_by_image(...).total()`.

    Returns:
        `F1_50`, `precision_50` and `recall_50` at an IoU of 0.5; `F1` is the mean over the thresholds.
    """
    at_half = {"F1_50": counts.f1[0], "precision_50": counts.precision[0], "recall_50": counts.recall[0]}
    return {name: float(value) for name, value in {"F1": counts.f1.mean(), **at_half}.items()}


def points(counts: Counts) -> list[dict[str, float]]:
    """The one precision and recall that there is at each threshold, T entries, by rising `iou`.

    Args:
        counts: Of shape (T,), pooled.
    """
    columns = (THRESHOLDS, counts.precision, counts.recall, counts.f1)
    names = ("iou", "precision", "recall", "f1")
    return [dict(zip(names, row, strict=True)) for row in np.stack(columns, axis=1).tolist()]


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio
