"""AP of a resample equals the AP that a library computes for a data set with repeated images."""

from dataclasses import replace

import numpy as np
import pytest
from test_average_precision import SCORES, coco128, needs_coco128, perturbed

from verl_vision_r1.evaluation.measures import bootstrap
from verl_vision_r1.evaluation.measures.average_precision import average_precision
from verl_vision_r1.evaluation.measures.bootstrap import resampled_average_precision, weights
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

NAMES = ("AP", "AP50", "AP75")


def crowded(scores: str, images: int = 40, seed: int = 0) -> tuple[GroundTruth, Detections]:
    """Small boxes with integer coordinates, so that many IoUs are equal or at a threshold; every fifth is a crowd."""
    generator = np.random.default_rng(seed)

    def table(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        corner = generator.integers(0, 2, (count, 2))
        boxes = np.hstack([corner, corner + generator.integers(2, 5, (count, 2))])
        return generator.integers(0, images, count), generator.integers(0, 3, count), boxes.astype(np.float64)

    image, category, boxes = table(6 * images)
    truth = GroundTruth(
        images=tuple(str(index) for index in range(images)),
        categories=("cat", "dog", "unused", "cow"),
        image=image,
        category=np.where(category == 2, 3, category),
        boxes=boxes,
        areas=np.where(generator.random(len(boxes)) < 0.02, 2e10, 16.0),
        crowd=generator.random(len(boxes)) < 0.2,
        files=(),
    )
    image, category, boxes = table(10 * images)
    boxes[::50] = boxes[::50][:, [2, 1, 0, 3]]
    boxes[1::50] *= 1e6
    return truth, Detections(image, category + (category == 2), boxes, SCORES[scores](generator, len(boxes)))


def repeated(truth: GroundTruth, detections: Detections, counts: np.ndarray) -> tuple[GroundTruth, Detections]:
    """Repeat each image as often as the resample contains it, as separate images next to each other."""
    sources = [image for image, count in enumerate(counts) for _ in range(count)]
    rows = [np.flatnonzero(truth.image == source) for source in sources]
    of_source = [np.flatnonzero(detections.image == source) for source in sources]
    objects, predictions = np.concatenate([*rows, []]).astype(int), np.concatenate([*of_source, []]).astype(int)
    copies = tuple(f"copy {index}" for index in range(len(sources)))
    return (
        GroundTruth(
            images=copies,
            categories=truth.categories,
            image=np.repeat(np.arange(len(sources)), [len(part) for part in rows]),
            category=truth.category[objects],
            boxes=truth.boxes[objects],
            areas=truth.areas[objects],
            crowd=truth.crowd[objects],
            files=(),
        ),
        replace(
            detections.take(predictions), image=np.repeat(np.arange(len(sources)), [len(part) for part in of_source])
        ),
    )


@needs_coco128
@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("crowds", [False, True])
def test_every_image_once_is_the_library_on_real_annotations(scores: str, crowds: bool) -> None:
    _, truth = coco128(crowds)
    detections = perturbed(truth, scores)
    found = resampled_average_precision(truth, detections, np.ones((1, len(truth.images)), int))
    expected = average_precision(truth, detections).values
    assert 0.1 < expected["AP"] < 0.9
    assert [found[name][0] for name in NAMES] == pytest.approx([expected[name] for name in NAMES], abs=1e-12)


@pytest.mark.parametrize("library", ["hotcoco", "faster-coco-eval", "pycocotools"])
@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("limit", [2, 100])
def test_every_image_once_is_the_library_on_crowds_and_ties(scores: str, limit: int, library: str) -> None:
    truth, detections = crowded(scores)
    found = resampled_average_precision(truth, detections, np.ones((1, len(truth.images))), (1, limit))
    expected = average_precision(truth, detections, (1, limit), library).values
    assert expected["AP50"] > 0.1
    assert [found[name][0] for name in NAMES] == pytest.approx([expected[name] for name in NAMES], abs=1e-12)


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("seed", range(3))
def test_a_resample_is_the_library_on_repeated_images(scores: str, seed: int) -> None:
    truth, detections = crowded(scores, images=12, seed=seed)
    resamples = weights(12, 6, seed)
    found = resampled_average_precision(truth, detections, resamples)
    for index, counts in enumerate(resamples):
        expected = average_precision(*repeated(truth, detections, counts)).values
        assert [found[name][index] for name in NAMES] == pytest.approx([expected[name] for name in NAMES], abs=1e-12)


@needs_coco128
def test_a_resample_of_real_annotations_is_the_library_on_repeated_images() -> None:
    _, truth = coco128(crowds=True)
    detections = perturbed(truth, "constant")
    resamples = weights(len(truth.images), 3, seed=4)
    found = resampled_average_precision(truth, detections, resamples)
    for index, counts in enumerate(resamples):
        expected = average_precision(*repeated(truth, detections, counts)).values
        assert [found[name][index] for name in NAMES] == pytest.approx([expected[name] for name in NAMES], abs=1e-12)
    assert len(set(found["AP"])) == 3


def test_resamples_that_lack_a_category_or_all() -> None:
    """A category without objects in the resample is left out of the mean, as in COCO."""
    box, places = np.array([[0.0, 0.0, 9.0, 9.0]] * 2), np.arange(2)
    truth = GroundTruth(("a", "b", "c"), ("cat", "dog"), places, places, box, np.full(2, 81.0), places < 0, ())
    detections = Detections(places[:1], places[:1], box[:1], np.ones(1))
    found = resampled_average_precision(truth, detections, np.array([[1, 1, 0], [3, 0, 0], [0, 1, 5], [0, 0, 2]]))
    assert found["AP"] == pytest.approx([0.5, 1.0, 0.0, np.nan], nan_ok=True)
    assert np.isnan(resampled_average_precision(truth, detections, np.zeros((1, 3), int))["AP"]).all()
    nothing = resampled_average_precision(truth, detections.take(places[:0]), np.ones((2, 3), int))
    assert nothing["AP50"].tolist() == [0.0, 0.0]
    assert resampled_average_precision(truth, detections, np.ones((0, 3)))["AP"].shape == (0,)


def test_the_size_of_a_chunk_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, detections = crowded("verbal")
    resamples = weights(len(truth.images), 50, seed=0)
    at_once = resampled_average_precision(truth, detections, resamples)["AP"]
    monkeypatch.setattr(bootstrap, "CHUNK", 7)
    assert (resampled_average_precision(truth, detections, resamples)["AP"] == at_once).all()


@pytest.mark.parametrize("library", ["faster-coco-eval", "pycocotools"])
def test_the_libraries_agree_on_resamples(library: str) -> None:
    truth, detections = crowded("verbal", images=8)
    resamples = weights(8, 4, seed=2)
    expected = resampled_average_precision(truth, detections, resamples, (2, 100))
    found = resampled_average_precision(truth, detections, resamples, (2, 100), library)
    for name in NAMES:
        assert len(set(expected[name])) > 1
        assert found[name] == pytest.approx(expected[name], abs=1e-12)


def test_weights_sample_as_many_images_as_there_are() -> None:
    resamples = weights(200, 500, seed=3)
    assert resamples.shape == (500, 200)
    assert (resamples.sum(axis=1) == 200).all()
    assert resamples.min() == 0
    assert np.mean(resamples == 0) == pytest.approx(np.exp(-1), abs=0.01)
    assert resamples.mean(axis=0) == pytest.approx(np.ones(200), abs=0.3)
    assert (resamples == weights(200, 500, seed=3)).all()
    assert (resamples != weights(200, 500, seed=4)).any()


def test_bad_weights_say_what_was_expected() -> None:
    truth, detections = crowded("constant", images=4)
    for wrong in (np.ones(4), np.ones((2, 3))):
        with pytest.raises(ValueError, match=r"expected shape \(resamples, 4 images\), got"):
            resampled_average_precision(truth, detections, wrong)
    for wrong in (np.full((1, 4), 0.5), np.full((1, 4), -1)):
        with pytest.raises(ValueError, match="integers of at least 0"):
            resampled_average_precision(truth, detections, wrong)
    with pytest.raises(ValueError, match="at least one image, got 0"):
        weights(0, 3, seed=0)
