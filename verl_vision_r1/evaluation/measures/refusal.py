"""Metrics of refusal: how often a model predicts nothing where there is nothing, and where there is something.

A negative sample is a question whose ground truth is empty. A refusal is an explicit empty prediction. A completion
that could not be parsed predicts no box either, but is no refusal: `negatives_malformed` counts it apart.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.evaluation.measures.accuracy import Ratio
from verl_vision_r1.evaluation.predictions.arrays import GroundTruth
from verl_vision_r1.evaluation.predictions.detections import Outcome

NAMES: Final = ("negatives_refused", "positives_refused", "negatives_malformed")


def refusals(outcomes: Sequence[Outcome], places: Sequence[int] | None = None, size: int = 0) -> dict[str, Ratio]:
    """Metrics of refusal.

    Args:
        outcomes: The completions.
        places: For each completion the entry of the ratios that it is added to; by default each has its own.
        size: Number of entries, with `places`.

    Returns:
        `negatives_refused`: fraction of the negative samples that are refused. `positives_refused`: fraction of the
        other samples that are refused, which is always wrong. `negatives_malformed`: fraction of the negative samples
        whose completion contains no prediction at all. Each is NaN without such samples.

    Source:
        GREC (arXiv 2308.16182): its N-acc is `negatives_refused` and its T-acc is 1 - `positives_refused`, except
        that it counts every completion without a box as a refusal.
    """
    rows = [(outcome.line.target.is_negative, outcome.refused, outcome.malformed) for outcome in outcomes]
    negative, refused, malformed = np.array(rows, dtype=np.bool_).reshape(-1, 3).T
    place = np.arange(len(rows)) if places is None else np.array(places, dtype=np.intp)

    def summed(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(place[chosen], minlength=len(rows) if places is None else size).astype(np.float64)

    negatives, positives = summed(negative), summed(~negative)
    sums = (summed(negative & refused), summed(~negative & refused), summed(negative & malformed))
    return dict(zip(NAMES, map(Ratio, sums, (negatives, positives, negatives)), strict=True))


def refusals_by_image(outcomes: Sequence[Outcome], truth: GroundTruth) -> dict[str, Ratio]:
    """Metrics of refusal of a detection set, with one entry for each image, as its other ratios have.

    A question about categories of which the image has only crowds is left out: neither a box nor none is wrong.

    Args:
        outcomes: The completions, all for images of the ground truth.
        truth: The ground truth.
    """
    places = {image: index for index, image in enumerate(truth.images)}
    pairs = zip(truth.image[truth.crowd].tolist(), truth.category[truth.crowd].tolist(), strict=True)
    crowds = {(truth.images[image], truth.categories[category]) for image, category in pairs}
    kept = [outcome for outcome in outcomes if not (crowds and _has_only_crowds(outcome, crowds))]
    return refusals(kept, [places[outcome.line.image_id] for outcome in kept], len(places))


def _has_only_crowds(outcome: Outcome, crowds: set[tuple[str, str]]) -> bool:
    line = outcome.line
    asked = line.target.categories or (line.subject,)
    return line.target.is_negative and any((line.image_id, name) in crowds for name in asked)
