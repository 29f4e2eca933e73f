"""Expressions, classes and counts: one value for each answer.

Every value is a `Ratio`: what is summed over the answers, and what that is divided by. So a mean, a share and LISA's
cumulative IoU are drawn again by the bootstrap alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes, area, pairwise_geometry
from verl_vision_r1.rewards.criteria.text import joined
from verl_vision_r1.targets import Target

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ratio:
    """A value of many answers: the sum of `above` over the sum of `below`, both (Q,) or (Q, T).

    With T columns it is the mean of their ratios.
    """

    above: Numbers
    below: Numbers

    def value(self, weights: Numbers | None = None) -> Numbers:
        """The value; with weights of shape (R, Q), how often each answer counts, (R,) values. NaN for nothing."""
        drawn = np.ones((1, len(self.above))) if weights is None else weights
        with np.errstate(invalid="ignore", divide="ignore"):
            values: Numbers = (drawn @ self.above) / (drawn @ self.below)
        values = values.reshape(len(drawn), -1).mean(axis=1)
        return values[0] if weights is None else values


def mean_of(values: Sequence[float] | Numbers) -> Ratio:
    """The mean of a value for each answer.

    Example:
        >>> float(mean_of([1.0, 0.0, 0.5]).value())
        0.5
    """
    above = np.asarray(values, dtype=np.float64)
    return Ratio(above, np.ones_like(above))


def expressions(answers: Sequence[Boxes], targets: Sequence[Target]) -> dict[str, Ratio]:
    """How well the box of an expression was found.

    Args:
        answers: Of each answer the boxes, in original-image pixels.
        targets: The objects that are meant.

    Returns:
        `accuracy_50`: the first box has an IoU of at least 0.5 with the first object: RefCOCO's accuracy.
        `mean_IoU`: mean IoU of those two: Visual-RFT's mIoU on LISA.
        `generalised_IoU`: their mean GIoU, in [-1, 1], -1 without a box.
        `gIoU`, `cIoU`: LISA's, on boxes instead of outlines: of the area that all boxes cover, the mean over answers
        of intersection over union, and the sum of intersections over the sum of unions. An answer of nothing about
        nothing has 1 in the first, and no part in the second.

    Source:
        LISA (arXiv 2308.00692), section 5.1, for gIoU and cIoU.
    """
    pairs = [_first_pair(boxes, target) for boxes, target in zip(answers, targets, strict=True)]
    iou, giou = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    covered = np.array([covered_areas(boxes, target.boxes) for boxes, target in zip(answers, targets, strict=True)])
    intersection, union = covered.reshape(-1, 2).T
    each = np.divide(intersection, union, out=np.ones_like(union), where=union > 0)
    return {
        "accuracy_50": mean_of((iou >= 0.5).astype(np.float64)),
        "mean_IoU": mean_of(iou),
        "generalised_IoU": mean_of(giou),
        "gIoU": mean_of(each),
        "cIoU": Ratio(intersection, union),
    }


def _first_pair(boxes: Boxes, target: Target) -> tuple[float, float]:
    if not len(boxes) or not len(target.boxes):
        alike = float(len(boxes) == len(target.boxes))
        return alike, 2 * alike - 1
    if area(boxes[:1])[0] <= 0:
        return 0.0, -1.0
    geometry = pairwise_geometry(boxes[:1], target.boxes[:1])
    return float(geometry.iou[0, 0]), float(geometry.giou[0, 0])


def covered_areas(first: Boxes, second: Boxes) -> tuple[float, float]:
    """Areas of intersection and union of what two lists of boxes cover.

    Args:
        first: (N, 4) boxes.
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
    """Which cells of the grid that all corners span lie in a box."""
    covered = np.zeros(shape, dtype=np.bool_)
    left, right = np.searchsorted(columns, boxes[:, 0]), np.searchsorted(columns, boxes[:, 2])
    top, bottom = np.searchsorted(rows, boxes[:, 1]), np.searchsorted(rows, boxes[:, 3])
    for box in zip(top.tolist(), bottom.tolist(), left.tolist(), right.tolist(), strict=True):
        covered[box[0] : box[1], box[2] : box[3]] = True
    return covered


def classes(answers: Sequence[str | None], targets: Sequence[Target]) -> dict[str, Ratio]:
    """How often the class was named.

    Args:
        answers: The text of each answer, None where there is none.
        targets: Their label is the class.

    Returns:
        `accuracy`: the answer is the name, blanks, underscores and case aside. `accuracy_published`: one of the two is
        a part of the other, so that an empty answer is right: Visual-RFT's rule.
    """
    given = [None if answer is None else joined(answer) for answer in answers]
    names = [joined(target.labels[0]) for target in targets]
    pairs = list(zip(given, names, strict=True))
    return {
        "accuracy": mean_of([float(answer == name) for answer, name in pairs]),
        "accuracy_published": mean_of(
            [float(answer is not None and (answer in name or name in answer)) for answer, name in pairs]
        ),
    }


def counts(answers: Sequence[int | None], targets: Sequence[Target]) -> dict[str, Ratio]:
    """How far counts are off. An answer without a number counts as 0 objects, and is not right even where that is so.

    Args:
        answers: The number of each answer, None where there is none.
        targets: How many there are.

    Returns:
        `accuracy`: the share that is right. `within_1`: off by one at most. `absolute_error`: mean number of objects
        by which an answer is off. `bias`: the same with its sign; above 0 too many are counted.
    """
    said = np.array([answer or 0 for answer in answers], dtype=np.float64)
    off = said - np.array([target.instances for target in targets], dtype=np.float64)
    stated = np.array([answer is not None for answer in answers], dtype=np.bool_)
    return {
        "accuracy": mean_of((stated & (off == 0)).astype(np.float64)),
        "within_1": mean_of((stated & (abs(off) <= 1)).astype(np.float64)),
        "absolute_error": mean_of(abs(off)),
        "bias": mean_of(off),
    }
