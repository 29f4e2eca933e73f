"""A criterion of your own: one function, and one line of configuration.

In a training the line is an override; the module must be importable on every node:

    +vision_r1.reward.tasks.detection.criteria.count='{weight: 0.5, function: "my_rewards:count", tolerance: 1}'
"""

from verl_vision_r1 import Target, score
from verl_vision_r1.answers import Answer
from verl_vision_r1.matching import Match
from verl_vision_r1.presets import preset_from_config
from verl_vision_r1.refinement import Stage


def count(answer: Answer, target: Target, match: Match, stage: Stage, *, tolerance: int = 0) -> float:
    """1 where as many boxes are predicted as there are, give or take `tolerance`, else 0."""
    return float(abs(len(answer.boxes) - len(target.boxes)) <= tolerance)


criteria = {
    "format": {"weight": 1.0},
    "recall": {"weight": 1.0},
    "precision": {"weight": 1.0},
    "count": {"weight": 0.5, "function": f"{__name__}:count", "tolerance": 1},
}
detection = {"answer": "json_boxes", "match": "assignment", "criteria": criteria}
preset = preset_from_config({"tasks": {"detection": detection}})

target = Target([[100, 100, 300, 300], [400, 50, 600, 250]], ["cat", "dog"], width=640, height=480)
answer = '[{"bbox_2d": [100, 100, 300, 300], "label": "cat"}]'
print(score(answer, target, preset))
