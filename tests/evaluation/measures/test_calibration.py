"""The expected calibration error."""

import numpy as np
import pytest

from verl_vision_r1.evaluation.measures.calibration import calibration, expected_calibration_error


def test_predictions_are_binned_by_confidence() -> None:
    scores = np.array([-1.0, 0.0, 0.1, 0.95, 1.0, 7.0])
    hit = np.array([False, False, True, True, False, True])
    found = calibration(scores, hit)
    assert found.predictions.tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    assert found.confidence[[0, 1, 9]].tolist() == pytest.approx([0, 0.1, (0.95 + 1 + 1) / 3])
    assert found.precision[[0, 1, 9]].tolist() == pytest.approx([0, 1, 2 / 3])
    error = (0.9 * 1 + abs(2.95 / 3 - 2 / 3) * 3) / 6
    assert expected_calibration_error(found) == pytest.approx(error)
    assert np.isnan(expected_calibration_error(calibration(np.zeros(0), np.zeros(0, bool))))


@pytest.mark.parametrize(
    ("scores", "hit", "bins", "message"),
    [
        (np.ones(2), np.ones(2, bool), 0, "expected at least 1 bin, got 0"),
        (np.ones(2), np.ones(3, bool), 10, r"got \(2,\) and \(3,\)"),
        (np.array([1, np.nan]), np.ones(2, bool), 10, "got NaN for prediction 1"),
    ],
)
def test_invalid_arguments_are_refused(scores: np.ndarray, hit: np.ndarray, bins: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibration(scores, hit, bins)
