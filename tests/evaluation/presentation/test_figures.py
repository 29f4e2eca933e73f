"""Figures and the gallery are drawn, whatever the names are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import random_arrays
from PIL import Image

from verl_vision_r1.data.picture_grid import CELL
from verl_vision_r1.evaluation.measures.average_precision import average_precision
from verl_vision_r1.evaluation.measures.f1 import counts_by_image, match
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.presentation.figures import Comparison, difference, save_figures, shown
from verl_vision_r1.evaluation.presentation.gallery import SAID, THERE, draw_gallery, worst

BOTH = Comparison({"AP": 0.2, "F1": 0.3}, {"AP": 0.25, "F1": 0.29}, {"AP": (0.01, 0.09), "F1": (-0.1, 0.05)})


def saved(out: Path, truth: GroundTruth, detections: Detections, comparison: Comparison | None = None) -> set[str]:
    ap, matches = average_precision(truth, detections), match(truth, detections)
    written = save_figures(out, truth, detections, ap, matches, comparison)
    for path in written:
        with Image.open(path) as image:
            assert len(set(image.convert("L").getdata())) > 20, path
    return {path.name for path in written}


def test_what_is_drawn_depends_on_what_there_is(tmp_path: Path) -> None:
    truth, detections = random_arrays.scene(0)
    always = {"precision_recall.png", "by_category.png", "by_size.png", "confusion.png", "page.png"}
    assert saved(tmp_path / "a", truth, detections, BOTH) == always | {"calibration.png", "before_after.png"}
    constant = replace(detections, scores=np.full(len(detections.scores), 0.99))
    assert saved(tmp_path / "b", truth, constant) == always


@pytest.mark.parametrize("names", [["$x_1$", "a\nb", "кот"], ["<b>", "猫", "x" * 200], ["", " ", "\\frac{"]])
def test_names_are_only_text(tmp_path: Path, names: list[str]) -> None:
    truth, detections = random_arrays.scene(1)
    saved(tmp_path, replace(truth, categories=tuple(names)), detections)


def test_nothing_to_draw_is_drawn(tmp_path: Path) -> None:
    truth, detections = random_arrays.scene(2)
    saved(tmp_path / "said", truth, detections.take(np.zeros(0, np.intp)))
    empty = replace(
        truth,
        **{name: getattr(truth, name)[:0] for name in ("image", "category", "boxes", "areas", "crowd")},
    )
    saved(tmp_path / "there", empty, detections)


def test_many_categories_are_cut_to_those_with_most_objects(tmp_path: Path) -> None:
    saved(tmp_path, *random_arrays.scene(3, categories=80, objects=400, said=500))


def test_figures_are_the_same_each_time(tmp_path: Path) -> None:
    for run in "ab":
        saved(tmp_path / run, *random_arrays.scene(4), BOTH)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_difference_that_may_be_chance_says_so() -> None:
    assert difference(0.05, (0.01, 0.09)) == "+0.050 [+0.010, +0.090]"
    assert difference(-0.01, (-0.1, 0.05)).endswith("may be chance")
    assert difference(0.05, None) == "+0.050"
    assert len(shown("x" * 200)) <= 24


def test_the_worst_come_first_and_empty_images_never() -> None:
    truth, detections = random_arrays.scene(5, images=4, objects=30, said=20)
    perfect = truth.image == 0
    said = Detections(
        np.concatenate([truth.image[perfect], detections.image[detections.image == 1]]),
        np.concatenate([truth.category[perfect], detections.category[detections.image == 1]]),
        np.concatenate([truth.boxes[perfect], detections.boxes[detections.image == 1] + 500]),
        np.ones(int(perfect.sum() + (detections.image == 1).sum())),
    )
    truth = replace(truth, images=(*truth.images, "empty"), files=("",) * 5)
    by_image = counts_by_image(truth, said, match(truth, said))
    order = worst(truth, said, by_image, 12)
    assert set(order) == {0, 1, 2, 3}
    assert order[-1] == 0
    assert worst(truth, said, by_image, 2) == order[:2]


def colour_at(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    return tuple(image.convert("RGB").getpixel((round(x), round(y))))


def test_boxes_are_drawn_where_they_are(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100), "white").save(tmp_path / "a.png")
    one = np.zeros(1, np.intp)
    there, said = np.array([[10.0, 10, 50, 90]]), np.array([[60.0, 20, 90, 80]])
    truth = GroundTruth(
        ("a", "b"), ("",), one, one, there, np.ones(1), np.array([False]), (str(tmp_path / "a.png"), "/no/such.png")
    )
    detections = Detections(one, one, said, np.ones(1))
    by_image = counts_by_image(truth, detections, match(truth, detections))
    draw_gallery(truth, detections, by_image, [0, 1], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        scale = (CELL[1] - 8) / 100
        left, top = (CELL[0] - 100 * scale) / 2, 4
        for box, colour in ((there[0], THERE), (said[0], SAID)):
            expected = tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))
            assert colour_at(sheet, left + box[0] * scale, top + 50 * scale) == expected
            assert colour_at(sheet, left + box[2] * scale - 1, top + 50 * scale) == expected
            assert colour_at(sheet, left + box[:3:2].mean() * scale, top + 50 * scale) == (255, 255, 255)
        assert colour_at(sheet, CELL[0] * 1.5, CELL[1] / 2) == (128, 128, 128)  # Its file is not here.


def test_a_broken_file_and_a_box_that_is_none_do_not_end_the_gallery(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100), "white").save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    (tmp_path / "text.png").write_text("no image")
    names = ("a.png", "cut.png", "text.png", "", "no\0file")
    truth, detections = random_arrays.scene(6, images=len(names), said=40)
    truth = replace(truth, files=tuple(str(tmp_path / name) if name else "" for name in names))
    detections.boxes[::2] = detections.boxes[::2, [2, 3, 0, 1]]
    detections.boxes[1::4] *= 1e12
    by_image = counts_by_image(truth, detections, match(truth, detections))
    draw_gallery(truth, detections, by_image, range(len(names)), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert colour_at(sheet, CELL[0] / 2, 5) != (128, 128, 128)
        assert [colour_at(sheet, CELL[0] * (place + 0.5), CELL[1] / 2) for place in (1, 2, 3)] == [(128, 128, 128)] * 3


def test_a_page_about_nothing_keeps_its_form(tmp_path: Path) -> None:
    """matplotlib makes room for what it takes to be endlessly large."""
    truth, detections = random_arrays.scene(7)
    rows = ("image", "category", "boxes", "areas", "crowd")
    empty = replace(truth, **{name: getattr(truth, name)[:0] for name in rows})
    saved(tmp_path, empty, replace(detections, scores=np.ones(len(detections.scores))))
    with Image.open(tmp_path / "page.png") as page:
        grey = np.asarray(page.convert("L"))
    # The longest dark line along the page is the frame of a panel, each of which is a good third of it.
    dark = (grey < 60).sum(axis=1).max() / grey.shape[1]
    assert dark > 0.5, dark
