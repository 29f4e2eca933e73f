"""The parsers of published evaluations."""

import json

import numpy as np
import pytest
from budget import budget
from hypothesis import given
from hypothesis import strategies as st
from least_time import least_seconds

from verl_vision_r1.evaluation.predictions.published_parsers import (
    read_any,
    read_first_corners,
    read_qwen3_vl,
    read_vision_r1,
    read_visual_rft,
)
from verl_vision_r1.rewards.answers import Answer, Parser

FRAME = (1000.0, 1000.0)
CAT, DOG = '{"bbox_2d": [1, 2, 30, 40], "label": "cat"}', '{"bbox_2d": [5, 6, 70, 80], "label": "dog"}'
ALL = (read_vision_r1, read_qwen3_vl, read_visual_rft, read_first_corners, read_any)


def labels(answer: Answer) -> list[str | None]:
    return list(answer.labels)


@pytest.mark.parametrize(
    ("text", "vision_r1", "qwen3_vl", "any_format"),
    [
        (f"```json\n[{CAT}, {DOG}]\n```", ["cat", "dog"], ["cat", "dog"], ["cat", "dog"]),
        (f"[{CAT}]", ["cat"], ["cat"], ["cat"]),
        # Prose before the fence: the script of 2025 searches for the fence, that of 2026 fails.
        (f"Here:\n```json\n[{CAT}]\n```", ["cat"], [], ["cat"]),
        # Truncated within an item: only the script of 2025 repairs the list.
        (f"```json\n[{CAT}, {DOG[:20]}", ["cat"], [], ["cat"]),
        # A malformed item: skipped by the script of 2025; by that of 2026 only if its length is wrong.
        (f'[{CAT}, {{"bbox_2d": [1, 2, 3], "label": "x"}}]', ["cat"], ["cat"], ["cat"]),
        (f'[{CAT}, {{"bbox_2d": [1, 2, 3, "4"], "label": "x"}}]', ["cat"], [], ["cat", "x"]),
        (f'[{CAT}, {{"bbox_2d": [1, 2, 3, 4]}}]', ["cat"], [], ["cat", None]),
        (f"[{CAT}, 7]", ["cat"], [], ["cat"]),
        # Python syntax that is not JSON, and JSON syntax that is not Python.
        ("[{'bbox_2d': (1, 2, 30, 40), 'label': 'cat'},]", ["cat"], ["cat"], []),
        (f'[{CAT}, {{"bbox_2d": null, "label": "x"}}]', [], [], ["cat"]),
        # Thinking before the list.
        (f"<think>hm</think>```json\n[{CAT}]\n```", [], ["cat"], ["cat"]),
        (f"<think>hm</think><answer>[{CAT}]</answer>", [], [], ["cat"]),
        ("I see nothing.", [], [], []),
        ("", [], [], []),
    ],
)
def test_parsers_differ_on_the_same_text(
    text: str, vision_r1: list[str], qwen3_vl: list[str], any_format: list[str | None]
) -> None:
    assert labels(read_vision_r1(text, FRAME)) == vision_r1
    assert labels(read_qwen3_vl(text, FRAME)) == qwen3_vl
    assert labels(read_any(text, FRAME)) == any_format


def test_truncated_lists_are_flagged() -> None:
    assert read_vision_r1(f"[{CAT}, {DOG[:20]}", FRAME).truncated
    assert not read_vision_r1(f"[{CAT}]", FRAME).truncated
    assert read_vision_r1("[]", FRAME).parsed
    for text in ("no", "[", "[I see no objects]", "```json"):
        assert not read_vision_r1(text, FRAME).parsed
    answer = "<think></think><answer>[{'Position': [1, 2, 30, 40], 'Confidence': 0.7}, {'Pos</answer>"
    assert read_visual_rft(answer, FRAME).truncated
    assert read_visual_rft("<answer>[]</answer>", FRAME).parsed
    assert not len(read_visual_rft(answer.removesuffix("</answer>"), FRAME).boxes)


def test_a_box_with_swapped_corners_is_a_prediction() -> None:
    assert len(read_vision_r1('[{"bbox_2d": [30, 40, 1, 2], "label": "cat"}]', FRAME).boxes) == 1


def test_confidences_are_parsed() -> None:
    text = "<think>a</think><answer>[{'Position': [1, 2, 30, 40], 'Confidence': 0.7}, ...]</answer>"
    answer = read_visual_rft(text, FRAME)
    assert (answer.boxes.tolist(), answer.confidences.tolist()) == ([[1, 2, 30, 40]], [0.7])  # type: ignore[union-attr]
    assert read_any(text.replace(", ...", ""), FRAME).confidences.tolist() == [0.7]  # type: ignore[union-attr]


def test_no_objects_is_an_empty_prediction() -> None:
    answer = read_visual_rft("<think>a</think><answer>No Objects</answer>", FRAME)
    assert (answer.parsed, len(answer.boxes)) == (True, 0)
    assert not read_visual_rft("<think>a</think><answer>Objects!</answer>", FRAME).parsed


def test_the_first_corners_are_the_prediction() -> None:
    text = "Perhaps (1, 2),(30, 40), or <answer>(5,6),(70,80)</answer>"
    assert read_first_corners(text, FRAME).boxes.tolist() == [[1, 2, 30, 40]]
    assert read_any(text, FRAME).boxes.tolist() == [[5, 6, 70, 80]]
    assert not read_first_corners("<answer>cat</answer>", FRAME).parsed


HOSTILE = [
    *("[" * 100_000, "-" * 100_000 + "1", "(" * 150 + ")" * 150, "9" * 100_000, f"[{CAT}," * 2_000),
    *('[{"bbox_2d": [1e999, 0, 1, 1], "label": "a"}]', "[1is 2]", "\x00", "\ud800", "{" * 500, "[" + "1," * 90_000),
    f'[{{"bbox_2d": [{"9" * 5000}, 0, 1, 1], "label": "a"}}]',
    "({},{}),({},{})".format(*["9" * 9000] * 4),
    "<answer>[{'Position': [1,2,3,4], 'Confidence': " + "9" * 9000 + "}]</answer>",
]


@pytest.mark.parametrize("read", ALL)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_completions_do_not_raise(read: Parser, text: str) -> None:
    assert np.isfinite(read(text, FRAME).boxes).all()
    assert least_seconds(lambda: read(text, FRAME), 2) < 2


TOKENS = st.sampled_from(
    [
        *("```json\n", "```", "<answer>", "</answer>", "</think>", CAT, DOG, "bbox_2d", "'Position'", "'Confidence'"),
        *("(1,2),(3,4)", "None", "true", "nan", "1e400", "\\", "\u2028", "\n", *"[]{}(),:1-'\""),
    ]
)


@budget(300)
@given(st.lists(TOKENS, max_size=20).map("".join))
def test_random_completions_do_not_raise(text: str) -> None:
    for read in ALL:
        answer = read(text, FRAME)
        assert answer.boxes.shape[1] == 4
        assert np.isfinite(answer.boxes).all()
        assert len(answer.labels) in (0, len(answer.boxes))


def test_all_parsers_read_a_long_list() -> None:
    items = [{"bbox_2d": [n, n, n + 9, n + 9], "label": "cat"} for n in range(300)]
    for read in (read_vision_r1, read_qwen3_vl, read_any):
        assert len(read(json.dumps(items), FRAME).boxes) == 300
