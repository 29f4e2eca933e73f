"""`acc`: whether a completion is entirely correct, 0 or 1, whatever the preset's criteria and the current stage.

`CORRECT` has the definition of each task. It uses the matches that the preset made, so it costs no second matching.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.criteria import CRITERIA
from verl_vision_r1.rewards.matching import NO_PAIRS, Match, match_any_label, match_same_label
from verl_vision_r1.rewards.refinement import OFF, SLACK
from verl_vision_r1.targets import Target

FOUND: Final = 0.5 - SLACK
"""IoU from which an object counts as found."""

Correct = Callable[[Answer, Target, Match], bool]
"""(parsed completion, target, matches of the preset) -> whether the completion is entirely correct."""


def boxes_with_labels(answer: Answer, target: Target, match: Match) -> bool:
    """All objects are found at IoU 0.5 with their labels, and nothing else is predicted.

    Labels count as equal where the preset's matcher says so; forms without labels are compared by boxes alone.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> text = '[{"bbox_2d": [0, 0, 50, 30], "label": "%s"}]'
        >>> score(text % "cat", target).acc, score(text % "dog", target).acc
        (1.0, 0.0)
    """
    match = _matched(answer, target, match)
    return _all_found(answer, target, match) and False not in match.label_equal.tolist()


def boxes_alone(answer: Answer, target: Target, match: Match) -> bool:
    """All objects are found at IoU 0.5, and nothing else is predicted: one thing was asked, its label is known."""
    return _all_found(answer, target, _matched(answer, target, match))


def class_name(answer: Answer, target: Target, match: Match) -> bool:
    """The class is correct, as the criterion `accuracy` compares names."""
    return CRITERIA["accuracy"](answer, target, match, OFF) == 1.0


def number(answer: Answer, target: Target, match: Match) -> bool:
    """The number of objects is correct."""
    return CRITERIA["count"](answer, target, match, OFF) == 1.0


CORRECT: Final[dict[str, Correct]] = {
    "detection": boxes_with_labels,
    "grounding": boxes_alone,
    "classification": class_name,
    "counting": number,
    "pointing": boxes_alone,  # Its matcher matches hits alone, and compares labels where several are asked for.
}
"""The definition of `acc` by task."""


def _matched(answer: Answer, target: Target, match: Match) -> Match:
    """The matches of the preset, or others if its matcher makes none (`matcher: none`)."""
    if match is not NO_PAIRS or not len(target.boxes) or len(answer.boxes) != len(target.boxes):
        return match
    if not np.isfinite(answer.boxes).all():
        return match
    return (match_same_label if answer.labels else match_any_label)(answer, target, OFF)


def _all_found(answer: Answer, target: Target, match: Match) -> bool:
    objects = len(target.boxes)
    if len(answer.boxes) != objects or len(match.iou) != objects or answer.malformed or not answer.parsed:
        return False
    # Lists, as numpy's overhead is most of the time for a few boxes. The parsers of some releases let NaN through.
    overlaps = match.iou.tolist()
    return not objects or (min(overlaps) >= FOUND and not math.isnan(sum(overlaps)))
