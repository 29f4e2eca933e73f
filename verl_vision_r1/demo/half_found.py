"""A criterion of the ablations: a threshold on recall, by which groups are filtered."""

import numpy as np

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import SLACK, Stage
from verl_vision_r1.targets import Target


def half_found(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """1 if at least half of the objects are found at IoU 0.5, else 0. A negative sample asks for an empty prediction.

    Example:
        >>> from verl_vision_r1.rewards.matching import NO_PAIRS
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> half_found(Answer(), target, NO_PAIRS, OFF), half_found(Answer(), Target([], [], 9, 9), NO_PAIRS, OFF)
        (0.0, 1.0)
    """
    if not len(target.boxes):
        return float(not len(answer.boxes))
    return float(2 * np.count_nonzero(match.iou >= 0.5 - SLACK) >= len(target.boxes))
