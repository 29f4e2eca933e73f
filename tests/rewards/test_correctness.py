"""`acc`: entirely correct or not, for each task and each kind of matcher."""

import json
from typing import Any

import numpy as np
import pytest

from verl_vision_r1 import Target, load_curriculum, load_preset, score
from verl_vision_r1.rewards.correctness import CORRECT, FOUND
from verl_vision_r1.targets import TASKS

CATS = Target([[0, 0, 50, 50], [60, 60, 90, 90]], ["cat", "dog"], width=100, height=100)
RIGHT: list[dict[str, Any]] = [
    {"bbox_2d": [0, 0, 50, 40], "label": "cat"},
    {"bbox_2d": [60, 60, 90, 80], "label": "dog"},
]
"""Of IoU 0.8 and 2/3."""


def acc(items: Any, target: Target = CATS, preset: str = "robust", **options: Any) -> float:
    return score(items if isinstance(items, str) else json.dumps(items), target, preset, **options).acc


def test_every_task_has_a_definition() -> None:
    assert set(CORRECT) == set(TASKS)


@pytest.mark.parametrize("preset", ["robust", "vision_r1", "vision_r1_release_2025"])
@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (RIGHT, 1.0),
        (RIGHT[::-1], 1.0),
        (RIGHT[:1], 0.0),  # One is missing.
        ([*RIGHT, RIGHT[0]], 0.0),  # One is predicted twice.
        ([RIGHT[0], RIGHT[1] | {"label": "cat"}], 0.0),
        ([RIGHT[0], RIGHT[1] | {"bbox_2d": [60, 60, 90, 74]}], 0.0),  # Of IoU 0.47.
        ([], 0.0),
    ],
)
def test_boxes(preset: str, items: list[dict[str, Any]], expected: float) -> None:
    fenced = f"```json\n{json.dumps(items)}\n```"
    assert acc(fenced, preset=preset) == expected


def test_an_iou_of_exactly_one_half_counts() -> None:
    target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
    assert FOUND <= 0.5
    assert acc([{"bbox_2d": [0, 0, 50, 25], "label": "cat"}], target) == 1


def test_acc_does_not_depend_on_the_stage_or_on_the_form() -> None:
    for stage in load_curriculum("halfway").stages:
        assert acc(RIGHT, stage=stage) == 1
    prose = "Here they are: " + json.dumps(RIGHT)
    assert score(prose, CATS, "vision_r1").parts["format"] == 0
    assert acc(prose, preset="vision_r1") == 1


def test_an_item_that_is_no_box_is_something_else() -> None:
    assert acc([*RIGHT, {"bbox_2d": [1, 2], "label": "cat"}]) == 0


def test_negative_samples() -> None:
    nothing = Target([], [], width=100, height=100)
    assert [acc(text, nothing) for text in ("[]", json.dumps(RIGHT), "None is there.")] == [1, 0, 0]


@pytest.mark.parametrize("preset", ["robust", "vision_r1"])
def test_grounding_ignores_labels(preset: str) -> None:
    target = Target([[0, 0, 50, 50]], ["the grey cat"], width=100, height=100, task="grounding")
    boxes = ([0, 0, 50, 40], [0, 0, 50, 20])
    assert [acc([{"bbox_2d": box, "label": "cat"}], target, preset) for box in boxes] == [1, 0]


def test_a_preset_that_matches_nothing_is_matched_for_acc() -> None:
    rules = load_preset("vlm_r1_od_ap")
    fenced = "<think> </think> <answer>```json" + json.dumps(RIGHT) + "```</answer>"
    assert score(fenced, CATS, rules, frame=(100, 100)).acc == 1
    assert score(fenced.replace("dog", "cat"), CATS, rules, frame=(100, 100)).acc == 0


def test_boxes_without_labels() -> None:
    target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
    text = "<think></think><answer>[{'Position': [0, 0, 500, %d], 'Confidence': 0.9}]</answer>"
    assert [acc(text % bottom, target, "visual_rft") for bottom in (400, 200)] == [1, 0]


@pytest.mark.parametrize(
    ("task", "texts"),
    [
        ("classification", {"garden phlox": 1, "Garden_Phlox": 1, "phlox": 0, "": 0}),
        ("counting", {"3": 1, "4": 0, "3 or 4": 0, "": 0}),
    ],
)
def test_texts(task: str, texts: dict[str, float]) -> None:
    labels, count = (["garden phlox"], None) if task == "classification" else ([], 3)
    target = Target([], labels, width=100, height=100, task=task, count=count)
    for text, expected in texts.items():
        assert acc(f"<think></think><answer>{text}</answer>", target) == expected


def test_points() -> None:
    target = Target(CATS.boxes, CATS.labels, width=100, height=100, task="pointing")
    hits = [{"point_2d": [25, 25], "label": "cat"}, {"point_2d": [70, 70], "label": "dog"}]
    assert [acc(items, target) for items in (hits, hits[:1], [*hits, hits[0]], [hits[0], hits[0]])] == [1, 0, 0, 0]


def test_overlaps_that_are_no_numbers_are_not_correct() -> None:
    from verl_vision_r1.rewards.answers import Answer
    from verl_vision_r1.rewards.matching import Match

    nan = np.array([0.9, np.nan])
    match = Match(np.arange(2), np.arange(2), nan, nan, np.ones(2, np.bool_))
    answer = Answer(CATS.boxes, ("cat", "dog"), parsed=True, frame=(100, 100))
    assert not CORRECT["detection"](answer, CATS, match)
