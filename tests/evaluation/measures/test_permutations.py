"""The range of COCO's metrics over permutations of equal scores."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_average_precision import coco128, needs_coco128, perturbed, scene

from verl_vision_r1.evaluation.measures.average_precision import average_precision
from verl_vision_r1.evaluation.measures.permutations import spread


def test_different_scores_have_no_spread() -> None:
    truth, detections = scene(True, False, True, False, True, scores=[0.9, 0.8, 0.7, 0.6, 0.5], objects=4)
    known = average_precision(truth, detections).values
    found = spread(truth, detections)
    assert list(found) == list(known)
    assert all(low == high or np.isnan(low) for low, high in found.values())
    assert found["AP"] == (known["AP"], known["AP"])
    assert np.isnan(found["AP_small"]).all()


def test_the_spread_of_equal_scores_includes_the_best_and_the_worst_order() -> None:
    """Two predictions for one object, one a false positive: AP is 0.5 or 1, depending on the first."""
    truth, detections = scene(True, False, scores=[1.0, 1.0], objects=1)
    found = spread(truth, detections, permutations=20)
    assert found["AP"] == pytest.approx((0.5, 1.0))
    assert found["AP50"] == pytest.approx((0.5, 1.0))
    assert found["AR100"] == (1.0, 1.0)
    assert found["AR1"] == (0.0, 1.0)
    assert spread(truth, detections, permutations=0)["AP"] == pytest.approx((1.0, 1.0), abs=1e-12)


def test_permutations_include_the_order_of_the_images() -> None:
    """Each image has one prediction, so only the order of the images matters."""
    truth, detections = scene(True, False, scores=[1.0, 1.0])
    detections = replace(detections, image=np.array([0, 1]))
    found = spread(truth, detections, permutations=20)
    assert found["AP50"] == pytest.approx((51 / 101 * 0.5, 51 / 101))


@needs_coco128
def test_the_spread_includes_the_given_order_and_is_reproducible() -> None:
    _, truth = coco128()
    detections = perturbed(truth, "constant")
    known, calls = average_precision(truth, detections).values, []

    def watched(items: range, **options: Any) -> range:
        calls.append((items, options))
        return items

    found = spread(truth, detections, permutations=3, seed=1, progress=watched)
    assert found == spread(truth, detections, permutations=3, seed=1)
    assert found != spread(truth, detections, permutations=3, seed=2)
    assert all(found[name][0] <= value <= found[name][1] for name, value in known.items())
    assert 0.0 < found["AP"][1] - found["AP"][0] < 0.1
    assert calls[0][0] == range(3)
