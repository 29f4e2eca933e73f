"""The strict parsers: everything in a text counts, and nothing passes for an answer that is none."""

import numpy as np
import pytest

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.answers.strict import parse_json_boxes_strictly, parse_tagged_text_strictly

FRAME = (640, 480)
CAT = '{"bbox_2d": [1, 2, 30, 40], "label": "cat"}'
DOG = '{"label": "dog", "bbox_2d": [1.5, 2, 1e2, "40"]}'


def parse(text: str) -> Answer:
    return parse_json_boxes_strictly(text, FRAME)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (f"I see {CAT} and {DOG}.", ("cat", "dog")),
        (f"[[{CAT}]]", ("cat",)),
        (f"[{CAT}, {DOG}", ("cat", "dog")),
        (f"[{CAT}] and [{DOG}]", ("cat", "dog")),
        (f'{{"objects": [{CAT}]}}', ("cat",)),
        (f'[{CAT}, {{"bbox_2d": [1, 2, 3', ("cat",)),
        ('{"bbox_2d": [1, 2, 3, 4]}', (None,)),
        ("{}" * 50 + "{bbox_2d}", ()),
    ],
)
def test_items_are_found_wherever_they_stand(text: str, labels: tuple[str | None, ...]) -> None:
    answer = parse(text)
    assert answer.labels == labels
    assert not answer.well_formed
    assert answer.parsed == bool(labels or text.startswith("["))


def test_a_well_formed_answer_is_read_like_any_other() -> None:
    answer = parse(f"```json\n[{CAT}]\n```")
    assert answer.well_formed
    np.testing.assert_array_equal(answer.boxes, [[1, 2, 30, 40]])


@pytest.mark.parametrize(
    ("text", "malformed"),
    [("[1, 2, 3]", 3), (f'[{CAT}, {{"bbox_2d": [30, 2, 1, 40], "label": "cat"}}]', 1), ("[]", 0), (f"[{CAT}]", 0)],
)
def test_items_that_are_no_box_are_counted(text: str, malformed: int) -> None:
    assert parse(text).malformed == malformed


@pytest.mark.parametrize(
    ("text", "well_formed"),
    [
        ("<think>a</think> <answer>3</answer>", True),
        ("<think>a</think> <answer>3</answer><answer>4</answer>", False),
        ("<think>a <answer>4</answer></think> <answer>3</answer>", False),
        ("<think>a</think></think> <answer>3</answer>", False),
        ("So: <think>a</think> <answer>3</answer>", False),
    ],
)
def test_every_tag_stands_once(text: str, well_formed: bool) -> None:
    assert parse_tagged_text_strictly(text, FRAME).well_formed is well_formed
