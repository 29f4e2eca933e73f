"""The reward of one completion under each curriculum, at four steps of a training run of ten."""

from verl_vision_r1 import Target, load_curriculum, score

target = Target([[100, 100, 300, 300]], ["cat"], width=640, height=480)
answer = '[{"bbox_2d": [100, 100, 300, 260], "label": "cat"}]'  # IoU 0.8

for name in ("none", "beginner_only", "halfway", "linear"):
    curriculum = load_curriculum(name)
    totals = [score(answer, target, stage=curriculum.stage(step, total_steps=10)).total for step in (1, 5, 6, 10)]
    print(f"{name:13}", *(f"{total:.2f}" for total in totals))
