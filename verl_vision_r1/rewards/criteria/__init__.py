"""Reward components ("criteria"): pure functions (answer, target, match, stage) -> a number.

`CRITERIA` has the built-in criteria by their name in a configuration.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Final

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target

Criterion = Callable[[Answer, Target, Match, Stage], float]

BUILT_IN: Final = {
    "format": "format:well_formed",
    "recall": "detection:recall",
    "precision": "detection:precision",
    "iou": "overlap:iou",
    "giou": "overlap:giou",
    "confidence": "overlap:confidence",
    "grounding_iou": "overlap:grounding_iou",
    "accuracy": "text:accuracy",
    "count": "counting:count",
    "surplus": "counting:surplus",
    "duplicates": "counting:duplicates",
    "average_precision": "sample_ap:average_precision",
    "robust_recall": "robust:robust_recall",
    "robust_precision": "robust:robust_precision",
    "f1": "robust:f1",
    "hit": "pointing:hit",
    "hit_precision": "pointing:hit_precision",
    "nearness": "pointing:nearness",
    "hit_f1": "pointing:hit_f1",
}
"""By name: the module in this folder, and the function."""


def _function(place: str) -> Criterion:
    module, name = place.split(":")
    function: Criterion = getattr(import_module(f"{__name__}.{module}"), name)
    return function


CRITERIA: Final[dict[str, Criterion]] = {name: _function(place) for name, place in BUILT_IN.items()}
