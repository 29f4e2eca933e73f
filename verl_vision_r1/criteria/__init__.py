"""One small pure function for each criterion: (answer, target, match, stage) -> a number.

`CRITERIA` names those that a configuration can use without giving a function of its own.
"""

from collections.abc import Callable
from typing import Final

from verl_vision_r1.answers import Answer
from verl_vision_r1.criteria.detection import precision, recall
from verl_vision_r1.criteria.format import well_formed
from verl_vision_r1.matching import Match
from verl_vision_r1.refinement import Stage
from verl_vision_r1.targets import Target

Criterion = Callable[[Answer, Target, Match, Stage], float]

CRITERIA: Final[dict[str, Criterion]] = {
    "format": well_formed,
    "recall": recall,
    "precision": precision,
}
