"""COCO's matching, image by image: what each prediction finds does not depend on the other images.

Greedy by score, as `evaluateImg` of COCO's own evaluation; done here once for all resamples, where a library would do
it again for each.
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
"""As COCO's libraries compute them: 0.9 differs from the decimal in its last bit, and so do IoU on it."""
LEAST_IOU: Final = np.minimum(THRESHOLDS, 1 - 1e-10)
LARGEST_AREA: Final = 1e5**2


@dataclass(frozen=True, eq=False)
class Ranking:
    """The D predictions of one category by falling score, those of equal score by image, and what they found.

    Attributes:
        image: (D,) the image of each.
        first: (B,) where each block starts: neighbours of equal score in one image, which a copy of the image repeats
            as a whole.
        hit: (T, D) whether it found an object at each of the thresholds.
        wrong: (T, D) whether it found none; neither where what it found is not to be found.
        objects: (G,) the image of each object that is to be found.
    """

    image: NDArray[np.intp]
    first: NDArray[np.intp]
    hit: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    objects: NDArray[np.intp]


def rankings(truth: GroundTruth, detections: Detections, limit: int) -> Iterator[Ranking]:
    """Each category that holds an object to be found, matched image by image."""
    ignored = truth.crowd | (truth.areas > LARGEST_AREA)
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
    """The predictions that count, by image and category, then by falling score, then as they were said."""
    group = detections.image * categories + detections.category
    order = np.lexsort((-detections.scores, group))
    group = group[order]
    return detections.take(order[np.arange(len(group)) - np.searchsorted(group, group) < limit])


def _matched(
    truth: GroundTruth, chosen: Detections, ignored: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What each prediction found: (T, N) an object to be found, and (T, N) nothing at all."""
    categories = len(truth.categories)
    group, own = chosen.image * categories + chosen.category, truth.image * categories + truth.category
    said, real = to_xywh(chosen.boxes), to_xywh(truth.boxes)
    hit = np.zeros((len(THRESHOLDS), len(group)), np.bool_)
    wrong = np.repeat((said[:, 2] * said[:, 3] <= LARGEST_AREA)[None], len(THRESHOLDS), axis=0)
    for rows, objects in groups(group, own):
        run = slice(rows[0], rows[-1] + 1)  # Those of one group stand together, and a slice is written through.
        crowd = truth.crowd[objects]
        overlap = _overlap(said[run], real[objects], crowd)
        _match(overlap, ignored[objects], crowd, hit[:, run], wrong[:, run])
    return hit, wrong


def _overlap(said: Boxes, real: Boxes, crowd: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU of each two, (D, G), and for a crowd the share of the prediction that lies in it.

    From left, top, width and height, as COCO's libraries compute it, so that an IoU on a threshold rounds as theirs.
    """
    start = np.maximum(said[:, None, :2], real[:, :2])
    sides = np.minimum((said[:, :2] + said[:, 2:])[:, None], real[:, :2] + real[:, 2:]) - start
    inner = np.where((sides > 0).all(axis=2), sides[..., 0] * sides[..., 1], 0.0)
    areas = (said[:, 2] * said[:, 3])[:, None]
    union = np.where(crowd, areas, areas + real[:, 2] * real[:, 3] - inner)
    overlap: NDArray[np.float64] = np.divide(inner, union, out=np.zeros_like(inner), where=inner > 0)
    return overlap


def _match(
    overlap: NDArray[np.float64],
    ignored: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
    hit: NDArray[np.bool_],
    wrong: NDArray[np.bool_],
) -> None:
    """Let each prediction in turn take the best free object, at all thresholds at once; fills `hit` and `wrong`.

    What is to be found comes before what is not, of equals the last is taken, and a crowd is never used up.
    """
    free = np.ones((len(LEAST_IOU), overlap.shape[1]), np.bool_)
    for row in np.flatnonzero(overlap.max(axis=1) >= LEAST_IOU[0]):
        able = free & (overlap[row] >= LEAST_IOU[:, None])
        wanted = able & ~ignored
        able = np.where(wanted.any(axis=1, keepdims=True), wanted, able)
        best = overlap.shape[1] - 1 - np.where(able, overlap[row], -1.0)[:, ::-1].argmax(axis=1)
        found = able.any(axis=1)
        hit[:, row] = found & ~ignored[best]
        wrong[found, row] = False
        free[found, best[found]] = crowd[best[found]]
