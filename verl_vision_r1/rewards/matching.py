"""One-to-one matching of predicted boxes to ground-truth boxes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from verl_vision_r1.boxes import Boxes, pairwise_geometry, pairwise_iou
from verl_vision_r1.frames import to_frame
from verl_vision_r1.rewards.answers.answer import Answer
from verl_vision_r1.rewards.options import check_fraction
from verl_vision_r1.rewards.refinement import Stage, credit
from verl_vision_r1.targets import LabelForm, Target, normalise_label, plain_label


@dataclass(frozen=True, eq=False)
class Match:
    """K matches of a predicted to a ground-truth box, K at most min(N, M).

    Attributes:
        predicted: (K,) indices into the predicted boxes.
        target: (K,) indices into the target boxes.
        iou: (K,) IoU of each pair, in [0, 1]; for points their nearness, see `points.Regions`.
        giou: (K,) GIoU of each pair, in (-1, 1]; equal to `iou` if the matcher does not compute GIoU.
        label_equal: (K,) whether the two labels of each pair are equal.
    """

    predicted: NDArray[np.intp]
    target: NDArray[np.intp]
    iou: NDArray[np.float64]
    giou: NDArray[np.float64]
    label_equal: NDArray[np.bool_]


Matcher = Callable[[Answer, Target, Stage], Match]
"""(parsed completion, target, current stage) -> matches."""

LARGE: Final = 50_000
"""Pairs of a prediction and a target from which on it takes less time to leave out those that cannot match."""
NO_PAIRS: Final = Match(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0), np.zeros(0), np.zeros(0, np.bool_))


def match_by_assignment(answer: Answer, target: Target, stage: Stage) -> Match:
    """Box-prioritised matching: the assignment with the minimum total cost `L1 - [label equal] - GIoU`.

    L1 is the sum of the four absolute coordinate differences in original-image pixels, so it outweighs the other two
    terms, which are at most 1. Labels are compared after strip and lower; a missing label equals no label. The stage
    is not used.

    Returns:
        min(N, M) matches.

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
    boxes = boxes_in_pixels(answer, target)
    iou, giou, cost = pairwise_geometry(boxes, target.boxes)
    same = same_label(answer, target)
    cost -= giou
    cost -= same
    cost -= TIE_BREAK * iou
    # In an order of their own, so that among equal costs the order of the predictions does not matter.
    order = np.lexsort(boxes.T)
    rows, columns = _least_cost(cost[order])
    rows, columns = _by_prediction(order[rows], columns)
    pairs = rows * len(target.boxes) + columns
    return Match(rows, columns, iou.take(pairs), giou.take(pairs), same.take(pairs))


def _least_cost(cost: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The assignment of least total cost, (N, M).

    With more predictions than targets, each target needs its M cheapest predictions alone: whatever the others take,
    one of them is free. Of a large matrix, the rest is left out.
    """
    count, targets = cost.shape
    if count <= targets or cost.size < LARGE:
        return linear_sum_assignment(cost)  # type: ignore[no-any-return]
    by_target = np.ascontiguousarray(cost.T)
    cheapest = np.unique(np.argpartition(by_target, targets - 1, axis=1)[:, :targets])
    columns, rows = linear_sum_assignment(by_target[:, cheapest])
    return cheapest[rows], columns


def _by_prediction(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    places = np.argsort(rows)
    return rows[places], columns[places]


def match_same_label(answer: Answer, target: Target, stage: Stage) -> Match:
    """Label-aware matching: among boxes with equal labels, the assignment with the maximum credit.

    The credit is that of the current stage. Boxes with different labels are never matched. Since the assignment
    maximises the credit itself, improving a box never lowers it. Ties are broken by IoU, so the order of the
    predictions does not matter.

    Returns:
        Matches of overlapping boxes with equal labels, at most min(N, M).

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
    return _match_by_credit(answer, target, stage, same_label(answer, target, plain_label))


def match_any_label(answer: Answer, target: Target, stage: Stage) -> Match:
    """As `match_same_label`, whatever the labels: for a question about one thing, whose label is known.

    Source:
        This project.
    """
    if not len(answer.boxes) or not len(target.boxes):
        return NO_PAIRS
    return _match_by_credit(answer, target, stage, np.ones((len(answer.boxes), len(target.boxes)), np.bool_))


def _match_by_credit(answer: Answer, target: Target, stage: Stage, same: NDArray[np.bool_]) -> Match:
    """The assignment of greatest credit among the pairs whose labels count as equal, (N, M)."""
    iou = pairwise_iou(boxes_in_pixels(answer, target), target.boxes)
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
"""Weight of the IoU relative to the credit: it decides between equal credits and is too small to show in a score."""


def match_by_confidence(answer: Answer, target: Target, stage: Stage, *, iou_above: float = 0.5) -> Match:
    """Greedy matching: in descending confidence, each prediction takes the unmatched target box with the highest IoU.

    Equal confidences keep the order of the predictions. A prediction whose highest IoU is not above `iou_above` stays
    unmatched. Labels and the stage are not used: the prompt asks for one category.

    Returns:
        The matches, in descending confidence.

    Source:
        Visual-RFT (arXiv 2503.01785), section 3.2. The paper gives no threshold; 0.5 is the released code's.

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
    """Match each prediction in turn to the unmatched target box with the highest IoU, if it is above `iou_above`.

    Each choice depends on the previous ones, so this is a loop; it skips predictions with no IoU above the threshold.

    Args:
        iou: (N, M) pairwise IoU.
        order: (N,) indices of the predictions, in the order in which they are matched.
        iou_above: IoU threshold in [0, 1], exclusive.
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


def match_points(answer: Answer, target: Target, stage: Stage) -> Match:
    """One-to-one matching of points to the targets that they are inside of: as many matches as possible.

    Among these matchings it is the one with the greatest total nearness. Labels must be equal, unless the prompt asks
    for one name only. The stage is not used.

    Returns:
        At most min(N, M) matches; their `iou` is the nearness, at least 1/2. Points after the first `MOST_POINTS` are
        not matched.

    Source:
        This project.

    Example:
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> target = Target([[0, 0, 40, 40], [20, 20, 60, 60]], ["cat", "cat"], 100, 100, task="pointing")
        >>> points = np.array([[30.0, 30.0, 30.0, 30.0], [10.0, 10.0, 10.0, 10.0]])
        >>> match_points(Answer(points, (None, None), frame=(100, 100)), target, OFF).target.tolist()
        [1, 0]
    """
    if not len(answer.boxes) or not len(target.boxes):
        return NO_PAIRS
    most = max(len(target.boxes), MOST_POINTS)
    several = len(set(target.categories or target.labels)) > 1
    equal = same_label(answer, target, plain_label)[:most] if several else None
    rows, columns, near = target.regions.hits(boxes_in_pixels(answer, target)[:most, :2], equal)
    if len(set(rows.tolist())) < len(rows) or len(set(columns.tolist())) < len(columns):
        chosen = _most_pairs(rows, columns, near)
        rows, columns, near = rows[chosen], columns[chosen], near[chosen]
    return Match(rows, columns, near, near, np.ones(len(rows), np.bool_))


def _most_pairs(rows: NDArray[np.intp], columns: NDArray[np.intp], near: NDArray[np.float64]) -> NDArray[np.intp]:
    """Of P pairs, the one-to-one matching of most pairs, and among these of the greatest total nearness."""
    points, row = np.unique(rows, return_inverse=True)
    targets, column = np.unique(columns, return_inverse=True)
    pairs = np.full((len(points), len(targets)), -1)
    pairs[row, column] = np.arange(len(rows))
    gain = np.zeros(pairs.shape)
    # The nearness of all matches together adds less than one more match does.
    gain[row, column] = 1.0 + near / (2 * len(targets))
    chosen: NDArray[np.intp] = pairs[linear_sum_assignment(gain, maximize=True)]
    return chosen[chosen >= 0]


MOST_POINTS: Final = 1_000
"""Points of a completion that are matched, or as many as there are targets."""


def match_nothing(answer: Answer, target: Target, stage: Stage) -> Match:
    """No matches, for tasks whose completions have no boxes."""
    return NO_PAIRS


match_by_confidence.check_options = check_fraction  # type: ignore[attr-defined]

MATCHERS: Final[dict[str, Matcher]] = {
    "assignment": match_by_assignment,
    "same_label": match_same_label,
    "any_label": match_any_label,
    "greedy_confidence": match_by_confidence,
    "points": match_points,
    "none": match_nothing,
}
"""The built-in matchers, by their name in a configuration."""


def boxes_in_pixels(answer: Answer, target: Target) -> Boxes:
    """The predicted boxes in original-image pixels, (N, 4)."""
    return to_frame(answer.boxes, answer.frame, (target.width, target.height))


def same_label(answer: Answer, target: Target, form: LabelForm = normalise_label) -> NDArray[np.bool_]:
    """Which predicted and target labels are equal in a form, (N, M); None equals no label.

    Example:
        >>> target = Target([[0, 0, 9, 9], [1, 1, 9, 9]], ["cat", "dog"], width=10, height=10)
        >>> same_label(Answer(target.boxes, (" Cat", None)), target).tolist()
        [[True, False], [False, False]]
    """
    columns, codes = target.label_codes(form)
    rows: list[int | None] = list(map(codes.get, answer.labels))  # type: ignore[arg-type]
    if None in rows:
        code_of = {label: codes.get(form(label)) for label in set(answer.labels) if label is not None}
        rows = [code_of.get(label) for label in answer.labels]  # type: ignore[arg-type]
        rows = [-1 if row is None else row for row in rows]
    same: NDArray[np.bool_] = np.array(rows)[:, None] == columns
    return same
