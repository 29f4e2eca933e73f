"""Sheets of the worst images and of the errors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import random_arrays
from drawn_sheets import colour_at, one_image, rgb, side_colour
from PIL import Image, ImageDraw

from verl_vision_r1.data.picture_grid import CAPTION, CELL
from verl_vision_r1.evaluation.measures.f1 import counts_by_image, match
from verl_vision_r1.evaluation.measures.outcomes import (
    DUPLICATE,
    FALSE,
    FOUND,
    MISPLACED,
    MISSED,
    WRONG_LABEL,
    outcomes_of_set,
)
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.presentation.outcome_boxes import LEGEND, Mark, draw_marks
from verl_vision_r1.evaluation.presentation.outcome_sheets import draw_errors, draw_worst
from verl_vision_r1.evaluation.presentation.style import OUTCOME_COLOURS

OBJECT = [20.0, 20, 60, 80]


def worst_sheet(tmp_path: Path, truth: GroundTruth, detections: Detections) -> Image.Image:
    by_image = counts_by_image(truth, detections, match(truth, detections))
    draw_worst(truth, detections, by_image, range(len(truth.images)), tmp_path / "sheet.png")
    return Image.open(tmp_path / "sheet.png")


@pytest.mark.parametrize(
    ("box", "said", "outcome"),
    [
        ([22.0, 20, 60, 80], 0, FOUND),
        ([22.0, 20, 60, 80], 1, WRONG_LABEL),
        ([50.0, 20, 90, 80], 0, MISPLACED),
        ([70.0, 20, 90, 80], 0, FALSE),
    ],
)
def test_a_prediction_has_the_colour_of_its_outcome(tmp_path: Path, box: list[float], said: int, outcome: str) -> None:
    truth, detections = one_image(tmp_path, OBJECT, box, said)
    with worst_sheet(tmp_path, truth, detections) as sheet:
        assert side_colour(sheet, 0, np.array(box), LEGEND) == rgb(OUTCOME_COLOURS[outcome])
        colours = {colour for _, colour in sheet.crop((0, LEGEND, CELL[0], LEGEND + CELL[1])).getcolors(10**6)}
        # The object is drawn where it is missed.
        assert (rgb(OUTCOME_COLOURS[MISSED]) in colours) == (outcome != FOUND)
        assert colour_at(sheet, CELL[0] * 1.5, LEGEND + CELL[1] / 2) == (128, 128, 128)  # Its file does not exist.


def test_a_missed_object_is_dashed() -> None:
    image = Image.new("RGB", (200, 200), "white")
    draw_marks(image, [Mark(np.array([10.0, 10, 90, 90]), MISSED, "")], scale=2)
    side = [colour_at(image, 20, y) == rgb(OUTCOME_COLOURS[MISSED]) for y in range(20, 180)]
    assert 0.4 < np.mean(side) < 0.7
    assert np.count_nonzero(np.diff(side)) > 10


def test_names_cover_no_other_name(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda pen, place, text, **options: written.append((place, text)))
    marks = [Mark(np.array([50.0, 50, 150, 150]), FALSE, f"name {index}") for index in range(9)]
    draw_marks(Image.new("RGB", (300, 300)), [*marks, Mark(np.array([5.0, 5, 9, 9]), FALSE, "a very long name")], 1)
    assert [text for _, text in written] == ["name 0", "name 1", "name 2"]
    assert len({place for place, _ in written}) == 3


def test_all_predictions_and_objects_have_an_outcome() -> None:
    """Also in images without objects; predictions in a crowd are ignored, and a crowd is never found."""
    box, places = np.array([[0.0, 0, 10, 10]] * 3), np.arange(3)
    truth = GroundTruth(
        ("a", "b", "c"), ("cat",), places[:2], places[:2] * 0, box[:2], np.ones(2), np.array([False, True]), ()
    )
    codes, found = outcomes_of_set(truth, Detections(places, places * 0, box, np.ones(3)))
    assert codes.tolist() == [0, -1, 4]
    assert found.tolist() == [True, False]


def test_each_kind_of_error_has_a_row(tmp_path: Path) -> None:
    truth, detections = random_arrays.scene(6, images=20, objects=60, predictions=150)
    Image.new("RGB", (100, 100), "white").save(tmp_path / "a.png")
    truth = replace(truth, files=(str(tmp_path / "a.png"),) * 20)
    assert draw_errors(truth, detections, tmp_path / "errors.png")
    with Image.open(tmp_path / "errors.png") as sheet:
        assert sheet.size == (4 * CELL[0], LEGEND + 5 * (CELL[1] + CAPTION))
        for row, outcome in enumerate((DUPLICATE, WRONG_LABEL, MISPLACED, FALSE, MISSED)):
            top = LEGEND + row * (CELL[1] + CAPTION)
            colours = {colour for _, colour in sheet.crop((0, top, CELL[0], top + CELL[1])).getcolors(10**6)}
            assert rgb(OUTCOME_COLOURS[outcome]) in colours, outcome


def test_an_example_is_cut_out_around_its_box(tmp_path: Path) -> None:
    """A small red object, alone in a large image, fills a good part of its cell."""
    image = Image.new("RGB", (2000, 1500), "white")
    image.paste("red", (1000, 700, 1200, 850))
    image.save(tmp_path / "a.png")
    truth, detections = one_image(tmp_path, [1000.0, 700, 1200, 850], [0.0, 0, 1, 1])
    image.save(tmp_path / "a.png")
    assert draw_errors(truth, detections.take(np.zeros(0, np.intp)), tmp_path / "errors.png")
    with Image.open(tmp_path / "errors.png") as sheet:
        assert sheet.size == (4 * CELL[0], LEGEND + CELL[1] + CAPTION)
        red = sum(
            count
            for count, colour in sheet.crop((0, LEGEND, CELL[0], LEGEND + CELL[1])).getcolors(10**6)
            if colour[0] > 200 and colour[2] < 80
        )
        assert 0.25 < red / (CELL[0] * CELL[1]) < 0.6


def test_without_errors_no_sheet_is_drawn(tmp_path: Path) -> None:
    truth, detections = one_image(tmp_path, OBJECT, OBJECT)
    assert not draw_errors(truth, detections, tmp_path / "errors.png")
    assert not (tmp_path / "errors.png").exists()


def test_broken_images_and_invalid_boxes_do_not_raise(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100), "white").save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    (tmp_path / "text.png").write_text("no image")
    names = ("a.png", "cut.png", "text.png", "", "no\0file")
    truth, detections = random_arrays.scene(6, images=len(names), predictions=40)
    truth = replace(truth, files=tuple(str(tmp_path / name) if name else "" for name in names))
    detections.boxes[::2] = detections.boxes[::2, [2, 3, 0, 1]]
    detections.boxes[1::4] *= 1e12
    with worst_sheet(tmp_path, truth, detections) as sheet:
        assert colour_at(sheet, CELL[0] / 2, LEGEND + 5) != (128, 128, 128)
        grey = [colour_at(sheet, CELL[0] * (place + 0.5), LEGEND + CELL[1] / 2) for place in (1, 2, 3)]
        assert grey == [(128, 128, 128)] * 3
    assert draw_errors(truth, detections, tmp_path / "errors.png")
