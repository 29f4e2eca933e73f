"""Reward components ("criteria"): pure functions (answer, target, match, stage) -> a number.

`CRITERIA` lists the built-in criteria by their name in a configuration.
"""

from collections.abc import Callable
from typing import Final

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.criteria.counting import count, duplicates, surplus
from verl_vision_r1.rewards.criteria.detection import precision, recall
from verl_vision_r1.rewards.criteria.format import well_formed
from verl_vision_r1.rewards.criteria.overlap import confidence, giou, grounding_iou, iou
from verl_vision_r1.rewards.criteria.robust import f1, robust_precision, robust_recall
from verl_vision_r1.rewards.criteria.sample_ap import average_precision
from verl_vision_r1.rewards.criteria.text import accuracy
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target

Criterion = Callable[[Answer, Target, Match, Stage], float]

CRITERIA: Final[dict[str, Criterion]] = {
    "format": well_formed,
    "recall": recall,
    "precision": precision,
    "iou": iou,
    "giou": giou,
    "confidence": confidence,
    "grounding_iou": grounding_iou,
    "accuracy": accuracy,
    "count": count,
    "surplus": surplus,
    "duplicates": duplicates,
    "average_precision": average_precision,
    "robust_recall": robust_recall,
    "robust_precision": robust_precision,
    "f1": f1,
}
