"""Hits, precision and nearness of points, for the matcher `points`.

A point hits its target if it is inside: inside the outline, or inside the box of a target without one. Matching is
one-to-one, so a second point in the same target is a miss. Nearness (`points.Regions`) is 0 outside, 1/2 on the border
and 1 in the middle. It counts for hits only: a reward that grows with the distance to the target everywhere, such as
exp(-distance), is greatest on average at the middle of the image, and a model learns to point there.

With refinement, full nearness is reached at `xi2`: 0.75 is halfway from the border to the middle. A hit stays a hit at
every stage.
"""

import math

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.points import BORDER
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.criteria.overlap import form_factor, is_explicitly_empty, predicted
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.options import check_fraction
from verl_vision_r1.rewards.refinement import SLACK, Stage, refine
from verl_vision_r1.targets import Target


def hit(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 1.0) -> float:
    """Recall of points: the fraction of targets that have a point of their own inside.

    Args:
        answer: The parsed completion.
        target: The ground truth, in original-image pixels.
        match: Matches of the matcher `points`.
        stage: Unused.
        save: Factor for a completion that does not have the demanded form, in [0, 1].

    Returns:
        A number in [0, 1]. A negative sample (M = 0) scores 1 for an empty prediction, else 0.

    Source:
        This project, after Vision-R1 (arXiv 2503.18013), Eq. 5.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50], [50, 50, 90, 90]], ["cat", "cat"], 100, 100, task="pointing")
        >>> score('[{"point_2d": [10, 10], "label": "cat"}]', target).parts["hit"]
        0.5
    """
    if not len(target.boxes):
        return is_explicitly_empty(answer)
    return form_factor(answer, save) * len(match.iou) / len(target.boxes)


def hit_precision(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 1.0) -> float:
    """Fraction of the predicted points that hit a target of their own. Arguments are those of `hit`.

    Returns:
        A number in [0, 1]. Malformed items count as points. Without objects as `hit`.

    Source:
        This project, after Vision-R1 (arXiv 2503.18013), Eq. 6.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100, task="pointing")
        >>> text = '[{"point_2d": [10, 10], "label": "cat"}, {"point_2d": [12, 12], "label": "cat"}]'
        >>> score(text, target).parts["precision"]
        0.5
    """
    if not len(target.boxes):
        return is_explicitly_empty(answer)
    return form_factor(answer, save) * len(match.iou) / max(predicted(answer), 1)


def nearness(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Refined nearness of the hits, as a fraction of the points or of the targets, whichever are more.

    `sum_k f(nearness_k) / max(N, M)`, so neither a point more nor a target fewer raises it.

    Returns:
        A number in [0, 1]. Without objects as `hit`.

    Source:
        This project; f is Vision-R1's (arXiv 2503.18013), Eq. 8.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 40, 40]], ["cat"], width=100, height=100, task="pointing")
        >>> texts = ['[{"point_2d": [%d, 20], "label": "cat"}]' % x for x in (20, 30, 40, 41)]
        >>> [score(text, target).parts["nearness"] for text in texts]
        [1.0, 0.75, 0.5, 0.0]
    """
    if not len(target.boxes):
        return is_explicitly_empty(answer)
    return math.fsum(refine(match.iou, stage).tolist()) / max(predicted(answer), len(target.boxes))


def hit_f1(
    answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 0.5, empty: float = 0.5
) -> float:
    """F1 of the points in credit, 2S / (N + M): the robust reward of points.

    S is the total credit of the hits, from 1/2 on the border to 1 at the nearness `xi2`. A further hit of credit c
    raises F1 if c > S / (N + M), which is at most 1/2, so leaving out a hit never helps, and neither does a point that
    hits nothing.

    Args:
        answer: As in `hit`.
        target: As in `hit`.
        match: As in `hit`.
        stage: The current thresholds; only `xi2` is used.
        save: As in `hit`.
        empty: Value of a well-formed empty prediction for a negative sample, in [0, 1].

    Returns:
        A number in [0, 1].

    Source:
        This project.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 40, 40], [50, 50, 90, 90]], ["cat", "cat"], 100, 100, task="pointing")
        >>> round(score('[{"point_2d": [20, 20], "label": "cat"}]', target, "robust").parts["f1"], 3)
        0.667
    """
    if not len(target.boxes):
        return empty * is_explicitly_empty(answer) * answer.well_formed
    found = math.fsum(hit_credit(match.iou, stage).tolist())
    return form_factor(answer, save) * 2 * found / (predicted(answer) + len(target.boxes))


def hit_credit(near: NDArray[np.float64], stage: Stage) -> NDArray[np.float64]:
    """Credit of hits: 1/2 on the border, 1 at the nearness `xi2`, linear in between.

    Args:
        near: Nearness in [1/2, 1], of any shape.
        stage: The current thresholds.

    Example:
        >>> hit_credit(np.array([0.5, 0.625, 0.75, 1.0]), Stage(0.5, 0.5, 0.75)).tolist()
        [0.5, 0.75, 1.0, 1.0]
    """
    reach = max(stage.xi2 - BORDER, SLACK)
    credit: NDArray[np.float64] = BORDER + (1 - BORDER) * np.minimum((near - BORDER) / reach, 1.0)
    return credit


for _criterion in (hit, hit_precision, hit_f1):
    _criterion.check_options = check_fraction  # type: ignore[attr-defined]
