"""Precision, recall and F1: as many matches as possible, in any order."""

import numpy as np
import pytest
import random_arrays
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from verl_vision_r1.boxes import pairwise_iou
from verl_vision_r1.evaluation.measures.f1 import (
    THRESHOLDS,
    Counts,
    counts_by_category,
    counts_by_image,
    match,
    points,
    summary,
)
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth


def objects(boxes: list[list[float]], crowd: list[bool] | None = None) -> GroundTruth:
    """Objects of one category in one image."""
    true, zeros = np.array(boxes, dtype=np.float64).reshape(-1, 4), np.zeros(len(boxes), np.intp)
    return GroundTruth(
        ("a",), ("cat",), zeros, zeros, true, np.ones(len(boxes)), np.array(crowd or zeros, bool), ("",)
    )


def predictions(boxes: list[list[float]]) -> Detections:
    zeros = np.zeros(len(boxes), np.intp)
    return Detections(zeros, zeros, np.array(boxes, dtype=np.float64).reshape(-1, 4), np.ones(len(boxes)))


@pytest.mark.parametrize("seed", range(8))
def test_as_many_matches_as_a_graph_library_finds(seed: int) -> None:
    truth, detections = random_arrays.scene(seed, objects=120, predictions=160)
    matches = match(truth, detections)
    for place, threshold in enumerate(THRESHOLDS):
        expected = 0
        for image in range(len(truth.images)):
            for category in range(len(truth.categories)):
                rows = (detections.image == image) & (detections.category == category)
                columns = (truth.image == image) & (truth.category == category) & ~truth.crowd
                if rows.any() and columns.any():
                    near = pairwise_iou(detections.boxes[rows], truth.boxes[columns]) >= threshold
                    expected += int((maximum_bipartite_matching(csr_array(near)) >= 0).sum())
        assert matches.hit[:, place].sum() == matches.found[:, place].sum() == expected


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_predictions_does_not_matter(seed: int) -> None:
    truth, detections = random_arrays.scene(seed)
    order = np.random.default_rng(seed).permutation(len(detections.scores))
    first, second = match(truth, detections), match(truth, detections.take(order))
    assert np.array_equal(first.hit[order], second.hit)
    assert np.array_equal(first.ignored[order], second.ignored)
    assert np.array_equal(first.found, second.found)


def test_matching_is_optimal_where_greedy_matching_loses_a_match() -> None:
    """The first prediction overlaps the second object most, which is the only one that the second overlaps."""
    truth = objects([[0, 0, 100, 10], [20, 0, 120, 10]])
    matches = match(truth, predictions([[12, 0, 112, 10], [28, 0, 128, 10]]))
    assert matches.hit[:, 0].tolist() == [True, True]


def test_predictions_in_a_crowd_are_ignored() -> None:
    truth = objects([[0, 0, 10, 10], [50, 0, 90, 40]], crowd=[False, True])
    matches = match(truth, predictions([[0, 0, 10, 10], [55, 5, 60, 10], [85, 0, 95, 10], [200, 0, 210, 10]]))
    assert matches.hit[:, 0].tolist() == [True, False, False, False]
    assert matches.ignored[:, 0].tolist() == [False, True, True, False]
    assert matches.ignored[:, 1].tolist() == [False, True, False, False]  # Half of the third is inside.
    counts = counts_by_image(
        truth, predictions([[0, 0, 10, 10], [55, 5, 60, 10]]), match(truth, predictions([[0, 0, 10, 10]] * 2))
    )
    assert counts.objects[0, 0] == 1


def test_a_box_without_area_matches_nothing() -> None:
    assert not match(objects([[0, 0, 10, 10]]), predictions([[5, 5, 5, 9]])).hit.any()
    assert not match(objects([]), predictions([[5, 5, 6, 9]])).hit.any()
    assert match(objects([[0, 0, 9, 9]]), predictions([])).hit.shape == (0, 10)


def test_counts_by_image_and_category_have_the_same_total() -> None:
    truth, detections = random_arrays.scene(3)
    matches = match(truth, detections)
    whole = [split(truth, detections, matches).total() for split in (counts_by_image, counts_by_category)]
    for name in ("hits", "predicted", "objects"):
        assert np.array_equal(getattr(whole[0], name), getattr(whole[1], name))
    assert whole[0].objects[0] == (~truth.crowd).sum()
    one = counts_by_category(truth, detections, matches)
    assert one.hits[1, 2] == (matches.hit[:, 2] & (detections.category == 1)).sum()


def test_the_summary_by_hand() -> None:
    counts = Counts(np.array([4] * 5 + [0] * 5), np.array([8] * 10), np.array([8] * 10))
    found = summary(counts)
    assert found == {"F1": 0.25, "F1_50": 0.5, "precision_50": 0.5, "recall_50": 0.5}
    assert points(counts)[5] == {"iou": 0.75, "precision": 0, "recall": 0, "f1": 0}


def test_metrics_of_nothing_are_nan() -> None:
    nothing = Counts(*np.zeros((3, 10), np.int64))
    assert all(np.isnan(value) for value in summary(nothing).values())
