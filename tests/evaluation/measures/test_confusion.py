"""Which label was said of which, and how sure."""

import numpy as np
import pytest
import random_arrays

from verl_vision_r1.evaluation.measures.calibration import calibration, expected_calibration_error
from verl_vision_r1.evaluation.measures.confusion import confusion
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth


def test_labels_are_counted_by_hand() -> None:
    there = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 90, 30]], dtype=np.float64)
    zeros, crowd = np.zeros(4, np.intp), np.array([False, False, False, True])
    truth = GroundTruth(("a",), ("cat", "dog"), zeros, np.array([0, 1, 1, 0]), there, np.ones(4), crowd, ("",))
    # A cat that is one, a dog that was called a cat, a dog that was missed; one in the crowd, and one out of nowhere.
    boxes = np.array([there[0], there[1], [62, 2, 70, 9], [200, 0, 210, 9]])
    detections = Detections(np.zeros(4, np.intp), np.array([0, 0, 0, 1]), boxes, np.ones(4))
    assert confusion(truth, detections).tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_of_two_at_one_place_the_equal_label_is_paired() -> None:
    box, zeros = np.array([[0.0, 0, 10, 10]] * 2), np.zeros(2, np.intp)
    truth = GroundTruth(("a",), ("cat", "dog"), zeros, np.array([0, 1]), box, np.ones(2), np.zeros(2, bool), ("",))
    detections = Detections(zeros, np.array([1, 0]), box, np.ones(2))
    assert confusion(truth, detections).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("seed", range(4))
def test_every_object_is_in_a_row_and_every_prediction_in_a_column(seed: int) -> None:
    truth, detections = random_arrays.scene(seed, crowds=0)
    found = confusion(truth, detections)
    assert found[:-1].sum(axis=1).tolist() == np.bincount(truth.category, minlength=3).tolist()
    assert found[:, :-1].sum(axis=0).tolist() == np.bincount(detections.category, minlength=3).tolist()


def test_confidences_are_put_into_bins() -> None:
    scores = np.array([-1.0, 0.0, 0.1, 0.95, 1.0, 7.0])
    right = np.array([False, False, True, True, False, True])
    found = calibration(scores, right)
    assert found.number.tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    assert found.confidence[[0, 1, 9]].tolist() == pytest.approx([0, 0.1, (0.95 + 1 + 1) / 3])
    assert found.right[[0, 1, 9]].tolist() == pytest.approx([0, 1, 2 / 3])
    error = (0.9 * 1 + abs(2.95 / 3 - 2 / 3) * 3) / 6
    assert expected_calibration_error(found) == pytest.approx(error)
    assert np.isnan(expected_calibration_error(calibration(np.zeros(0), np.zeros(0, bool))))


@pytest.mark.parametrize(
    ("scores", "right", "bins", "message"),
    [
        (np.ones(2), np.ones(2, bool), 0, "expected at least 1 bin, got 0"),
        (np.ones(2), np.ones(3, bool), 10, r"got \(2,\) and \(3,\)"),
        (np.array([1, np.nan]), np.ones(2, bool), 10, "got NaN for prediction 1"),
    ],
)
def test_what_cannot_be_calibrated(scores: np.ndarray, right: np.ndarray, bins: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibration(scores, right, bins)
