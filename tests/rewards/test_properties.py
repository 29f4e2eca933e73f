"""Properties of every built-in preset, for any completion."""

import json
import math
from importlib import resources

import pytest
from budget import budget
from hypothesis import given
from hypothesis import strategies as st

from verl_vision_r1 import Target, load_curriculum, load_preset, score
from verl_vision_r1.rewards.attacks import PRESETS
from verl_vision_r1.rewards.forms import form_of
from verl_vision_r1.rewards.refinement import OFF, Stage

STAGES = [OFF, *load_curriculum("halfway").stages]
TARGETS = {
    "detection": Target([[10, 20, 60, 70], [50, 10, 90, 40]], ["cat", "dog"], 100, 80, ("cat", "dog")),
    "grounding": Target([[10, 20, 60, 70]], ["the sleeping one"], 100, 80, task="grounding"),
    "classification": Target([], ["garden phlox"], 100, 80, task="classification"),
    "counting": Target([], [], 100, 80, task="counting", count=3),
    "pointing": Target([[10, 20, 60, 70], [50, 10, 90, 40]], ["cat", "dog"], 100, 80, ("cat", "dog"), "pointing"),
}
CASES = [(name, task) for name in PRESETS for task in load_preset(name).tasks]
UNBOUNDED = ("visual_rft_release", "grounding")
"""GIoU plus 1 of boxes with unordered corners: the release's reward has no bounds."""

FRAGMENTS = st.sampled_from(
    [
        *"[]{}(),:\"' \n\u2028\\",
        *(
            "\r\n",
            "```",
            "```json\n",
            "\n```",
            "<think>",
            "</think>",
            "<answer>",
            "</answer>",
            "No Objects",
            "cat",
            "٣",
        ),
        *("None", "null", "true", "NaN", "Infinity", "0", "-1", "1e400", "9" * 400),
        *('"bbox_2d": [1, 2, 30, 40]', '"label": "cat"', "'Position': [1, 2, 30, 40]", "'Confidence': 0.5"),
        *('{"bbox_2d": [10, 20, 60, 70], "label": "cat"}', "(10,20),(60,70)"),
        *('{"point_2d": [30, 40], "label": "cat"}', '<point x="30" y="40" alt="cat">', "</point>", "(30, 40)"),
    ]
)
TEXTS = st.one_of(
    st.text(),
    st.lists(FRAGMENTS, max_size=30).map("".join),
    st.lists(FRAGMENTS, max_size=20).map(lambda parts: "<think></think><answer>" + "".join(parts) + "</answer>"),
)


def test_all_built_in_presets_are_tested() -> None:
    folder = resources.files("verl_vision_r1").joinpath("config", "vision_r1", "reward")
    assert {entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")} == set(PRESETS)


@pytest.mark.parametrize(("preset", "task"), CASES)
@given(text=TEXTS, stage=st.sampled_from(STAGES))
@budget(60)
def test_any_text_scores_within_range_and_deterministically(preset: str, task: str, text: str, stage: Stage) -> None:
    rules = load_preset(preset)
    scores = score(text, TARGETS[task], rules, stage=stage)
    values = [*scores.parts.values(), *scores.raw.values()]
    assert all(math.isfinite(value) for value in values)
    assert (preset, task) == UNBOUNDED or all(0 <= value <= 1 + 1e-9 for value in values)
    assert not scores.flags["criterion_failed"]
    assert score(text, TARGETS[task], rules, stage=stage) == scores


def perfect(preset: str, task: str) -> str:
    target = TARGETS[task]
    if task in ("classification", "counting"):
        return f"<think></think><answer>{target.labels[0] if target.labels else target.count}</answer>"
    if task == "grounding" and preset.startswith("visual_rft"):
        return "<think></think><answer>(100,250),(600,875)</answer>"
    rules = load_preset(preset).tasks[task]
    scale = (10, 12.5, 10, 12.5) if rules.frame == "relative_1000" else (1, 1, 1, 1)
    boxes = [[side * factor for side, factor in zip(box, scale, strict=True)] for box in target.boxes.tolist()]
    return form_of(rules.parser).answer(list(zip(map(tuple, boxes), target.labels, strict=True)))  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("preset", "task"), CASES)
def test_a_perfect_prediction_scores_the_maximum(preset: str, task: str, stage: Stage) -> None:
    rules = load_preset(preset).tasks[task]
    scores = score(perfect(preset, task), TARGETS[task], preset, stage=stage)
    weights = sum(item.weight for item in rules.criteria)
    best = 3.0 if (preset, task) == UNBOUNDED else 1.0 if rules.total == "mean" else weights
    assert scores.total == pytest.approx(best)


@pytest.mark.parametrize(("preset", "task"), CASES)
def test_a_perfect_prediction_scores_the_maximum_in_the_frame_of_the_model(preset: str, task: str) -> None:
    rules = load_preset(preset).tasks[task]
    if rules.frame is not None or task in ("classification", "counting"):
        return  # The preset sets the frame, or there is none.
    target = TARGETS[task]
    items = [
        (tuple(2 * side for side in box), label)
        for box, label in zip(target.boxes.tolist(), target.labels, strict=True)
    ]
    scores = score(form_of(rules.parser).answer(items), target, preset, frame=(200, 160))  # type: ignore[arg-type]
    assert scores.total == pytest.approx(1.0 if rules.total == "mean" else sum(item.weight for item in rules.criteria))


def test_labels_may_contain_anything() -> None:
    name = 'a "quoted" \\ name, {with} [brackets] ```fences``` and 漢字'
    target = Target([[1, 2, 30, 40]], [name], 100, 80)
    text = json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": name}])
    assert score(text, target, "robust").total == pytest.approx(1.0)
