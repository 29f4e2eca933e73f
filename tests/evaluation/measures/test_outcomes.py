"""Outcomes of predictions and objects."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from verl_vision_r1.evaluation.measures.outcomes import OUTCOMES, outcomes


def names(iou: list[list[float]], same: list[list[bool]]) -> tuple[list[str], list[bool]]:
    codes, found = outcomes(np.array(iou, dtype=np.float64), np.array(same, dtype=np.bool_))
    return [OUTCOMES[code] for code in codes], found.tolist()


@pytest.mark.parametrize(
    ("iou", "same", "expected", "found"),
    [
        ([[0.5]], [[True]], ["found"], [True]),
        ([[0.499]], [[True]], ["misplaced"], [False]),
        ([[0.099]], [[True]], ["false"], [False]),
        ([[0.9]], [[False]], ["wrong label"], [False]),
        ([[0.4]], [[False]], ["false"], [False]),
        ([[0.6], [0.9]], [[True], [True]], ["duplicate", "found"], [True]),
        # Most objects: the second prediction takes the object that only it overlaps.
        ([[0.9, 0.0], [0.95, 0.5]], [[True, True], [True, True]], ["found", "found"], [True, True]),
        # The wrong label overlaps more than the object of the same label.
        ([[0.7, 0.2]], [[False, True]], ["wrong label"], [False, False]),
    ],
)
def test_each_outcome(iou: list[list[float]], same: list[list[bool]], expected: list[str], found: list[bool]) -> None:
    assert names(iou, same) == (expected, found)


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 2)])
def test_an_image_without_objects_or_predictions(shape: tuple[int, int]) -> None:
    codes, found = outcomes(np.zeros(shape), np.zeros(shape, np.bool_))
    assert [OUTCOMES[code] for code in codes] == ["false"] * shape[0]
    assert found.tolist() == [False] * shape[1]


@given(
    st.integers(1, 6).flatmap(
        lambda rows: st.integers(1, 6).flatmap(
            lambda columns: st.tuples(
                arrays(np.float64, (rows, columns), elements=st.floats(0, 1)), arrays(np.bool_, (rows, columns))
            )
        )
    )
)
def test_as_many_found_predictions_as_found_objects(pair: tuple[np.ndarray, np.ndarray]) -> None:
    codes, found = outcomes(*pair)
    assert (codes == OUTCOMES.index("found")).sum() == found.sum()
    # A duplicate's objects are all taken.
    iou, same = pair
    for row in np.flatnonzero(codes == OUTCOMES.index("duplicate")):
        assert found[(iou[row] >= 0.5) & same[row]].all()
