"""Metrics of pointing: hits, precision, F1, and the number of points as a count."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import area
from verl_vision_r1.evaluation.measures.accuracy import Ratio, mean_of
from verl_vision_r1.evaluation.measures.average_precision import SIZES
from verl_vision_r1.points import Outline
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import match_points
from verl_vision_r1.rewards.refinement import OFF
from verl_vision_r1.targets import Target, plain_label

BOUNDS: Final = (32.0**2, 96.0**2)
"""COCO's bounds between small, medium and large objects, in square pixels."""


@dataclass(frozen=True, eq=False)
class Hits:
    """The points and targets of Q completions.

    Attributes:
        predicted: (Q,) number of points.
        objects: (Q, 3) number of targets by COCO's sizes.
        hits: (Q, 3) number of targets hit by a point of their own, by size.
        by_category: For each name the number of hits, points and targets.
    """

    predicted: NDArray[np.float64]
    objects: NDArray[np.float64]
    hits: NDArray[np.float64]
    by_category: dict[str, tuple[int, int, int]]


def count_hits(answers: Sequence[Answer], targets: Sequence[Target]) -> Hits:
    """Match the points of each completion to its targets, one-to-one, as the reward does.

    Args:
        answers: The parsed completions.
        targets: The ground truth.
    """
    found, points, objects = Counter[str](), Counter[str](), Counter[str]()
    rows = []
    for answer, target in zip(answers, targets, strict=True):
        match = match_points(answer, target, OFF)
        sizes = np.searchsorted(BOUNDS, areas(target), side="right")
        rows.append([np.bincount(sizes[places], minlength=3) for places in (slice(None), match.target)])
        objects.update(target.labels)
        found.update(target.labels[place] for place in match.target.tolist())
        points.update(_names(answer, target))
    counted = np.array(rows, dtype=np.float64).reshape(-1, 2, 3)
    return Hits(
        predicted=np.array([len(answer.boxes) for answer in answers], dtype=np.float64),
        objects=counted[:, 0],
        hits=counted[:, 1],
        by_category={name: (found[name], points[name], objects[name]) for name in sorted({*objects, *points})},
    )


def areas(target: Target) -> NDArray[np.float64]:
    """(M,) areas of the targets in square pixels: of the outline, as COCO's, or else of the box.

    Example:
        >>> box, triangle = [0, 0, 8, 6], [[[0, 0, 8, 0, 0, 6]]]
        >>> areas(Target([box], ["cat"], 8, 6, task="pointing", outlines=triangle)).tolist()
        [24.0]
    """
    found = area(target.boxes)
    for place, outline in enumerate(target.outlines):
        if outline:
            found[place] = _covered(outline)
    return found


def _covered(outline: Outline) -> float:
    """The sum of the areas of an object's polygons, by the shoelace formula."""
    return sum(
        abs(float(ring[:, 0] @ np.roll(ring[:, 1], -1) - ring[:, 1] @ np.roll(ring[:, 0], -1))) / 2 for ring in outline
    )


def _names(answer: Answer, target: Target) -> list[str]:
    """The category of each point: the only one that was asked for, or the one that its label names."""
    asked = tuple(dict.fromkeys(target.categories or target.labels))
    if len(asked) == 1:
        return list(asked) * len(answer.boxes)
    names = {plain_label(name): name for name in asked}
    labels = (plain_label(label) for label in answer.labels if label is not None)
    return [names[label] for label in labels if label in names]


def point_ratios(hits: Hits) -> dict[str, Ratio]:
    """Metrics of pointing.

    Returns:
        `accuracy`: fraction of targets that are hit, and the same for small, medium and large ones. `precision`:
        fraction of points that hit. `F1` of both. `count_accuracy`: fraction of completions with as many points as
        targets. `count_error`: mean absolute difference of these numbers.
    """
    found, objects = hits.hits.sum(axis=1), hits.objects.sum(axis=1)
    apart = abs(hits.predicted - objects)
    return {
        "accuracy": Ratio(found, objects),
        "precision": Ratio(found, hits.predicted),
        "F1": Ratio(2 * found, hits.predicted + objects),
        **{f"accuracy_{name}": Ratio(hits.hits[:, k], hits.objects[:, k]) for k, name in enumerate(SIZES)},
        "count_accuracy": mean_of((apart == 0).astype(np.float64)),
        "count_error": mean_of(apart),
    }


def by_category(hits: Hits) -> dict[str, dict[str, float]]:
    """The metrics of each category, for JSON; NaN where there is nothing to divide by."""
    nan = float("nan")
    return {
        name: {
            "objects": objects,
            "predicted": points,
            "accuracy": found / objects if objects else nan,
            "precision": found / points if points else nan,
            "F1": 2 * found / (points + objects) if points + objects else nan,
        }
        for name, (found, points, objects) in hits.by_category.items()
    }
