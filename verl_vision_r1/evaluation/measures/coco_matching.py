"""COCO's greedy matching by score, as `evaluateImg` of pycocotools.

The match of a prediction does not depend on other images, so all bootstrap resamples share one matching; a library
would repeat it for each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.evaluation.measures.average_precision import to_xywh
from verl_vision_r1.evaluation.measures.f1 import groups
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
"""As COCO's libraries compute them: 0.9 differs from the literal in its last bit, which decides IoUs equal to it."""
MIN_IOU: Final = np.minimum(THRESHOLDS, 1 - 1e-10)
MAX_AREA: Final = 1e5**2


@dataclass(frozen=True, eq=False)
class Ranking:
    """The D ranked predictions of one category, by decreasing score, then by image, with their matches.

    Attributes:
        image: (D,) image index of each prediction.
        first: (B,) start of each block: consecutive predictions of equal score in one image, which a copy of the image
            repeats as a whole.
        hit: (T, D) whether it is a true positive at each IoU threshold.
        wrong: (T, D) whether it is a false positive; neither if its match is an ignored object.
        objects: (G,) image index of each object that is not ignored.
    """

    image: NDArray[np.intp]
    first: NDArray[np.intp]
    hit: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    objects: NDArray[np.intp]


def rankings(truth: GroundTruth, detections: Detections, limit: int) -> Iterator[Ranking]:
    """Match image by image; one ranking for each category with an object that is not ignored."""
    ignored = truth.crowd | (truth.areas > MAX_AREA)
    chosen = _ranked(detections, len(truth.categories), limit)
    hit, wrong = _matched(truth, chosen, ignored)
    order = np.lexsort((chosen.image, -chosen.scores, chosen.category))
    bounds = np.searchsorted(chosen.category[order], np.arange(len(truth.categories) + 1))
    for category in np.unique(truth.category[~ignored]):
        own = order[bounds[category] : bounds[category + 1]]
        image, scores = chosen.image[own], chosen.scores[own]
        first = np.flatnonzero((np.diff(image, prepend=-1) != 0) | (np.diff(scores, prepend=np.nan) != 0))
        objects = truth.image[~ignored & (truth.category == category)]
        yield Ranking(image, first, hit[:, own], wrong[:, own], objects)


def _ranked(detections: Detections, categories: int, limit: int) -> Detections:
    """The predictions within the limit, by image and category, then by decreasing score, then in given order."""
    group = detections.image * categories + detections.category
    order = np.lexsort((-detections.scores, group))
    group = group[order]
    return detections.take(order[np.arange(len(group)) - np.searchsorted(group, group) < limit])


def _matched(
    truth: GroundTruth, chosen: Detections, ignored: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(T, N) whether each prediction is a true positive, and (T, N) whether it is a false positive."""
    categories = len(truth.categories)
    group, own = chosen.image * categories + chosen.category, truth.image * categories + truth.category
    predicted, true = to_xywh(chosen.boxes), to_xywh(truth.boxes)
    hit = np.zeros((len(THRESHOLDS), len(group)), np.bool_)
    wrong = np.repeat((predicted[:, 2] * predicted[:, 3] <= MAX_AREA)[None], len(THRESHOLDS), axis=0)
    for rows, objects in groups(group, own):
        run = slice(rows[0], rows[-1] + 1)  # A group is contiguous, and a slice is a view to write into.
        crowd = truth.crowd[objects]
        overlap = _overlap(predicted[run], true[objects], crowd)
        _match(overlap, ignored[objects], crowd, hit[:, run], wrong[:, run])
    return hit, wrong


def _overlap(predicted: Boxes, true: Boxes, crowd: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(D, G) IoU of predictions and objects; for a crowd the fraction of the prediction's area inside it.

    Computed from left, top, width and height like COCO's libraries, so that an IoU at a threshold rounds the same way.
    """
    start = np.maximum(predicted[:, None, :2], true[:, :2])
    sides = np.minimum((predicted[:, :2] + predicted[:, 2:])[:, None], true[:, :2] + true[:, 2:]) - start
    inner = np.where((sides > 0).all(axis=2), sides[..., 0] * sides[..., 1], 0.0)
    areas = (predicted[:, 2] * predicted[:, 3])[:, None]
    union = np.where(crowd, areas, areas + true[:, 2] * true[:, 3] - inner)
    overlap: NDArray[np.float64] = np.divide(inner, union, out=np.zeros_like(inner), where=inner > 0)
    return overlap


def _match(
    overlap: NDArray[np.float64],
    ignored: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
    hit: NDArray[np.bool_],
    wrong: NDArray[np.bool_],
) -> None:
    """Match each prediction in turn to the best unmatched object, at all thresholds at once; fills `hit` and `wrong`.

    Objects come before ignored ones, the last of equal overlaps wins, and a crowd can match any number of predictions.
    """
    free = np.ones((len(MIN_IOU), overlap.shape[1]), np.bool_)
    for row in np.flatnonzero(overlap.max(axis=1) >= MIN_IOU[0]):
        able = free & (overlap[row] >= MIN_IOU[:, None])
        wanted = able & ~ignored
        able = np.where(wanted.any(axis=1, keepdims=True), wanted, able)
        best = overlap.shape[1] - 1 - np.where(able, overlap[row], -1.0)[:, ::-1].argmax(axis=1)
        found = able.any(axis=1)
        hit[:, row] = found & ~ignored[best]
        wrong[found, row] = False
        free[found, best[found]] = crowd[best[found]]
