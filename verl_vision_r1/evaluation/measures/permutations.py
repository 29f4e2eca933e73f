"""The range of COCO's metrics over permutations of equal scores.

COCO ranks predictions by score. Predictions of equal score (with a constant score, all of them) are ranked by the
order of the images and of the predictions, so AP depends on that order. `spread` computes by how much.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from verl_vision_r1.data.progress import progress as progress_bar
from verl_vision_r1.evaluation.measures.average_precision import (
    LIBRARY,
    LIMITS,
    AveragePrecision,
    average_precision,
)
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth


def spread(
    truth: GroundTruth,
    detections: Detections,
    limits: Sequence[int] = LIMITS,
    permutations: int = 5,
    seed: int = 0,
    library: str = LIBRARY,
    given: AveragePrecision | None = None,
    progress: Callable[..., Any] = progress_bar,
) -> dict[str, tuple[float, float]]:
    """Compute the range of COCO's metrics over permutations of predictions with equal scores.

    Args:
        truth: I images, K categories, M objects.
        detections: N predictions, in the order of the completions.
        limits: As for `average_precision`.
        permutations: Number of random permutations of images and predictions.
        seed: Random seed of the permutations.
        library: One of `LIBRARIES`.
        given: The metrics of the given order, if already known.
        progress: Wraps the loop in a progress bar.

    Returns:
        The minimum and maximum of each metric, over the permutations and the given order.

    Raises:
        ValueError: As `average_precision`.
    """
    generator = np.random.default_rng(seed)
    found = [(given or average_precision(truth, detections, limits, library)).values]
    for _ in progress(range(permutations), desc="permutations of equal scores", unit="permutation"):
        found.append(average_precision(*_permuted(truth, detections, generator), limits, library).values)
    by_name = {name: [values[name] for values in found] for name in found[0]}
    return {name: (min(values), max(values)) for name, values in by_name.items()}


def _permuted(
    truth: GroundTruth, detections: Detections, generator: np.random.Generator
) -> tuple[GroundTruth, Detections]:
    """The same images and predictions in a random order."""
    order = generator.permutation(len(truth.images))
    place = np.argsort(order)
    images, files = (tuple(names[index] for index in order) if names else () for names in (truth.images, truth.files))
    shuffled = detections.take(generator.permutation(len(detections.scores)))
    return (
        replace(truth, images=images, files=files, image=place[truth.image]),
        replace(shuffled, image=place[shuffled.image]),
    )
