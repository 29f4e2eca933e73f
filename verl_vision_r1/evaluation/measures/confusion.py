"""The confusion matrix of detection: predictions are matched to objects regardless of their labels."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import area, pairwise_iou
from verl_vision_r1.evaluation.measures.f1 import assigned, groups, in_crowd
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

MIN_IOU: Final = 0.5


def confusion(truth: GroundTruth, detections: Detections) -> NDArray[np.int64]:
    """Compute the confusion matrix.

    Predictions are matched one-to-one to objects of their image with an IoU of at least 0.5. The matching has the most
    matches, among those the most equal labels, among those the largest total IoU. An unmatched prediction is ignored
    if half of its area is inside a crowd of its category. An object without area cannot be matched.

    Returns:
        (K + 1, K + 1) counts: rows are ground-truth categories, columns predicted categories; the last row and column
        are the background. Each row but the last sums to the number of objects of its category.

    Example:
        >>> one = np.zeros(1, np.intp)
        >>> box = np.array([[0.0, 0.0, 10.0, 10.0]])
        >>> truth = GroundTruth(("a",), ("cat", "dog"), one, one, box, area(box), np.array([False]), ("",))
        >>> confusion(truth, Detections(one, one + 1, box, np.ones(1))).tolist()
        [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    """
    background = len(truth.categories)
    objects = np.flatnonzero(~truth.crowd)
    predicted = np.full(len(truth.image), background)
    matched = np.zeros(len(detections.image), np.bool_)
    for row, column in _matches(truth, detections):
        predicted[column], matched[row] = detections.category[row], True
    table = np.zeros((background + 1, background + 1), np.int64)
    np.add.at(table, (truth.category[objects], predicted[objects]), 1)
    false_positive = ~matched & ~_in_a_crowd(truth, detections)
    table[background, :background] = np.bincount(detections.category[false_positive], minlength=background)
    return table


def _matches(truth: GroundTruth, detections: Detections) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The matches of each image: indices of predictions and of objects."""
    # Sorted by coordinates, so that the result does not depend on the order of the predictions.
    order = np.lexsort((detections.category, *detections.boxes.T))
    objects = np.flatnonzero(~truth.crowd & (area(truth.boxes) > 0))
    matches = []
    for rows, columns in groups(detections.image[order], truth.image[objects]):
        rows, columns = order[rows], objects[columns]
        iou = pairwise_iou(detections.boxes[rows], truth.boxes[columns])
        same = detections.category[rows, None] == truth.category[columns]
        # All equal labels of an image together weigh less than one match, all its IoU less than one equal label.
        weight = 1 / (min(iou.shape) + 1)
        row, column = assigned((iou >= MIN_IOU) * (1 + weight * same + 0.5 * weight**2 * iou))
        matches.append((rows[row], columns[column]))
    return matches


def _in_a_crowd(truth: GroundTruth, detections: Detections) -> NDArray[np.bool_]:
    """(N,) which predictions have half of their area inside a crowd of their category."""
    kinds = len(truth.categories)
    crowds = (truth.image * kinds + truth.category)[truth.crowd]
    keys = detections.image * kinds + detections.category
    return in_crowd(keys, detections.boxes, crowds, truth.boxes[truth.crowd]) >= MIN_IOU
