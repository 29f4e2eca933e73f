"""Score one completion against its ground truth."""

from verl_vision_r1 import Target, score

target = Target([[100, 100, 300, 300], [400, 50, 600, 250]], ["cat", "dog"], width=640, height=480)
answer = """```json
[
	{"bbox_2d": [104, 98, 305, 296], "label": "cat"},
	{"bbox_2d": [430, 70, 600, 250], "label": "dog"}
]
```"""
scores = score(answer, target, preset="vision_r1")
print(scores)
