"""Geometry, against torchvision's."""

from typing import Any

import numpy as np
import pytest

from verl_vision_r1.boxes import as_boxes, pairwise_geometry, pairwise_iou


def random_boxes(count: int, seed: int) -> Any:
    corner, size = np.random.default_rng(seed).uniform(1, 500, size=(2, count, 2))
    return np.hstack([corner, corner + size])


@pytest.mark.parametrize(("predicted", "target"), [(1, 1), (7, 3), (3, 7), (100, 60), (0, 4), (4, 0), (0, 0)])
def test_overlaps_are_torchvisions(predicted: int, target: int) -> None:
    ops = pytest.importorskip("torchvision.ops")
    torch = pytest.importorskip("torch")
    first, second = random_boxes(predicted, seed=1), random_boxes(target, seed=2)
    iou, giou, distance = pairwise_geometry(first, second)
    assert iou.shape == giou.shape == distance.shape == (predicted, target)
    np.testing.assert_array_equal(iou, pairwise_iou(first, second))
    np.testing.assert_allclose(distance, np.abs(first[:, None] - second[None]).sum(axis=2), atol=1e-9)
    np.testing.assert_allclose(iou, ops.box_iou(torch.tensor(first), torch.tensor(second)).numpy(), atol=1e-12)
    expected = ops.generalized_box_iou(torch.tensor(first), torch.tensor(second)).numpy()
    np.testing.assert_allclose(giou, expected, atol=1e-12)


def test_a_box_covers_itself() -> None:
    boxes = random_boxes(20, seed=3)
    iou, giou, _ = pairwise_geometry(boxes, boxes)
    np.testing.assert_allclose(np.diag(iou), 1.0)
    np.testing.assert_allclose(np.diag(giou), 1.0)


def test_a_box_without_area_overlaps_nothing() -> None:
    target = np.array([[0.0, 0.0, 10.0, 10.0]])
    for box in ([10.0, 10.0, 0.0, 0.0], [10.0, 0.0, 0.0, 10.0], [5.0, 5.0, 5.0, 5.0], [10.0, 0.0, -10.0, 5.0]):
        assert pairwise_iou(np.array([box]), target).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2, 3]], r"expected shape \(N, 4\), got \(1, 3\)"),
        ([1, 2, 3, 4], r"expected shape \(N, 4\), got \(4,\)"),
        ([[1, 2, 3, "a"]], "expected N lists of four numbers"),
        ([[1, 2, 3, 10**400]], "expected N lists of four numbers"),
        ([[1, 2, 3, float("nan")]], "expected finite numbers"),
    ],
)
def test_invalid_boxes_are_refused(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_boxes(values)
