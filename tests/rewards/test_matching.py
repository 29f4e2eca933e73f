"""The matchers, against exhaustive search and a plain loop."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from verl_vision_r1 import Target
from verl_vision_r1.boxes import pairwise_geometry, pairwise_iou
from verl_vision_r1.rewards import matching
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import (
    Match,
    match_by_assignment,
    match_by_confidence,
    match_nothing,
    match_same_label,
)
from verl_vision_r1.rewards.refinement import OFF, Stage, credit

SIZE = (200, 200)


def scene(count: int, seed: int) -> tuple[Any, tuple[str, ...]]:
    generator = np.random.default_rng(seed)
    corner, size = generator.uniform(0, 100, size=(count, 2)), generator.uniform(5, 50, size=(count, 2))
    return np.hstack([corner, corner + size]), tuple(generator.choice(["cat", "dog"], size=count).tolist())


def assign(predicted: Any, predicted_labels: Any, target: Any, target_labels: Any) -> Match:
    true = Target.unchecked(target, target_labels, *SIZE)
    return match_by_assignment(Answer(predicted, tuple(predicted_labels), frame=SIZE), true, OFF)


def least_cost(predicted: Any, predicted_labels: Any, target: Any, target_labels: Any) -> float:
    """Exhaustive search: L1 - [label equal] - GIoU, summed over min(N, M) matches."""
    giou = pairwise_geometry(predicted, target).giou
    cost = np.abs(predicted[:, None] - target[None]).sum(-1) - giou
    cost -= np.array([[a == b for b in target_labels] for a in predicted_labels])
    if len(predicted) > len(target):
        cost = cost.T
    rows, columns = cost.shape
    return min(
        sum(cost[row, column] for row, column in enumerate(order)) for order in permutations(range(columns), rows)
    )


@pytest.mark.parametrize("sizes", [(700, 100), (100, 700), (250, 240)])
@pytest.mark.parametrize("spread", [1.0, 0.01])
def test_the_predictions_that_no_target_needs_are_left_out(
    sizes: tuple[int, int], spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted, predicted_labels = scene(sizes[0], 0)
    target, target_labels = scene(sizes[1], 1)
    target = 50 + spread * target
    match = assign(predicted, predicted_labels, target, target_labels)
    shapes = []

    def recorded(cost: Any) -> Any:
        shapes.append(cost.shape)
        return linear_sum_assignment(cost)

    monkeypatch.setattr(matching, "linear_sum_assignment", recorded)
    assert assign(predicted, predicted_labels, target, target_labels).predicted.tolist() == match.predicted.tolist()
    monkeypatch.setattr(matching, "LARGE", 10**9)
    whole = assign(predicted, predicted_labels, target, target_labels)
    assert match.predicted.tolist() == whole.predicted.tolist()
    assert match.target.tolist() == whole.target.tolist()
    assert min(shapes[0]) == min(sizes)
    assert max(shapes[0]) < 250 if sizes[0] == 700 and spread < 1 else max(shapes[0]) <= max(sizes)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 5), (5, 2), (5, 5), (4, 3)])
@pytest.mark.parametrize("seed", range(5))
def test_no_assignment_has_a_lower_cost(sizes: tuple[int, int], seed: int) -> None:
    predicted, predicted_labels = scene(sizes[0], seed)
    target, target_labels = scene(sizes[1], seed + 100)
    match = assign(predicted, predicted_labels, target, target_labels)
    assert len(set(match.predicted)) == len(set(match.target)) == min(sizes)
    difference = np.abs(predicted[match.predicted] - target[match.target]).sum()
    found = difference - match.giou.sum() - match.label_equal.sum()
    assert found == pytest.approx(least_cost(predicted, predicted_labels, target, target_labels))
    iou, giou, _ = pairwise_geometry(predicted, target)
    np.testing.assert_array_equal(match.iou, iou[match.predicted, match.target])
    np.testing.assert_array_equal(match.giou, giou[match.predicted, match.target])


def test_labels_decide_between_equal_boxes() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0]] * 2)
    match = assign(boxes, (" DOG ", "cat"), boxes, ("cat", "dog"))
    assert dict(zip(match.predicted.tolist(), match.target.tolist(), strict=True)) == {0: 1, 1: 0}
    assert match.label_equal.all()


def test_a_missing_label_equals_no_label() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0]])
    assert not assign(boxes, (None,), boxes, ("none",)).label_equal.any()


@pytest.mark.parametrize("sizes", [(0, 0), (0, 3), (3, 0)])
def test_no_boxes_no_matches(sizes: tuple[int, int]) -> None:
    predicted, target = scene(sizes[0], 0), scene(sizes[1], 1)
    assert assign(*predicted, *target).iou.shape == (0,)


@pytest.mark.parametrize("stage", [OFF, Stage(0.5, 0.5, 0.75), Stage(0.75, 0.75, 0.9)])
@pytest.mark.parametrize("seed", range(20))
def test_no_assignment_of_equal_labels_has_more_credit(seed: int, stage: Stage) -> None:
    generator = np.random.default_rng(seed)
    target, target_labels = scene(4, seed)
    predicted = target[generator.permutation(4)] + generator.normal(0, 4, size=(4, 4))
    predicted_labels = tuple(generator.choice(["cat", "dog"], size=4).tolist())
    true = Target.unchecked(target, target_labels, *SIZE)
    match = match_same_label(Answer(predicted, predicted_labels, frame=SIZE), true, stage)
    same = np.array([[one == other for other in target_labels] for one in predicted_labels])
    gain = credit(pairwise_iou(predicted, target), stage) * same
    best = max(sum(gain[row, column] for row, column in enumerate(order)) for order in permutations(range(4)))
    assert credit(match.iou, stage).sum() == pytest.approx(best)
    assert match.label_equal.all()


def greedy(iou: Any, confidences: Any, above: float) -> list[tuple[int, int]]:
    """In descending confidence, each takes the unmatched box with the highest IoU, if above the threshold."""
    free, pairs = list(range(iou.shape[1])), []
    for row in sorted(range(len(iou)), key=lambda index: -confidences[index]):
        best = max(free, key=lambda column: iou[row, column], default=None)
        if best is not None and iou[row, best] > above:
            free.remove(best)
            pairs.append((row, best))
    return pairs


@pytest.mark.parametrize("above", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("seed", range(20))
def test_greedy_matching_equals_a_plain_loop(seed: int, above: float) -> None:
    generator = np.random.default_rng(seed)
    target, labels = scene(5, seed)
    predicted = np.vstack([target, target[:3]]) + generator.normal(0, 6, size=(8, 4))
    confidences = generator.integers(0, 4, size=8) / 4
    answer = Answer(predicted, confidences=confidences, frame=SIZE)
    match = match_by_confidence(answer, Target.unchecked(target, labels, *SIZE), OFF, iou_above=above)
    expected = greedy(pairwise_iou(predicted, target), confidences, above)
    assert list(zip(match.predicted.tolist(), match.target.tolist(), strict=True)) == expected


def test_a_task_without_boxes_has_no_matches() -> None:
    boxes, labels = scene(2, 0)
    assert not len(match_nothing(Answer(boxes, labels), Target.unchecked(boxes, labels, *SIZE), OFF).iou)
