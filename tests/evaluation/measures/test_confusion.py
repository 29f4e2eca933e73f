"""The confusion matrix of detections."""

import numpy as np
import pytest
import random_arrays

from verl_vision_r1.evaluation.measures.confusion import confusion
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth


def test_a_confusion_matrix_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 90, 30]], dtype=np.float64)
    zeros, crowd = np.zeros(4, np.intp), np.array([False, False, False, True])
    truth = GroundTruth(("a",), ("cat", "dog"), zeros, np.array([0, 1, 1, 0]), boxes, np.ones(4), crowd, ("",))
    # A correct cat, a dog labelled as a cat, a missed dog, an ignored box in the crowd, a false positive.
    predicted = np.array([boxes[0], boxes[1], [62, 2, 70, 9], [200, 0, 210, 9]])
    detections = Detections(np.zeros(4, np.intp), np.array([0, 0, 0, 1]), predicted, np.ones(4))
    assert confusion(truth, detections).tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_of_two_equal_boxes_the_equal_label_is_matched() -> None:
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
