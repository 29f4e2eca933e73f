"""COCO's metrics equal those that pycocotools prints, on real annotations, and values computed by hand."""

import contextlib
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verl_vision_r1.evaluation.measures.average_precision import LIBRARIES, AveragePrecision, average_precision
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

COCO128 = Path(__file__).parents[4] / "shared" / "data" / "coco128" / "annotations" / "instances.json"
needs_coco128 = pytest.mark.skipif(not COCO128.is_file(), reason="shared/data is not available")
SIZED = ("small", "medium", "large")
SCORES = {
    "continuous": lambda generator, count: generator.random(count),
    "verbal": lambda generator, count: generator.integers(0, 21, count) / 20,
    "constant": lambda generator, count: np.ones(count),
}


def coco128(crowds: bool = False) -> tuple[dict[str, Any], GroundTruth]:
    """The annotations in COCO's format, sorted by id, and as arrays; with `crowds` every tenth object is a crowd."""
    document = json.loads(COCO128.read_text(encoding="utf-8"))
    for part in ("images", "categories"):
        document[part].sort(key=lambda entry: entry["id"])
    objects = document["annotations"]
    for index, entry in enumerate(objects):
        entry["iscrowd"] = int(crowds and index % 10 == 0)
    images = {entry["id"]: index for index, entry in enumerate(document["images"])}
    categories = {entry["id"]: index for index, entry in enumerate(document["categories"])}
    boxes = np.array([entry["bbox"] for entry in objects], dtype=np.float64)
    boxes[:, 2:] += boxes[:, :2]
    return document, GroundTruth(
        images=tuple(entry["file_name"] for entry in document["images"]),
        categories=tuple(entry["name"] for entry in document["categories"]),
        image=np.array([images[entry["image_id"]] for entry in objects]),
        category=np.array([categories[entry["category_id"]] for entry in objects]),
        boxes=boxes,
        areas=np.array([entry["area"] for entry in objects], dtype=np.float64),
        crowd=np.array([entry["iscrowd"] == 1 for entry in objects]),
        files=(),
    )


def perturbed(truth: GroundTruth, scores: str, seed: int = 0, times: int = 2) -> Detections:
    """Predictions of a poor model: boxes shifted, duplicated, mislabelled or misplaced."""
    generator = np.random.default_rng(seed)
    count = times * len(truth.boxes)
    chosen = generator.integers(0, len(truth.boxes), count)
    sides = np.tile(truth.boxes[chosen, 2:] - truth.boxes[chosen, :2], 2)
    anywhere = generator.uniform(0, 200, (count, 1)) * (generator.random((count, 1)) < 0.1)
    other = generator.integers(0, len(truth.categories), count)
    return Detections(
        image=truth.image[chosen],
        category=np.where(generator.random(count) < 0.1, other, truth.category[chosen]),
        boxes=truth.boxes[chosen] + generator.normal(0, 0.07, (count, 4)) * sides + anywhere,
        scores=SCORES[scores](generator, count),
    )


def printed_by_pycocotools(
    document: dict[str, Any], truth: GroundTruth, detections: Detections, limits: list[int]
) -> Any:
    """The statistics that pycocotools computes by itself, through loadRes and with the ids of the file."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    left, top, right, bottom = detections.boxes.T
    entries = [
        {
            "image_id": document["images"][image]["id"],
            "category_id": document["categories"][category]["id"],
            "bbox": box,
            "score": score,
        }
        for image, category, box, score in zip(
            detections.image.tolist(),
            detections.category.tolist(),
            np.stack([left, top, right - left, bottom - top], axis=1).tolist(),
            detections.scores.tolist(),
            strict=True,
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO()
        annotations.dataset = document
        annotations.createIndex()
        evaluation = COCOeval(annotations, annotations.loadRes(entries), "bbox")
        evaluation.params.maxDets = limits
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.slow
@needs_coco128
@pytest.mark.parametrize("scores", SCORES)
def test_every_library_gives_what_pycocotools_prints(scores: str) -> None:
    document, truth = coco128(crowds=True)
    detections = perturbed(truth, scores)
    expected = printed_by_pycocotools(document, truth, detections, [1, 10, 100])
    assert 0.1 < expected[0] < 0.9
    for library in LIBRARIES:
        found = average_precision(truth, detections, library=library)
        assert list(found.values) == [
            *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
            *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
        ]
        assert list(found.values.values()) == pytest.approx(expected, abs=1e-6)


@needs_coco128
def test_other_limits_follow_the_summary_of_pycocotools() -> None:
    """With 200 false positives ranked first in an image, only a limit above 100 keeps its true positives."""
    document, truth = coco128()
    detections = perturbed(truth, "verbal", times=1)
    image, category = detections.image.copy(), detections.category.copy()
    image[:200], category[:200] = truth.image[0], truth.category[0]
    detections = replace(
        detections, image=image, category=category, scores=np.where(np.arange(len(image)) < 200, 1.0, 0.5)
    )
    expected = printed_by_pycocotools(document, truth, detections, [100, 300, 1000])
    assert expected[7] > expected[6] > 0
    for library in LIBRARIES:
        measured = average_precision(truth, detections, (300, 100, 1000), library)
        found = measured.values
        assert np.nanmean(measured.by_category) == pytest.approx(found["AP"], abs=1e-12)
        assert list(found)[6:9] == ["AR100", "AR300", "AR1000"]
        assert list(found.values()) == pytest.approx(expected, abs=1e-6)
        assert found["AP"] < average_precision(truth, detections, (300, 1000), library).values["AP"]


@needs_coco128
def test_without_the_limit_100_the_last_one_is_taken() -> None:
    """The result equals that of keeping only so many predictions."""
    _, truth = coco128()
    detections = perturbed(truth, "continuous", times=8)
    detections = detections.take(np.argsort(-detections.scores))
    group = detections.image * 1000 + detections.category
    kept = np.array([np.count_nonzero(group[:index] == group[index]) < 3 for index in range(len(group))])
    found = average_precision(truth, detections, (1, 2, 3)).values
    assert found["AP"] == average_precision(truth, detections.take(kept)).values["AP"]
    assert found["AP"] < average_precision(truth, detections).values["AP"]


@needs_coco128
def test_the_categories_make_up_the_whole() -> None:
    _, truth = coco128()
    found = average_precision(truth, perturbed(truth, "verbal"))
    present = np.isin(np.arange(len(truth.categories)), truth.category)
    assert (np.isnan(found.by_category) == ~present).all()
    assert (np.isnan(found.precision).all(axis=1) == ~present).all()
    assert np.nanmean(found.by_category) == pytest.approx(found.values["AP"], abs=1e-12)
    assert np.nanmean(found.by_category_50) == pytest.approx(found.values["AP50"], abs=1e-12)
    assert found.precision[present].mean(axis=1) == pytest.approx(found.by_category_50[present], abs=1e-12)
    assert (np.diff(found.precision[present], axis=1) <= 0).all()


def scene(*found: bool, scores: list[float], objects: int = 2) -> tuple[GroundTruth, Detections]:
    """One category, one object per image; each prediction is on the next object, or on none."""
    places = np.arange(objects)
    square = np.array([[0.0, 0.0, 50.0, 50.0]])
    truth = GroundTruth(
        images=tuple(f"{place}.jpg" for place in places),
        categories=("cat",),
        image=places,
        category=places * 0,
        boxes=np.repeat(square, objects, axis=0),
        areas=np.full(objects, 2500.0),
        crowd=places < 0,
        files=tuple(f"{place}.jpg" for place in places),
    )
    right = np.array(found)
    image = np.where(right, np.cumsum(right) - 1, 0)
    boxes = square + 100.0 * ~right[:, None]
    return truth, Detections(image, image * 0, boxes, np.array(scores))


def by_hand(found: AveragePrecision) -> tuple[float, float]:
    return found.values["AP50"], found.values["AP"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_ranking_computed_by_hand(library: str) -> None:
    """Precision is 1 up to a recall of a half (51 of the 101 points), then two of three."""
    expected = (51 + 50 * 2 / 3) / 101
    found = average_precision(*scene(True, False, True, scores=[0.9, 0.8, 0.7]), library=library)
    assert by_hand(found) == pytest.approx((expected, expected), abs=1e-12)
    assert found.precision.shape == (1, 101)
    assert found.precision[0, [0, 50, 51, 100]] == pytest.approx([1, 1, 2 / 3, 2 / 3])
    assert found.values["AR1"] == 1.0
    assert np.isnan(found.values["AP_small"])
    assert np.isnan(found.values["AR_large"])
    assert found.values["AP_medium"] == pytest.approx(expected)


@pytest.mark.parametrize("library", LIBRARIES)
def test_equal_scores_rank_by_image_then_in_given_order(library: str) -> None:
    wrong_first = average_precision(*scene(False, True, True, scores=[0.5] * 3), library=library)
    assert by_hand(wrong_first)[0] == pytest.approx(2 / 3)
    right_first = average_precision(*scene(True, False, True, scores=[0.5] * 3), library=library)
    assert by_hand(right_first)[0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    truth, detections = scene(True, False, True, scores=[0.5] * 3)
    later_image_first = average_precision(truth, detections.take(np.array([2, 0, 1])), library=library)
    assert by_hand(later_image_first) == by_hand(right_first)


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_prediction_is_zero_and_no_object_is_nan(library: str) -> None:
    truth, detections = scene(True, True, scores=[0.9, 0.8])
    nothing = average_precision(truth, detections.take(np.zeros(0, np.intp)), library=library)
    assert by_hand(nothing) == (0.0, 0.0)
    assert nothing.values["AR100"] == 0.0
    assert nothing.by_category.tolist() == [0.0]
    crowds = average_precision(replace(truth, crowd=~truth.crowd), detections, library=library)
    assert np.isnan(list(crowds.values.values())).all()
    assert np.isnan(crowds.by_category_50).all()
    assert np.isnan(crowds.precision).all()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_box_with_swapped_corners_overlaps_nothing(library: str) -> None:
    truth, detections = scene(True, True, scores=[0.9, 0.8])
    turned = replace(detections, boxes=np.array([[10.0, 0.0, -40.0, 50.0], [50.0, 50.0, 0.0, 0.0]]))
    assert by_hand(average_precision(truth, turned, library=library)) == (0.0, 0.0)


@pytest.mark.parametrize("library", LIBRARIES)
def test_categories_keep_the_order_of_the_ground_truth(library: str) -> None:
    """Eleven categories, whose ids would be in another order as text; only the last is found."""
    truth, detections = scene(True, scores=[0.9], objects=11)
    places = np.arange(11)
    truth = replace(truth, categories=tuple("kjihgfedcba"), category=places)
    last = replace(detections, image=places[10:], category=places[10:])
    found = average_precision(truth, last, library=library)
    assert found.by_category == pytest.approx([0.0] * 10 + [1.0], abs=1e-12)


@pytest.mark.parametrize("library", LIBRARIES)
def test_nothing_is_printed(library: str, capfd: pytest.CaptureFixture[str]) -> None:
    average_precision(*scene(True, False, scores=[0.9, 0.8]), library=library)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_missing_library_says_what_to_install(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[library][0].partition(":")[0], None)
    with pytest.raises(
        ValueError, match=rf'library: expected {library}, got .*; pip install "verl-vision-r1\[eval\]"'
    ):
        average_precision(*scene(True, scores=[0.9]), library=library)


def test_bad_arguments_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="one of hotcoco, faster-coco-eval, pycocotools, got 'coco'"):
        average_precision(*scene(True, scores=[0.9]), library="coco")
    for limits in ((), (0, 10)):
        with pytest.raises(ValueError, match="positive integers"):
            average_precision(*scene(True, scores=[0.9]), limits)
