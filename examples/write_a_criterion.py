"""A custom criterion: one function and one line of configuration.

In a training run the line is an override; the module must be importable on every node:

    +vision_r1.reward.tasks.detection.criteria.shape='{weight: 0.5, function: "my_rewards:shape", tolerance: 0.1}'
"""

import numpy as np

from verl_vision_r1 import Target, score
from verl_vision_r1.boxes import Boxes
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match, boxes_in_pixels
from verl_vision_r1.rewards.presets import preset_from_config, read_preset
from verl_vision_r1.rewards.refinement import Stage


def shape(answer: Answer, target: Target, match: Match, stage: Stage, *, tolerance: float = 0.2) -> float:
    """Fraction of matched boxes whose aspect ratio is within `tolerance` of the ground truth's."""
    if not len(match.iou):
        return 0.0
    predicted, true = boxes_in_pixels(answer, target)[match.predicted], target.boxes[match.target]
    return float(np.mean(np.abs(aspect(predicted) / aspect(true) - 1) <= tolerance))


def aspect(boxes: Boxes) -> Boxes:
    """Width divided by height of each box."""
    return (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])


config = read_preset("vision_r1")
config["tasks"]["detection"]["criteria"]["shape"] = {
    "weight": 0.5,
    "function": f"{__name__}:shape",
    "tolerance": 0.1,
}
preset = preset_from_config(config)

target = Target([[100, 100, 300, 300], [400, 50, 600, 250]], ["cat", "dog"], width=640, height=480)
answer = '[{"bbox_2d": [100, 100, 300, 300], "label": "cat"}, {"bbox_2d": [400, 50, 600, 150], "label": "dog"}]'
print(score(answer, target, preset))
