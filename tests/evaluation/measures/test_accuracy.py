"""Metrics of grounding, classification and counting."""

import numpy as np
import pytest
from budget import budget
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from verl_vision_r1 import Target
from verl_vision_r1.boxes import NO_BOXES, as_boxes
from verl_vision_r1.evaluation.measures.accuracy import Ratio, classes, counts, covered_areas, expressions

SIDE = 24


def corners(most: int) -> st.SearchStrategy[np.ndarray]:
    numbers = st.integers(0, most).flatmap(
        lambda count: arrays(np.int64, (count, 2, 2), elements=st.integers(0, SIDE))
    )
    return numbers.map(
        lambda found: np.hstack([found.min(axis=1), found.max(axis=1)]).astype(np.float64).reshape(-1, 4)
    )


def painted(boxes: np.ndarray) -> np.ndarray:
    """The pixels that boxes with integer coordinates cover."""
    canvas = np.zeros((SIDE, SIDE), dtype=bool)
    for x1, y1, x2, y2 in boxes.astype(int).tolist():
        canvas[y1:y2, x1:x2] = True
    return canvas


@budget(200)
@given(corners(5), corners(5))
def test_covered_areas_are_those_of_painted_pixels(first: np.ndarray, second: np.ndarray) -> None:
    one, other = painted(first), painted(second)
    assert covered_areas(first, second) == ((one & other).sum(), (one | other).sum())


def grounding_target(*boxes: list[float]) -> Target:
    return Target(list(boxes), ["it"] * len(boxes), width=100, height=100, task="grounding")


def test_expressions_by_hand() -> None:
    targets = [
        grounding_target([0, 0, 10, 10]),
        grounding_target([0, 0, 10, 10]),
        grounding_target([0, 0, 10, 10], [20, 0, 30, 10]),
        grounding_target(),
        grounding_target(),
    ]
    predictions = [
        as_boxes([[0, 0, 10, 5], [0, 0, 10, 10]]),  # The first box has IoU 0.5; together they cover the object.
        NO_BOXES,
        as_boxes([[0, 0, 10, 10]]),  # One of two objects.
        NO_BOXES,
        as_boxes([[0, 0, 10, 10]]),
    ]
    values = {name: float(ratio.value()) for name, ratio in expressions(predictions, targets).items()}
    assert values["accuracy_50"] == pytest.approx((1 + 0 + 1 + 1 + 0) / 5)
    assert [values[f"accuracy_{percent}"] for percent in (10, 70)] == pytest.approx([3 / 5, 2 / 5])
    assert values["centre_accuracy"] == pytest.approx(3 / 5)
    assert values["mean_IoU"] == pytest.approx((0.5 + 0 + 1 + 1 + 0) / 5)
    assert values["generalised_IoU"] == pytest.approx((0.5 - 1 + 1 + 1 - 1) / 5)
    assert values["gIoU"] == pytest.approx((1 + 0 + 0.5 + 1 + 0) / 5)
    assert values["cIoU"] == pytest.approx((100 + 0 + 100 + 0 + 0) / (100 + 100 + 200 + 0 + 100))


def test_the_centre_may_be_inside_at_any_iou_and_outside_at_a_high_one() -> None:
    target = grounding_target([0, 0, 10, 10])
    for box, inside in (([4, 4, 6, 6], 1), ([0, 0, 20, 20], 1), ([0, 0, 21, 10], 0), ([9, 9, 30, 30], 0)):
        assert float(expressions([as_boxes([box])], [target])["centre_accuracy"].value()) == inside


def test_a_box_without_area_has_iou_0_and_giou_minus_1() -> None:
    values = expressions([as_boxes([[5, 5, 5, 9]])], [grounding_target([0, 0, 10, 10])])
    assert (float(values["mean_IoU"].value()), float(values["generalised_IoU"].value())) == (0, -1)


def test_published_accuracy_accepts_parts_of_the_name() -> None:
    targets = [Target([], ["Pink Primrose"], width=9, height=9, task="classification")] * 6
    found = classes(["pink_primrose", "primrose", "a pink primrose!", "", None, "rose hip"], targets)
    assert found["accuracy"].numerator.tolist() == [1, 0, 0, 0, 0, 0]
    assert found["accuracy_published"].numerator.tolist() == [1, 1, 1, 1, 0, 0]


def test_counts_by_hand() -> None:
    targets = [Target([], [], width=9, height=9, task="counting", count=count) for count in (3, 0, 5, 0)]
    found = {name: float(ratio.value()) for name, ratio in counts([2, 0, 9, None], targets).items()}
    assert found == {"accuracy": 0.25, "within_1": 0.5, "absolute_error": 1.25, "bias": 0.75}


def test_weights_equal_repeated_entries() -> None:
    generator = np.random.default_rng(0)
    numerator, denominator = generator.random((7, 3)), 1 + generator.random((7, 3))
    weights = generator.integers(0, 3, (4, 7)).astype(np.float64)
    for row, value in zip(weights.astype(int), Ratio(numerator, denominator).value(weights), strict=True):
        repeated = Ratio(np.repeat(numerator, row, axis=0), np.repeat(denominator, row, axis=0))
        assert value == pytest.approx(float(repeated.value()))
    assert np.isnan(Ratio(np.zeros(2), np.zeros(2)).value())
