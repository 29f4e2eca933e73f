"""Which label was said of what: pairs of objects and predictions whatever their labels."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import area, pairwise_iou
from verl_vision_r1.evaluation.measures.f1 import assigned, groups, in_crowd
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

IOU_AT_LEAST: Final = 0.5


def confusion(truth: GroundTruth, detections: Detections) -> NDArray[np.int64]:
    """Count what was said of what is there.

    Predictions are paired with objects of their image at an IoU of 0.5 or more, one-to-one: the greatest number of
    pairs, of those the most equal labels, of those the greatest total IoU. An unpaired prediction that lies by half
    in a crowd of its category is left out. An object without area can not be paired.

    Returns:
        (K + 1, K + 1) counts: rows are what is there, columns what was said, both in the order of the categories; the
        last row and column are "nothing". A row but the last sums to the objects of its category.

    Example:
        >>> one = np.zeros(1, np.intp)
        >>> box = np.array([[0.0, 0.0, 10.0, 10.0]])
        >>> truth = GroundTruth(("a",), ("cat", "dog"), one, one, box, area(box), np.array([False]), ("",))
        >>> confusion(truth, Detections(one, one + 1, box, np.ones(1))).tolist()
        [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    """
    nothing = len(truth.categories)
    objects = np.flatnonzero(~truth.crowd)
    said_of = np.full(len(truth.image), nothing)
    is_said = np.full(len(detections.image), nothing)
    for row, column in _pairs(truth, detections):
        said_of[column], is_said[row] = detections.category[row], truth.category[column]
    table = np.zeros((nothing + 1, nothing + 1), np.int64)
    np.add.at(table, (truth.category[objects], said_of[objects]), 1)
    # What is paired is in the table already, from the side of its object.
    invented = (is_said == nothing) & ~_in_a_crowd(truth, detections)
    table[nothing, :nothing] = np.bincount(detections.category[invented], minlength=nothing)
    return table


def _pairs(truth: GroundTruth, detections: Detections) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The pairs of each image: predictions and objects."""
    # In an order of their own, so that the order of the predictions decides nothing.
    order = np.lexsort((detections.category, *detections.boxes.T))
    objects = np.flatnonzero(~truth.crowd & (area(truth.boxes) > 0))
    pairs = []
    for rows, columns in groups(detections.image[order], truth.image[objects]):
        rows, columns = order[rows], objects[columns]
        iou = pairwise_iou(detections.boxes[rows], truth.boxes[columns])
        same = detections.category[rows, None] == truth.category[columns]
        # All equal labels of an image together weigh less than a pair, all its IoU less than an equal label.
        weight = 1 / (min(iou.shape) + 1)
        row, column = assigned((iou >= IOU_AT_LEAST) * (1 + weight * same + 0.5 * weight**2 * iou))
        pairs.append((rows[row], columns[column]))
    return pairs


def _in_a_crowd(truth: GroundTruth, detections: Detections) -> NDArray[np.bool_]:
    """(N,) which predictions lie by half in a crowd of their category."""
    kinds = len(truth.categories)
    there = (truth.image * kinds + truth.category)[truth.crowd]
    said = detections.image * kinds + detections.category
    return in_crowd(said, detections.boxes, there, truth.boxes[truth.crowd]) >= IOU_AT_LEAST
