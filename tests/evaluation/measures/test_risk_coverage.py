"""Risk and coverage: a perfect ranking, a useless one, and ties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_vision_r1.evaluation.measures.risk_coverage import risk_coverage


def test_a_perfect_ranking_has_no_risk_until_the_hits_are_used_up() -> None:
    curve = risk_coverage(np.array([0.1, 0.9, 0.2, 0.8]), np.array([False, True, False, True]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert curve.confidence.tolist() == [0.9, 0.8, 0.2, 0.1]


def test_without_a_ranking_the_area_is_the_fraction_of_false_positives() -> None:
    curve = risk_coverage(np.ones(4), np.array([True, False, False, False]))
    assert (curve.coverage.tolist(), curve.risk.tolist(), curve.area) == ([1.0], [0.75], 0.75)


def test_no_predictions() -> None:
    curve = risk_coverage(np.zeros(0), np.zeros(0, np.bool_))
    assert len(curve.coverage) == 0
    assert np.isnan(curve.area)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_the_order_of_the_predictions_does_not_matter(pairs: list[tuple[int, bool]]) -> None:
    shuffled = pairs[::-1]

    def curve(given: list[tuple[int, bool]]) -> list[list[float]]:
        found = risk_coverage(
            np.array([score for score, _ in given], float), np.array([hit for _, hit in given], np.bool_)
        )
        return [found.coverage.tolist(), found.risk.tolist(), [found.area]]

    assert curve(pairs) == curve(shuffled)
    coverage, risk, (area,) = curve(pairs)
    assert coverage[-1] == 1.0
    assert risk[-1] == pytest.approx(1 - np.mean([hit for _, hit in pairs]))
    assert 0 <= area <= 1
