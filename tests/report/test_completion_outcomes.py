"""The outcome of each box or point, and refusals."""

from typing import Any

import numpy as np
import pytest

from verl_vision_r1.evaluation.measures.outcomes import OUTCOMES
from verl_vision_r1.report.completion_outcomes import CompletionOutcomes, completion_outcomes
from verl_vision_r1.rewards.answers import Answer, parse_json_boxes
from verl_vision_r1.rewards.answers.points import parse_points
from verl_vision_r1.targets import Target

BOXES = [[0, 0, 100, 100], [200, 100, 300, 200]]
FRAME = (400.0, 300.0)


def target(task: str = "detection", boxes: Any = BOXES, **more: Any) -> Target:
    return Target(boxes, ["cat", "dog"][: len(boxes)], width=400, height=300, task=task, **more)


def outcomes_of(text: str, of: Target) -> CompletionOutcomes:
    answer: Answer = (parse_points if of.task == "pointing" else parse_json_boxes)(text, FRAME)
    return completion_outcomes(answer, answer.boxes, of)


def text_of(*items: tuple[Any, str | None], key: str = "bbox_2d") -> str:
    entries = [{key: list(place), **({} if label is None else {"label": label})} for place, label in items]
    return "```json\n" + repr(entries).replace("'", '"') + "\n```"


def names(found: CompletionOutcomes) -> list[str]:
    return [OUTCOMES[code] for code in found.codes]


def test_every_outcome_of_boxes() -> None:
    found = outcomes_of(
        text_of(
            *(((0, 0, 100, 90), "Cat"), ((0, 0, 100, 80), "cat"), ((200, 100, 300, 190), "cat")),
            *(((60, 60, 150, 150), "cat"), ((300, 250, 390, 290), "cat")),
        ),
        target(),
    )
    assert names(found) == ["found", "duplicate", "wrong label", "false", "false"]
    assert found.missed == [1]
    assert [near and near[0] for near in found.nearest] == [0, 0, 1, 0, None]
    assert found.nearest[0] == (0, 0.9)


@pytest.mark.parametrize(
    ("task", "labels", "expected"),
    [
        ("detection", ("dog", "cat"), ["wrong label", "wrong label"]),
        ("grounding", ("dog", "cat"), ["found", "found"]),
        ("detection", (None, None), ["found", "found"]),
    ],
)
def test_labels_count_only_where_they_are_asked_for(task: str, labels: Any, expected: list[str]) -> None:
    boxes = np.array(BOXES, dtype=np.float64)
    found = completion_outcomes(Answer(boxes, labels, frame=FRAME), boxes, target(task))
    assert names(found) == expected
    assert found.missed == ([] if expected[0] == "found" else [0, 1])


def test_a_point_is_found_inside_its_object() -> None:
    places = (((50, 50), "cat"), ((60, 40), "cat"), ((250, 150), "cat"), ((390, 10), "dog"))
    found = outcomes_of(text_of(*places, key="point_2d"), target("pointing"))
    assert names(found) == ["found", "duplicate", "wrong label", "false"]
    assert found.missed == [1]
    assert found.nearest == [(0, 1.0), (0, 1.0), (1, 1.0), None]


@pytest.mark.parametrize(
    ("text", "boxes", "refusal"),
    [
        ("[]", [], "rightly refused"),
        ("[]", BOXES, "wrongly refused"),
        (text_of(((0, 0, 10, 10), "cat")), [], "answered a negative"),
        ("There is no cat.", [], ""),
        (text_of(((0, 0, 10, 10), "cat")), BOXES, ""),
    ],
)
def test_refusals(text: str, boxes: Any, refusal: str) -> None:
    found = outcomes_of(text, target(boxes=boxes))
    assert found.refusal == refusal
    assert found.missed == ([0, 1] if boxes else [])


def test_a_task_without_boxes_has_no_outcomes() -> None:
    of = Target([], [], width=400, height=300, task="counting", count=0)
    answers = {
        text: completion_outcomes(Answer(content=text, parsed=True), np.zeros((0, 4)), of).refusal
        for text in ("0", "3", "")
    }
    assert answers == {"0": "rightly refused", "3": "answered a negative", "": ""}
    counted = Target(BOXES, ["cat", "cat"], width=400, height=300, task="counting", count=2)
    assert completion_outcomes(Answer(content="2"), np.zeros((0, 4)), counted) == CompletionOutcomes([], [], [], "")
