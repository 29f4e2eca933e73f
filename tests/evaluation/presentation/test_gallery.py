"""The gallery of example images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import random_arrays
from drawn_sheets import one_image, rgb, side_colour
from PIL import Image

from verl_vision_r1.evaluation.measures.f1 import counts_by_image, match
from verl_vision_r1.evaluation.predictions.arrays import Detections
from verl_vision_r1.evaluation.presentation.gallery import (
    GROUND_TRUTH_COLOUR,
    PREDICTION_COLOUR,
    draw_before_after,
    worst,
)


def test_the_lowest_f1_comes_first_and_empty_images_are_left_out() -> None:
    truth, detections = random_arrays.scene(5, images=4, objects=30, predictions=20)
    perfect = truth.image == 0
    predictions = Detections(
        np.concatenate([truth.image[perfect], detections.image[detections.image == 1]]),
        np.concatenate([truth.category[perfect], detections.category[detections.image == 1]]),
        np.concatenate([truth.boxes[perfect], detections.boxes[detections.image == 1] + 500]),
        np.ones(int(perfect.sum() + (detections.image == 1).sum())),
    )
    truth = replace(truth, images=(*truth.images, "empty"), files=("",) * 5)
    by_image = counts_by_image(truth, predictions, match(truth, predictions))
    order = worst(truth, predictions, by_image, 12)
    assert set(order) == {0, 1, 2, 3}
    assert order[-1] == 0
    assert worst(truth, predictions, by_image, 2) == order[:2]


def test_runs_side_by_side_have_objects_in_green_and_predictions_in_orange(tmp_path: Path) -> None:
    truth, detections = one_image(tmp_path, [10.0, 10, 50, 90], [60.0, 20, 90, 80])
    counts = counts_by_image(truth, detections, match(truth, detections))
    nothing = detections.take(np.zeros(0, np.intp))
    runs = [("before", nothing, counts), ("after", detections, counts)]
    draw_before_after(truth, runs, [0], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        for column in (0, 1):
            assert side_colour(sheet, column, truth.boxes[0]) == rgb(GROUND_TRUTH_COLOUR)
            assert (side_colour(sheet, column, detections.boxes[0]) == rgb(PREDICTION_COLOUR)) == (column == 1)
