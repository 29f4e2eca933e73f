"""Which prediction belongs to which object: one-to-one matching of predicted with true boxes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from verl_vision_r1.boxes import Boxes, pairwise_geometry, pairwise_iou
from verl_vision_r1.frames import to_frame
from verl_vision_r1.rewards.answers.answer import Answer
from verl_vision_r1.rewards.refinement import Stage, credit
from verl_vision_r1.targets import Target, normalise_label


@dataclass(frozen=True, eq=False)
class Match:
    """The K matched pairs, K at most min(N, M).

    Attributes:
        predicted: (K,) indices into the predicted boxes.
        target: (K,) indices into the target boxes.
        iou: (K,) IoU of each pair, in [0, 1].
        giou: (K,) GIoU of each pair, in (-1, 1]; where a matcher has no use for it, the IoU.
        label_equal: (K,) whether the two labels of a pair are the same.
    """

    predicted: NDArray[np.intp]
    target: NDArray[np.intp]
    iou: NDArray[np.float64]
    giou: NDArray[np.float64]
    label_equal: NDArray[np.bool_]


Matcher = Callable[[Answer, Target, Stage], Match]
"""(answer, target, stage in force) -> pairs."""

NO_PAIRS: Final = Match(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0), np.zeros(0), np.zeros(0, np.bool_))


def match_by_assignment(answer: Answer, target: Target, stage: Stage) -> Match:
    """Box-prioritised matching: the assignment of least total `L1 - [label equal] - GIoU`.

    L1 is the sum of the four absolute differences in original-image pixels, so it outweighs the other two terms, which
    are at most 1: that is what gives the boxes priority. Labels are compared after strip and lower; no label equals
    none. The stage does not matter.

    Returns:
        min(N, M) pairs.

    Source:
        Vision-R1 (arXiv 2503.18013), section 3.2; unit weights as in the released code.

    Example:
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> boxes = np.array([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]])
        >>> target = Target(boxes[::-1], ["dog", "cat"], width=100, height=100)
        >>> match = match_by_assignment(Answer(boxes, ("cat", None), frame=(100, 100)), target, OFF)
        >>> match.predicted.tolist(), match.target.tolist(), match.label_equal.tolist()
        ([0, 1], [1, 0], [True, False])
    """
    if not len(answer.boxes) or not len(target.boxes):
        return NO_PAIRS
    iou, giou, cost = pairwise_geometry(boxes_in_pixels(answer, target), target.boxes)
    same = same_label(answer, target)
    cost -= giou
    cost -= same
    rows, columns = linear_sum_assignment(cost)
    pairs = rows * len(target.boxes) + columns
    return Match(rows, columns, iou.take(pairs), giou.take(pairs), same.take(pairs))


def match_same_label(answer: Answer, target: Target, stage: Stage) -> Match:
    """Label-aware matching: of the pairs with equal labels, the assignment of most credit under the stage in force.

    A pair with another label is no pair. Because it is the credit itself that is greatest, no better box ever makes
    it smaller. Among assignments of equal credit, the one of greatest IoU is taken, so that the order of the
    predictions does not matter.

    Returns:
        The pairs of overlapping boxes with equal labels, at most min(N, M).

    Source:
        This project; the credit is `refinement.credit`.

    Example:
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> boxes = np.array([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]])
        >>> target = Target(boxes, ["cat", "dog"], width=100, height=100)
        >>> len(match_same_label(Answer(boxes, ("cat", "cat"), frame=(100, 100)), target, OFF).iou)
        1
    """
    if not len(answer.boxes) or not len(target.boxes):
        return NO_PAIRS
    iou = pairwise_iou(boxes_in_pixels(answer, target), target.boxes)
    same = same_label(answer, target)
    gain = credit(iou, stage)
    gain += TIE_BREAK * iou
    gain *= same
    rows, columns = linear_sum_assignment(gain, maximize=True)
    pairs = rows * len(target.boxes) + columns
    paired = gain.take(pairs)
    if np.count_nonzero(paired) < len(paired):
        rows, columns, pairs = (places[paired > 0] for places in (rows, columns, pairs))
    overlap = iou.take(pairs)
    return Match(rows, columns, overlap, overlap, same.take(pairs))


TIE_BREAK: Final = 1e-9
"""Weight of the IoU beside the credit: it decides between equal credits and cannot be seen in a score."""


def match_by_confidence(answer: Answer, target: Target, stage: Stage, *, iou_above: float = 0.5) -> Match:
    """Greedy matching: by falling confidence, each prediction takes the free true box that it overlaps most.

    Equal confidences keep the order of the answer. A prediction whose best overlap is not above `iou_above` takes no
    box. Labels and the stage do not matter: a prompt asks for one category.

    Returns:
        The accepted pairs, by falling confidence.

    Source:
        Visual-RFT (arXiv 2503.01785), section 3.2, where the threshold has no number; 0.5 is the released code's.

    Example:
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> target = Target([[0, 0, 10, 10]], ["cat"], width=100, height=100)
        >>> boxes = np.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0]])
        >>> answer = Answer(boxes, (None, None), confidences=np.array([0.3, 0.9]), frame=(100, 100))
        >>> match_by_confidence(answer, target, OFF).predicted.tolist()
        [1]
    """
    if not len(answer.boxes) or not len(target.boxes):
        return NO_PAIRS
    iou = pairwise_iou(boxes_in_pixels(answer, target), target.boxes)
    confidences = np.ones(len(iou)) if answer.confidences is None else answer.confidences
    return greedy_match(iou, np.argsort(-confidences, kind="stable"), iou_above)


def greedy_match(iou: NDArray[np.float64], order: NDArray[np.intp], iou_above: float) -> Match:
    """Let each prediction in turn take the free true box that it overlaps most, where that is above `iou_above`.

    Each choice depends on those before it, so this loops; only over predictions that overlap something enough.

    Args:
        iou: (N, M) IoU of every pair.
        order: The predictions in the order in which they choose.
        iou_above: In [0, 1].
    """
    free = iou.copy()
    rows: list[int] = []
    columns: list[int] = []
    for row in order[free[order].max(axis=1) > iou_above]:
        column = int(free[row].argmax())
        if free[row, column] > iou_above:
            rows.append(int(row))
            columns.append(column)
            free[:, column] = -1.0
            if len(columns) == free.shape[1]:
                break
    predicted, target = np.array(rows, np.intp), np.array(columns, np.intp)
    pairs = iou[predicted, target]
    return Match(predicted, target, pairs, pairs, np.ones(len(rows), np.bool_))


def match_nothing(answer: Answer, target: Target, stage: Stage) -> Match:
    """No pairs, for tasks whose answer is no boxes."""
    return NO_PAIRS


MATCHERS: Final[dict[str, Matcher]] = {
    "assignment": match_by_assignment,
    "same_label": match_same_label,
    "greedy_confidence": match_by_confidence,
    "none": match_nothing,
}
"""The names that a configuration can use without giving a function of its own."""


def boxes_in_pixels(answer: Answer, target: Target) -> Boxes:
    """The predicted boxes in original-image pixels, (N, 4)."""
    return to_frame(answer.boxes, answer.frame, (target.width, target.height))


def same_label(answer: Answer, target: Target) -> NDArray[np.bool_]:
    """Which predicted and true labels are the same after `normalise_label`, of shape (N, M); None is like no label.

    Example:
        >>> target = Target([[0, 0, 9, 9], [1, 1, 9, 9]], ["cat", "dog"], width=10, height=10)
        >>> same_label(Answer(target.boxes, (" Cat", None)), target).tolist()
        [[True, False], [False, False]]
    """
    columns, codes = target.label_codes
    rows: list[int | None] = list(map(codes.get, answer.labels))  # type: ignore[arg-type]
    if None in rows:
        code_of = {label: codes.get(normalise_label(label)) for label in set(answer.labels) if label is not None}
        rows = [code_of.get(label) for label in answer.labels]  # type: ignore[arg-type]
        rows = [-1 if row is None else row for row in rows]
    same: NDArray[np.bool_] = np.array(rows)[:, None] == columns
    return same
