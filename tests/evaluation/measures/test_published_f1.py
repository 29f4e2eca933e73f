"""F1 by the averages of Rex-Omni, against the definition in plain loops."""

from dataclasses import replace

import numpy as np
import pytest
import random_arrays

from verl_vision_r1.boxes import pairwise_iou
from verl_vision_r1.evaluation.measures.average_precision import LIBRARIES, average_precision
from verl_vision_r1.evaluation.measures.f1 import THRESHOLDS, counts_by_image, match, summary
from verl_vision_r1.evaluation.measures.published_f1 import category_means, image_means
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

BOX = [0.0, 0.0, 100.0, 100.0]


def harmonic(first: float, second: float) -> float:
    return 2 * first * second / (first + second) if first + second else 0.0


def table(rows: list[tuple[int, int, list[float]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image, category, boxes = zip(*rows, strict=True)
    return np.array(image), np.array(category), np.array(boxes)


def scene(objects: list[tuple[int, int, list[float]]], found: list[tuple[int, int, list[float]]]) -> tuple:
    image, category, boxes = table(objects)
    truth = GroundTruth(
        images=tuple("abcd"),
        categories=("cat", "dog", "cow"),
        image=image,
        category=category,
        boxes=boxes,
        areas=np.full(len(boxes), 1e4),
        crowd=image < 0,
        files=(),
    )
    image, category, boxes = table(found)
    return truth, Detections(image, category, boxes, np.linspace(0, 1, len(image)))


@pytest.mark.parametrize("library", LIBRARIES)
def test_categories_by_hand(library: str) -> None:
    """Cats: both found, with a false positive between; dogs: one of two; cows: none, which leaves them out."""
    far = [500.0, 500.0, 600.0, 600.0]
    objects = [(0, 0, BOX), (1, 0, BOX), (0, 1, far), (1, 1, far), (2, 2, BOX)]
    predictions = [(0, 0, BOX), (0, 0, far), (1, 0, BOX), (0, 1, far), (2, 2, far)]
    # No dog is in the third image: these are not counted.
    ignored = [(2, 1, BOX), (3, 1, BOX), (3, 0, BOX)]
    found = category_means(*scene(objects, [*ignored, *predictions]), library)
    precision, recall = (2 / 3 + 1) / 2, (1 + 1 / 2) / 2
    assert found == pytest.approx(
        {name: harmonic(precision, recall) for name in ("F1_50_category_mean", "F1_category_mean")}
    )


def test_a_threshold_without_a_match_takes_the_precision_of_the_next_lower() -> None:
    """An IoU of 0.72 reaches 5 of the 10 thresholds."""
    narrow = [0.0, 0.0, 72.0, 100.0]
    found = category_means(*scene([(0, 0, BOX)], [(0, 0, narrow)]))
    assert found["F1_50_category_mean"] == pytest.approx(1)
    assert found["F1_category_mean"] == pytest.approx(harmonic(1, 0.5))


@pytest.mark.parametrize("seed", range(3))
def test_categories_follow_the_definition(seed: int) -> None:
    truth, detections = random_arrays.scene(seed, images=20, categories=4, objects=100, predictions=120)
    present = set(zip(truth.image.tolist(), truth.category.tolist(), strict=True))
    pairs = zip(detections.image.tolist(), detections.category.tolist(), strict=True)
    kept = detections.take(np.array([pair in present for pair in pairs]))
    curves = average_precision(truth, replace(kept, scores=np.ones(len(kept.scores))), library="pycocotools")
    precisions = [next((value for value in curve[::-1] if value > 0), 0.0) for curve in curves.precision]
    precision = np.mean([value for value in precisions if value > 0])
    alone = [average_precision(*only(truth, kept, index)).values["AP50"] for index in range(4)]
    assert min(alone) > 0  # So recall is above 0 in all categories, and its mean that of all of them.
    matched = match_recall(truth, kept)
    assert category_means(truth, detections)["F1_50_category_mean"] == pytest.approx(
        harmonic(float(precision), matched), abs=1e-6
    )


def only(truth: GroundTruth, detections: Detections, category: int) -> tuple[GroundTruth, Detections]:
    chosen = truth.category == category
    fields = {name: getattr(truth, name)[chosen] for name in ("image", "category", "boxes", "areas", "crowd")}
    return replace(truth, **fields), detections.take(detections.category == category)


def match_recall(truth: GroundTruth, detections: Detections) -> float:
    """The mean over the categories of recall at IoU 0.5 by COCO's matching in the order of the predictions."""
    recalls = []
    for category in range(len(truth.categories)):
        objects = np.flatnonzero((truth.category == category) & ~truth.crowd)
        free, hits = set(objects.tolist()), 0
        for row in np.flatnonzero(detections.category == category):
            candidates = [place for place in free if truth.image[place] == detections.image[row]]
            ious = [float(pairwise_iou(detections.boxes[[row]], truth.boxes[[place]])[0, 0]) for place in candidates]
            if ious and max(ious) >= 0.5:
                free.remove(candidates[int(np.argmax(ious))])
                hits += 1
        recalls.append(hits / len(objects))
    return float(np.mean(recalls))


def test_images_by_hand() -> None:
    """Half found; a category that is not in the image; nothing; and no object, with and without a prediction."""
    far = [500.0, 500.0, 600.0, 600.0]
    objects = [(0, 0, BOX), (0, 1, far), (1, 0, BOX)]
    found = image_means(*scene(objects, [(0, 1, BOX), (0, 2, far), (2, 0, BOX)]))
    # The box of the cat counts as found though it is called a dog: both are in the image.
    precision, recall = (1 / 2 + 0 + 0 + 1) / 4, (1 / 2 + 0 + 0 + 1) / 4
    assert found == pytest.approx(
        {name: harmonic(precision, recall) for name in ("F1_50_image_mean", "F1_image_mean")}
    )


def test_of_one_image_and_category_all_averages_are_equal() -> None:
    """The only image has both its objects at an IoU of 1 and 0.6, and a false positive."""
    other, near = [200.0, 0.0, 300.0, 100.0], [200.0, 0.0, 260.0, 100.0]
    truth, detections = scene(
        [(0, 0, BOX), (0, 0, other)], [(0, 0, BOX), (0, 0, near), (0, 0, [800.0] * 2 + [900.0] * 2)]
    )
    truth = replace(truth, images=("a",))
    pooled = summary(counts_by_image(truth, detections, match(truth, detections)).total())
    found = image_means(truth, detections)
    assert found["F1_50_image_mean"] == pytest.approx(pooled["F1_50"]) == pytest.approx(0.8)
    assert found["F1_image_mean"] == pytest.approx(pooled["F1"])
    assert found["F1_image_mean"] == pytest.approx((3 * 0.8 + 7 * 0.4) / len(THRESHOLDS))


def test_nothing_is_0_and_no_object_is_undefined() -> None:
    truth, detections = random_arrays.scene(0)
    nothing = detections.take(np.zeros(0, np.intp))
    assert set(category_means(truth, nothing).values()) == {0.0}
    fields = {name: getattr(truth, name)[:0] for name in ("image", "category", "boxes", "areas", "crowd")}
    empty = replace(truth, **fields)
    assert np.isnan(list(category_means(empty, detections).values())).all()
    assert set(image_means(empty, nothing).values()) == {1.0}
