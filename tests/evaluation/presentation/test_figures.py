"""Figures are drawn for any data and any names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import random_arrays
from PIL import Image

from verl_vision_r1.evaluation.measures.average_precision import average_precision
from verl_vision_r1.evaluation.measures.f1 import match
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.presentation.figures import save_figures
from verl_vision_r1.evaluation.presentation.overall_figures import Comparison, difference
from verl_vision_r1.evaluation.presentation.style import shown

pytestmark = pytest.mark.slow
BOTH = Comparison({"AP": 0.2, "F1": 0.3}, {"AP": 0.25, "F1": 0.29}, {"AP": (0.01, 0.09), "F1": (-0.1, 0.05)})


def saved(out: Path, truth: GroundTruth, detections: Detections, comparison: Comparison | None = None) -> set[str]:
    ap, matches = average_precision(truth, detections), match(truth, detections)
    written = save_figures(out, truth, detections, ap, matches, comparison)
    for path in written:
        with Image.open(path) as image:
            assert len(set(image.convert("L").getdata())) > 20, path
    return {path.name for path in written}


def test_some_figures_need_confidences_or_a_comparison(tmp_path: Path) -> None:
    truth, detections = random_arrays.scene(0)
    always = {"precision_recall.png", "by_category.png", "by_size.png", "confusion.png", "page.png"}
    assert saved(tmp_path / "a", truth, detections, BOTH) == always | {
        "calibration.png",
        "risk_coverage.png",
        "before_after.png",
    }
    constant = replace(detections, scores=np.full(len(detections.scores), 0.99))
    assert saved(tmp_path / "b", truth, constant) == always


@pytest.mark.parametrize("names", [["$x_1$", "a\nb", "кот"], ["<b>", "猫", "x" * 200], ["", " ", "\\frac{"]])
def test_names_are_drawn_as_text(tmp_path: Path, names: list[str]) -> None:
    truth, detections = random_arrays.scene(1)
    saved(tmp_path, replace(truth, categories=tuple(names)), detections)


def test_empty_predictions_and_ground_truth_are_drawn(tmp_path: Path) -> None:
    truth, detections = random_arrays.scene(2)
    saved(tmp_path / "no_predictions", truth, detections.take(np.zeros(0, np.intp)))
    empty = replace(
        truth,
        **{name: getattr(truth, name)[:0] for name in ("image", "category", "boxes", "areas", "crowd")},
    )
    saved(tmp_path / "no_objects", empty, detections)


def test_many_categories_are_cut_to_those_with_most_objects(tmp_path: Path) -> None:
    saved(tmp_path, *random_arrays.scene(3, categories=80, objects=400, predictions=500))


def test_figures_are_the_same_each_time(tmp_path: Path) -> None:
    for run in "ab":
        saved(tmp_path / run, *random_arrays.scene(4), BOTH)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_difference_has_its_interval() -> None:
    assert difference(0.05, (0.01, 0.09)) == "+0.050 [+0.010, +0.090]"
    assert difference(-0.01, (-0.1, 0.05)).endswith("includes 0")
    assert difference(0.05, None) == "+0.050"
    assert len(shown("x" * 200)) <= 24


def test_a_page_without_objects_has_the_usual_layout(tmp_path: Path) -> None:
    """matplotlib reserves space for marks of infinite extent, unless they are excluded from the layout."""
    truth, detections = random_arrays.scene(7)
    fields = ("image", "category", "boxes", "areas", "crowd")
    empty = replace(truth, **{name: getattr(truth, name)[:0] for name in fields})
    saved(tmp_path, empty, replace(detections, scores=np.ones(len(detections.scores))))
    with Image.open(tmp_path / "page.png") as page:
        grey = np.asarray(page.convert("L"))
    # The longest dark horizontal line is the frames of the panels, each about a third of the page wide.
    dark = (grey < 60).sum(axis=1).max() / grey.shape[1]
    assert dark > 0.5, dark
