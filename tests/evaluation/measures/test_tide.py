"""TIDE's error types."""

from typing import Any

import numpy as np
import pytest
import random_arrays

from verl_vision_r1.evaluation.measures import tide as module
from verl_vision_r1.evaluation.measures.average_precision import average_precision
from verl_vision_r1.evaluation.measures.tide import TYPES, tide
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

BOX = [0.0, 0.0, 100.0, 100.0]
SHIFTED = [50.0, 0.0, 150.0, 100.0]
"""An IoU of a third with BOX."""
FAR = [500.0, 500.0, 600.0, 600.0]


def one_object_each(*predictions: list[tuple[int, list[float]]]) -> tuple[GroundTruth, Detections]:
    """Images with one cat each, and predictions (category, box) for each image."""
    places = np.arange(len(predictions))
    truth = GroundTruth(
        images=tuple(map(str, places)),
        categories=("cat", "dog"),
        image=places,
        category=places * 0,
        boxes=np.array([BOX] * len(places)),
        areas=np.full(len(places), 1e4),
        crowd=places < 0,
        files=(),
    )
    rows = [(image, *prediction) for image, own in enumerate(predictions) for prediction in own]
    image, category, boxes = (np.array(column) for column in zip(*rows, strict=True))
    return truth, Detections(image, category, boxes, np.linspace(0.9, 0.1, len(rows)))


@pytest.mark.parametrize(
    ("predictions", "kind", "others"),
    [
        ([(1, BOX)], "Cls", []),
        ([(0, SHIFTED)], "Loc", []),
        ([(1, SHIFTED)], "Both", ["Miss"]),
        ([(0, BOX), (0, BOX)], "Dupe", []),
        ([(0, FAR)], "Bkg", ["Miss"]),
    ],
)
def test_each_type_is_counted_once(predictions: list[tuple[int, list[float]]], kind: str, others: list[str]) -> None:
    found = tide(*one_object_each(predictions, [(0, BOX)]))
    assert found is not None
    assert found.counts == {name: int(name == kind or name in others) for name in TYPES}


def test_the_gain_is_that_of_the_corrected_predictions() -> None:
    """Of two cats one is called a dog: AP50 is that of half the recall, and of all of it once corrected."""
    truth, detections = one_object_each([(0, BOX)], [(1, BOX)])
    found = tide(truth, detections)
    assert found is not None
    before = average_precision(truth, detections).values["AP50"]
    assert before == pytest.approx(51 / 101)
    assert found.gains["Cls"] == pytest.approx(1 - before)
    assert found.gains["Dupe"] == 0


def test_the_limit_of_predictions_counts() -> None:
    truth, detections = one_object_each([(0, BOX), (0, FAR), (0, FAR)])
    counts = [found.counts["Bkg"] for limit in (1, 2, 3) if (found := tide(truth, detections, limit))]
    assert counts == [0, 1, 2]


def test_without_hotcoco_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_found(name: str) -> Any:
        return None

    monkeypatch.setattr(module, "find_spec", none_found)
    assert tide(*random_arrays.scene(0)) is None
