"""Explain the reward of a completion: the match of each box, and its effect on the total."""

from verl_vision_r1 import Target, load_curriculum, load_preset
from verl_vision_r1.rewards.explanation import explain

target = Target([[100, 100, 300, 300], [400, 50, 600, 250]], ["cat", "dog"], width=640, height=480)
answer = """[
	{"bbox_2d": [104, 98, 305, 296], "label": "cat"},
	{"bbox_2d": [430, 70, 600, 250], "label": "cat"},
	{"bbox_2d": [110, 110, 300, 300], "label": "cat"}
]"""
stage = load_curriculum("halfway").stages[0]
for name in ("vision_r1", "robust"):
    found = explain(answer, target, load_preset(name).rules_of(target), frame=(640, 480), stage=stage)
    print(f"{name}: {found.scores.total:.3f}")
    for verdict in found.verdicts:
        print(f"  {verdict.number} {verdict.worth:+.3f} {verdict.reason}")
