"""Which prediction belongs to which object: one-to-one matching of predicted with true boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from verl_vision_r1.boxes import Boxes, pairwise_iou_giou


@dataclass(frozen=True, eq=False)
class Match:
    """The K = min(N, M) matched pairs.

    Attributes:
        predicted: (K,) indices into the predicted boxes.
        target: (K,) indices into the target boxes.
        iou: (K,) IoU of each pair, in [0, 1].
        giou: (K,) GIoU of each pair, in (-1, 1].
        label_equal: (K,) whether the two labels of a pair are the same.
    """

    predicted: NDArray[np.intp]
    target: NDArray[np.intp]
    iou: NDArray[np.float64]
    giou: NDArray[np.float64]
    label_equal: NDArray[np.bool_]


NO_PAIRS = Match(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0), np.zeros(0), np.zeros(0, np.bool_))


def match_by_assignment(
    predicted: Boxes, predicted_labels: tuple[str | None, ...], target: Boxes, target_labels: tuple[str, ...]
) -> Match:
    """Box-prioritised matching: the assignment of least total `L1 - [label equal] - GIoU`.

    L1 is the sum of the four absolute differences in pixels, so it outweighs the other two terms, which are at most 1:
    that is what gives the boxes priority.

    Args:
        predicted: (N, 4) `xyxy` in original-image pixels.
        predicted_labels: N names; None matches no label.
        target: (M, 4) `xyxy` in original-image pixels.
        target_labels: M names. Labels are compared after strip and lower.

    Returns:
        min(N, M) pairs.

    Source:
        Vision-R1 (arXiv 2503.18013), section 3.2; unit weights as in the released code.

    Example:
        >>> boxes = np.array([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]])
        >>> match = match_by_assignment(boxes, ("cat", None), boxes[::-1], ("dog", "cat"))
        >>> match.predicted.tolist(), match.target.tolist(), match.label_equal.tolist()
        ([0, 1], [1, 0], [True, False])
    """
    if not len(predicted) or not len(target):
        return NO_PAIRS
    iou, giou = pairwise_iou_giou(predicted, target)
    label_equal = _label_codes(predicted_labels)[:, None] == _label_codes(target_labels)[None, :]
    rows, columns = linear_sum_assignment(cdist(predicted, target, "cityblock") - label_equal - giou)
    return Match(rows, columns, iou[rows, columns], giou[rows, columns], label_equal[rows, columns])


def normalise_label(label: str) -> str:
    """The form in which labels are compared.

    Example:
        >>> normalise_label(" Traffic Light ")
        'traffic light'
    """
    return label.strip().lower()


def _label_codes(labels: tuple[str | None, ...]) -> NDArray[np.object_]:
    return np.array([None if label is None else normalise_label(label) for label in labels], dtype=object)
