"""The assignment, against every possible one."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from verl_vision_r1.boxes import pairwise_iou_giou
from verl_vision_r1.matching import match_by_assignment


def scene(count: int, seed: int) -> tuple[Any, tuple[str, ...]]:
    generator = np.random.default_rng(seed)
    corner, size = generator.uniform(0, 100, size=(count, 2)), generator.uniform(5, 50, size=(count, 2))
    return np.hstack([corner, corner + size]), tuple(generator.choice(["cat", "dog"], size=count).tolist())


def least_cost(predicted: Any, predicted_labels: Any, target: Any, target_labels: Any) -> float:
    """By trying all: L1 - [label equal] - GIoU, summed over min(N, M) pairs."""
    _, giou = pairwise_iou_giou(predicted, target)
    cost = np.abs(predicted[:, None] - target[None]).sum(-1) - giou
    cost -= np.array([[a == b for b in target_labels] for a in predicted_labels])
    if len(predicted) > len(target):
        cost = cost.T
    rows, columns = cost.shape
    return min(
        sum(cost[row, column] for row, column in enumerate(order)) for order in permutations(range(columns), rows)
    )


@pytest.mark.parametrize("sizes", [(1, 1), (2, 5), (5, 2), (5, 5), (4, 3)])
@pytest.mark.parametrize("seed", range(5))
def test_no_assignment_costs_less(sizes: tuple[int, int], seed: int) -> None:
    predicted, predicted_labels = scene(sizes[0], seed)
    target, target_labels = scene(sizes[1], seed + 100)
    match = match_by_assignment(predicted, predicted_labels, target, target_labels)
    assert len(set(match.predicted)) == len(set(match.target)) == min(sizes)
    difference = np.abs(predicted[match.predicted] - target[match.target]).sum()
    found = difference - match.giou.sum() - match.label_equal.sum()
    assert found == pytest.approx(least_cost(predicted, predicted_labels, target, target_labels))
    iou, giou = pairwise_iou_giou(predicted, target)
    np.testing.assert_array_equal(match.iou, iou[match.predicted, match.target])
    np.testing.assert_array_equal(match.giou, giou[match.predicted, match.target])


def test_labels_decide_between_equal_boxes() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0]] * 2)
    match = match_by_assignment(boxes, (" DOG ", "cat"), boxes, ("cat", "dog"))
    assert dict(zip(match.predicted.tolist(), match.target.tolist(), strict=True)) == {0: 1, 1: 0}
    assert match.label_equal.all()


def test_a_missing_label_equals_none() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0]])
    assert not match_by_assignment(boxes, (None,), boxes, ("none",)).label_equal.any()


@pytest.mark.parametrize("sizes", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_match(sizes: tuple[int, int]) -> None:
    predicted, target = scene(sizes[0], 0), scene(sizes[1], 1)
    assert match_by_assignment(*predicted, *target).iou.shape == (0,)
