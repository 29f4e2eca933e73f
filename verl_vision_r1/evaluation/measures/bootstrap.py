"""COCO's AP of bootstrap resamples of the images, for confidence intervals.

The match of a prediction does not depend on other images, so matching runs once, and a resample only changes how often
each image counts. The AP of a resample equals that of a data set with repeated images, the copies next to each other.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.evaluation.measures.average_precision import LIMITS, limit_of_ap
from verl_vision_r1.evaluation.measures.coco_matching import THRESHOLDS, Ranking, rankings
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

RECALLS: Final = np.linspace(0.0, 1.0, 101)
CHUNK: Final = 16 * 2**20
BYTES_EACH: Final = 64


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
    truth: GroundTruth, detections: Detections, weights: NDArray[Any], limits: Sequence[int] = LIMITS
) -> dict[str, NDArray[np.float64]]:
    """Compute AP of each resample, over objects of all sizes.

    Args:
        truth: I images, K categories, M objects.
        detections: N predictions in those images.
        weights: (R, I) integers, how often each resample contains each image.
        limits: As for `average_precision`: AP uses 100 if given, AP50 and AP75 the largest.

    Returns:
        AP, AP50 and AP75, each of shape (R,) in [0, 1]; NaN for a resample without objects.

    Raises:
        ValueError: The weights have another shape, or are not integers of at least 0.

    Example:
        >>> boxes = np.array([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 60.0, 40.0]])
        >>> image, category = np.array([0, 1]), np.zeros(2, np.intp)
        >>> truth = GroundTruth(("a", "b"), ("cat",), image, category, boxes, np.array([100.0, 1600.0]), image > 1, ())
        >>> found = Detections(image[:1], category[:1], boxes[:1], np.ones(1))
        >>> resampled_average_precision(truth, found, np.array([[2, 0], [0, 2]]))["AP"].tolist()
        [1.0, 0.0]
    """
    counts = _checked(weights, len(truth.images))
    last, ap = max(limits), limit_of_ap(limits)
    at_last = _by_threshold(truth, detections, counts, last)
    at_ap = at_last if ap == last else _by_threshold(truth, detections, counts, ap)
    return {"AP": at_ap.mean(axis=1), "AP50": at_last[:, 0], "AP75": at_last[:, 5]}


def _by_threshold(
    truth: GroundTruth, detections: Detections, counts: NDArray[np.int64], limit: int
) -> NDArray[np.float64]:
    """(R, T) AP of each resample at each IoU threshold, the mean over the categories."""
    total, known = np.zeros((len(counts), len(THRESHOLDS))), np.zeros((len(counts), 1))
    for ranking in rankings(truth, detections, limit):
        size = max(1, CHUNK // (BYTES_EACH * max(1, len(ranking.image))))
        for start in range(0, len(counts), size):
            part = slice(start, start + size)
            objects = counts[part][:, ranking.objects].sum(axis=1)
            total[part] += _category_precision(ranking, counts[part], objects)
            known[part, 0] += objects > 0
    return np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0)


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


def _category_precision(
    ranking: Ranking, counts: NDArray[np.int64], objects: NDArray[np.int64]
) -> NDArray[np.float64]:
    """AP of one category in each of R resamples, (R, T); 0 where it has no object.

    Args:
        ranking: The category's predictions.
        counts: (R, I) how often each image counts.
        objects: (R,) number of objects that are not ignored.
    """
    places, starts = _repeated(ranking, counts)
    least = np.maximum(objects, 1)[:, None]
    needed = np.floor(RECALLS * least)
    needed = np.maximum(needed + (needed / least < RECALLS), 1).astype(np.intp)
    parts = (
        _interpolated(hit[places], (hit | wrong)[places], starts, needed).mean(axis=1)
        for hit, wrong in zip(ranking.hit, ranking.wrong, strict=True)
    )
    return np.stack(list(parts), axis=1)


def _repeated(ranking: Ranking, counts: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the ranked predictions of all resamples, concatenated, and where each resample starts."""
    length = np.diff(ranking.first, append=len(ranking.image))
    copies = counts[:, ranking.image[ranking.first]]
    block = np.repeat(np.tile(np.arange(len(length)), len(counts)), copies.ravel())
    size = length[block]
    offset = np.repeat(ranking.first[block] - (np.cumsum(size) - size), size)
    ends = np.cumsum(copies @ length)
    return offset + np.arange(len(offset)), np.concatenate([[0], ends[:-1]])


def _interpolated(
    hit: NDArray[np.bool_], counted: NDArray[np.bool_], starts: NDArray[np.intp], needed: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Interpolated precision, the maximum at or beyond each recall, (R, 101), by decreasing recall.

    Precision has its maxima at true positives, so only these are compared: first those between two recalls.

    Args:
        hit: (S,) whether each prediction is a true positive, the R resamples concatenated.
        counted: (S,) whether it is not ignored.
        starts: (R,) where each resample starts.
        needed: (R, 101) how many true positives reach each recall.
    """
    places = np.flatnonzero(hit)
    first = np.searchsorted(places, starts)
    found = np.diff(first, append=len(places))
    rank = np.cumsum(counted)
    before = np.concatenate([[0], rank])[starts]
    precision = (np.arange(1, len(places) + 1) - np.repeat(first, found)) / (rank[places] - np.repeat(before, found))
    edges = first[:, None] + np.minimum(needed - 1, found[:, None])
    best = np.maximum.reduceat(np.append(precision, 0.0), edges.ravel()).reshape(edges.shape)
    best[needed > found[:, None]] = 0.0
    return np.maximum.accumulate(best[:, ::-1], axis=1)
