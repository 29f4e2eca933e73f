"""LVIS's AP equals that of pycocotools for a COCO set in which what LVIS ignores is dropped, or inside a crowd."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import random_arrays

from verl_vision_r1.evaluation.measures import federated
from verl_vision_r1.evaluation.measures.average_precision import average_precision
from verl_vision_r1.evaluation.measures.federated import by_frequency
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth, Looked

NAMES = ("AP_rare", "AP_common", "AP_frequent")


def lvis(seed: int) -> tuple[GroundTruth, Detections]:
    """Thirty images with five categories; in each some absent ones are listed, and some present ones incomplete."""
    generator = np.random.default_rng(seed)
    truth, detections = random_arrays.scene(seed, images=30, categories=5, objects=120, predictions=400, crowds=0)
    # A box without area is not inside the crowds of `as_coco`.
    detections = detections.take((detections.boxes[:, 2:] > detections.boxes[:, :2]).all(axis=1))
    absent, incomplete = [], []
    for image in range(30):
        present = set(truth.category[truth.image == image].tolist())
        absent.append(tuple(index for index in range(5) if index not in present and generator.random() < 0.5))
        incomplete.append(tuple(index for index in sorted(present) if generator.random() < 0.3))
    listed = Looked(tuple(absent), tuple(incomplete))
    return replace(truth, frequencies=("r", "c", "f", "f", "c"), looked=listed), detections


def as_coco(truth: GroundTruth, detections: Detections) -> tuple[GroundTruth, Detections]:
    """Without predictions of categories that nobody looked for; incomplete categories get a crowd of any size."""
    assert truth.looked
    present = set(zip(truth.image.tolist(), truth.category.tolist(), strict=True))
    known = present | {(image, index) for image, listed in enumerate(truth.looked.absent) for index in listed}
    pairs = zip(detections.image.tolist(), detections.category.tolist(), strict=True)
    crowds = [(image, index) for image, listed in enumerate(truth.looked.incomplete) for index in listed]
    image, category = np.array(crowds, np.intp).reshape(-1, 2).T
    everywhere = np.tile([-1e3, -1e3, 1e3, 1e3], (len(crowds), 1))
    return replace(
        truth,
        image=np.append(truth.image, image),
        category=np.append(truth.category, category),
        boxes=np.vstack([truth.boxes, everywhere]),
        areas=np.append(truth.areas, np.ones(len(crowds))),
        crowd=np.append(truth.crowd, np.ones(len(crowds), bool)),
    ), detections.take(np.array([pair in known for pair in pairs]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("library", ["pycocotools", "faster-coco-eval"])
def test_federated_ap_is_that_of_the_equivalent_coco_set(seed: int, library: str) -> None:
    truth, detections = lvis(seed)
    plain = average_precision(truth, detections)
    found = by_frequency(truth, detections, plain)
    expected = average_precision(*as_coco(truth, detections), library=library).by_category
    assert list(found) == ["AP_federated", *NAMES]
    assert found["AP_federated"] == pytest.approx(expected.mean(), abs=1e-6)
    assert [found[name] for name in NAMES] == pytest.approx(
        [expected[0], expected[[1, 4]].mean(), expected[2:4].mean()], abs=1e-6
    )
    # The lists matter: what they do not name is ignored.
    assert found["AP_federated"] > plain.values["AP"] + 0.01


def test_without_lists_it_is_cocos_ap_by_frequency() -> None:
    truth, detections = lvis(0)
    truth = replace(truth, looked=None)
    plain = average_precision(truth, detections)
    found = by_frequency(truth, detections, plain)
    assert list(found) == list(NAMES)
    assert found["AP_common"] == pytest.approx(plain.by_category[[1, 4]].mean())
    assert by_frequency(replace(truth, frequencies=()), detections, plain) == {}


def test_without_objects_or_hotcoco_it_is_undefined(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, detections = lvis(0)
    plain = average_precision(truth, detections)
    kept = truth.category != 0
    fields = {name: getattr(truth, name)[kept] for name in ("image", "category", "boxes", "areas", "crowd")}
    found = by_frequency(replace(truth, **fields), detections, plain)
    assert np.isnan(found["AP_rare"])
    assert found["AP_common"] > 0

    def none_found(name: str) -> Any:
        return None

    monkeypatch.setattr(federated, "find_spec", none_found)
    assert np.isnan(list(by_frequency(truth, detections, plain).values())).all()
