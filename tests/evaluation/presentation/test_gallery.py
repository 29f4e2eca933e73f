"""The gallery of example images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import random_arrays
from PIL import Image

from verl_vision_r1.data.picture_grid import CELL
from verl_vision_r1.evaluation.measures.f1 import counts_by_image, match
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.presentation.gallery import (
    GROUND_TRUTH_COLOUR,
    PREDICTION_COLOUR,
    draw_gallery,
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


def colour_at(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    return tuple(image.convert("RGB").getpixel((round(x), round(y))))


def test_boxes_are_drawn_at_their_coordinates(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100), "white").save(tmp_path / "a.png")
    one = np.zeros(1, np.intp)
    true, predicted = np.array([[10.0, 10, 50, 90]]), np.array([[60.0, 20, 90, 80]])
    truth = GroundTruth(
        ("a", "b"), ("",), one, one, true, np.ones(1), np.array([False]), (str(tmp_path / "a.png"), "/no/such.png")
    )
    detections = Detections(one, one, predicted, np.ones(1))
    by_image = counts_by_image(truth, detections, match(truth, detections))
    draw_gallery(truth, detections, by_image, [0, 1], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        scale = (CELL[1] - 8) / 100
        left, top = (CELL[0] - 100 * scale) / 2, 4
        for box, colour in ((true[0], GROUND_TRUTH_COLOUR), (predicted[0], PREDICTION_COLOUR)):
            expected = tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))
            assert colour_at(sheet, left + box[0] * scale, top + 50 * scale) == expected
            assert colour_at(sheet, left + box[2] * scale - 1, top + 50 * scale) == expected
            assert colour_at(sheet, left + box[:3:2].mean() * scale, top + 50 * scale) == (255, 255, 255)
        assert colour_at(sheet, CELL[0] * 1.5, CELL[1] / 2) == (128, 128, 128)  # Its file does not exist.


def test_broken_images_and_invalid_boxes_do_not_raise(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100), "white").save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    (tmp_path / "text.png").write_text("no image")
    names = ("a.png", "cut.png", "text.png", "", "no\0file")
    truth, detections = random_arrays.scene(6, images=len(names), predictions=40)
    truth = replace(truth, files=tuple(str(tmp_path / name) if name else "" for name in names))
    detections.boxes[::2] = detections.boxes[::2, [2, 3, 0, 1]]
    detections.boxes[1::4] *= 1e12
    by_image = counts_by_image(truth, detections, match(truth, detections))
    draw_gallery(truth, detections, by_image, range(len(names)), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert colour_at(sheet, CELL[0] / 2, 5) != (128, 128, 128)
        assert [colour_at(sheet, CELL[0] * (place + 0.5), CELL[1] / 2) for place in (1, 2, 3)] == [(128, 128, 128)] * 3
