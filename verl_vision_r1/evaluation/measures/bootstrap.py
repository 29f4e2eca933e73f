"""COCO's AP of bootstrap resamples of the images, for confidence intervals.

The AP of a resample is that of a data set with repeated images, the copies next to each other. hotcoco matches a data
set with enough copies of each image once for many resamples, and computes AP of the copies that each of them has; the
other libraries compute every resample on its own, which takes a thousand times as long as one evaluation.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.data.progress import progress
from verl_vision_r1.evaluation.measures.average_precision import (
    LIBRARY,
    LIMITS,
    average_precision,
    hotcoco_evaluation,
    limit_of_ap,
)
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

CHUNK: Final = 200
"""Resamples that share one matching: with more of them, the rarest multiple of an image needs more copies."""
NAMES: Final = ("AP", "AP50", "AP75")


def weights(images: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each bootstrap resample contains each image, sampled with replacement.

    Args:
        images: Number of images, I.
        resamples: Number of resamples, R.
        seed: Random seed; the same seed compares two runs on the same resamples.

    Returns:
        (R, I) integers; each row sums to I.

    Raises:
        ValueError: There is no image.

    Source:
        Efron, Bootstrap methods: another look at the jackknife, 1979.

    Example:
        >>> weights(4, 3, seed=0).sum(axis=1).tolist()
        [4, 4, 4]
    """
    if images < 1:
        raise ValueError(f"bootstrap resamples: expected at least one image, got {images}")
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=resamples)


def resampled_average_precision(
    truth: GroundTruth,
    detections: Detections,
    weights: NDArray[Any],
    limits: Sequence[int] = LIMITS,
    library: str = LIBRARY,
) -> dict[str, NDArray[np.float64]]:
    """Compute AP of each resample, over objects of all sizes.

    Args:
        truth: I images, K categories, M objects.
        detections: N predictions in those images.
        weights: (R, I) integers, how often each resample contains each image.
        limits: As for `average_precision`: AP uses 100 if given, AP50 and AP75 the largest.
        library: One of `average_precision.LIBRARIES`; their results agree.

    Returns:
        AP, AP50 and AP75, each of shape (R,) in [0, 1]; NaN for a resample without objects.

    Raises:
        ValueError: The weights have another shape, or are not integers of at least 0; or as `average_precision`.

    Example:
        >>> boxes = np.array([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 60.0, 40.0]])
        >>> image, category = np.array([0, 1]), np.zeros(2, np.intp)
        >>> truth = GroundTruth(("a", "b"), ("cat",), image, category, boxes, np.array([100.0, 1600.0]), image > 1, ())
        >>> found = Detections(image[:1], category[:1], boxes[:1], np.ones(1))
        >>> resampled_average_precision(truth, found, np.array([[2, 0], [0, 2]]))["AP"].tolist()
        [1.0, 0.0]
    """
    counts = _checked(weights, len(truth.images))
    resampled = _by_slices if library == "hotcoco" else _one_by_one
    last, ap = max(limits), limit_of_ap(limits)
    found = {limit: resampled(truth, detections, counts, limit, library) for limit in {last, ap}}
    return {name: found[ap if name == "AP" else last][:, place] for place, name in enumerate(NAMES)}


def _by_slices(
    truth: GroundTruth, detections: Detections, counts: NDArray[np.int64], limit: int, library: str
) -> NDArray[np.float64]:
    """(R, 3) the metrics of each resample, by hotcoco: each resample is a slice of a data set with repeated images."""
    found = list[list[float]]()
    for start in range(0, len(counts), CHUNK):
        part = counts[start : start + CHUNK]
        copies = part.max(axis=0)
        run = hotcoco_evaluation(*repeated(truth, detections, copies))
        # Objects of all sizes only: the other ranges would take most of the time.
        run.params.area_rng, run.params.area_rng_lbl, run.params.max_dets = [[0, 1e10]], ["all"], [limit]
        run.evaluate()
        image, number = _copies(np.arange(len(copies)), copies)
        # hotcoco takes a slice as a set of ids, so each copy has its own.
        slices = {str(index): (np.flatnonzero(number < row[image]) + 1).tolist() for index, row in enumerate(part)}
        by_name = run.slice_by(slices)
        found += [[by_name[name][metric] for metric in NAMES] for name in slices]
    values = np.array(found).reshape(-1, len(NAMES))
    return np.where(values < 0, np.nan, values)


def _one_by_one(
    truth: GroundTruth, detections: Detections, counts: NDArray[np.int64], limit: int, library: str
) -> NDArray[np.float64]:
    """The same by any library, evaluated again for each resample."""
    found = [
        average_precision(*repeated(truth, detections, row), (limit,), library).values
        for row in progress(counts, desc=f"bootstrap by {library}", unit="resample")
    ]
    return np.array([[values[name] for name in NAMES] for values in found]).reshape(-1, len(NAMES))


def repeated(truth: GroundTruth, detections: Detections, copies: NDArray[np.int64]) -> tuple[GroundTruth, Detections]:
    """The data set with (I,) copies of each image, next to each other; without names and files of the images."""
    start = np.cumsum(copies) - copies
    objects, number = _copies(truth.image, copies)
    predictions, other = _copies(detections.image, copies)
    return (
        replace(
            truth,
            images=("",) * int(copies.sum()),
            image=start[truth.image[objects]] + number,
            category=truth.category[objects],
            boxes=truth.boxes[objects],
            areas=truth.areas[objects],
            crowd=truth.crowd[objects],
            files=(),
            sizes=(),
        ),
        replace(detections.take(predictions), image=start[detections.image[predictions]] + other),
    )


def _copies(image: NDArray[np.intp], copies: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The row of each copy, for rows of these images, and its number among the copies of the row, from 0."""
    each = copies[image]
    rows = np.repeat(np.arange(len(image)), each)
    return rows, np.arange(len(rows)) - np.repeat(np.cumsum(each) - each, each)


def _checked(weights: NDArray[Any], images: int) -> NDArray[np.int64]:
    """The weights as checked integers."""
    given = np.asarray(weights)
    if given.ndim != 2 or given.shape[1] != images:
        raise ValueError(f"weights: expected shape (resamples, {images} images), got {given.shape}")
    counts = given.astype(np.int64)
    if (counts != given).any() or (counts < 0).any():
        raise ValueError(
            "weights: expected integers of at least 0, how often each image is sampled, got other numbers"
        )
    return counts
