"""Boxes are read wherever they stand; only the demanded form is well-formed."""

import json
from typing import Any

import numpy as np
import pytest
from least_time import least_seconds

from verl_vision_r1 import Target, load_preset, score
from verl_vision_r1.rewards.answers import Answer, json_search, parse_json_boxes
from verl_vision_r1.rewards.answers.json_search import BUDGET, PER_VALUE, decode_value, search
from verl_vision_r1.rewards.answers.robust_boxes import parse_robust_boxes

FRAME = (640, 480)
CAT = '{"bbox_2d": [1, 2, 30, 40], "label": "cat"}'
DOG = '{"label": "dog", "bbox_2d": [1.5, 2, 1e2, "40"]}'


def parse(text: str) -> Answer:
    return parse_json_boxes(text, FRAME)


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


BOXES = [[100, 100, 300, 300], [400, 50, 600, 250]]
TARGET = Target(BOXES, ["cat", "dog"], 640, 480, ("cat", "dog"))
ITEMS = [{"bbox_2d": box, "label": label} for box, label in zip(BOXES, TARGET.labels, strict=True)]
J = json.dumps(ITEMS)
FENCED = f"```json\n{J}\n```"
LINES = "\n".join(map(json.dumps, ITEMS))


@pytest.mark.parametrize(
    "text",
    [
        f"Here are the objects that I see.\n{FENCED}",
        f"<think>a draft: {json.dumps([{'bbox_2d': [1, 1, 9, 9], 'label': 'cat'}])}</think>\n{FENCED}",
        f"```JSON\n{J}\n```",
        f"```\n{J}\n```",
        f"```json\n{J}",
        J.replace("}]", "},]"),
        str(ITEMS),
        J.replace("}, {", "}, // the first\n{"),
        J.replace("}, {", "} {"),
        LINES,
        f"<answer>{J}</answer>",
        f'{{"objects": {J}}}',
        J.replace("bbox_2d", "bbox"),
        J.replace("bbox_2d", "box_2d"),
        f"{FENCED}\nI hope that this helps [1].",
        f"<answer>They are here: <|begin_of_box|>{J}<|end_of_box|></answer>",
    ],
)
def test_a_list_is_read_whatever_surrounds_it(text: str) -> None:
    parts = score(text, TARGET, "vision_r1").parts
    assert parts == {"format": 0.0, "recall": 1.0, "precision": 1.0}
    assert score(text, TARGET, "robust").total >= 0.45


@pytest.mark.parametrize(
    "text",
    [
        f"<think>A draft: {J}</think>\n{FENCED}",
        f"A cat and a dog.</think>{J}",
        f"<think>a</think><answer>{FENCED}</answer>",
        f"<answer>They are here: <|begin_of_box|>{J}<|end_of_box|></answer>",
        f"{FENCED}<|im_end|>",
    ],
)
def test_thinking_and_the_tags_of_a_family_belong_to_the_form_of_robust(text: str) -> None:
    assert score(text, TARGET, "robust").total == 1.0


@pytest.mark.parametrize(
    "text",
    [
        f"<think>a</think>b</think>{J}",
        f"a <think>b</think>{J}",
        f"<answer>{J}</answer> and more",
        f"<answer>[1] <|begin_of_box|>{J}<|end_of_box|></answer>",
    ],
)
def test_tags_that_are_not_as_they_should_be_are_no_form(text: str) -> None:
    assert score(text, TARGET, "robust").parts["format"] == 0.0


def test_an_end_token_as_text_is_no_content() -> None:
    assert score(f"{J}<|im_end|>\n<|endoftext|>", TARGET, "vision_r1").total == 3.0


ONE = Target([[100, 100, 300, 300]], ["the left cat"], 640, 480, task="grounding")
ALONE = '{"bbox_2d": [100, 100, 300, 300], "label": "the left cat"}'


@pytest.mark.parametrize(("text", "form"), [(ALONE, 1.0), (f"```json\n{ALONE}\n```", 1.0), (f"It is {ALONE}", 0.0)])
def test_one_object_alone_is_a_list_of_one_in_grounding(text: str, form: float) -> None:
    assert score(text, ONE, "vision_r1").parts == {"format": form, "recall": 1.0, "precision": 1.0}
    detection = Target(ONE.boxes, ONE.labels, 640, 480)
    assert score(text, detection, "vision_r1").parts == {"format": 0.0, "recall": 1.0, "precision": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        "[100, 100, 300, 300]",
        "[[100, 100, 300, 300]]",
        "(100,100),(300,300)",
        "It is at (100.0, 100.0), (300.0, 300.0).",
        "<answer>It is <|begin_of_box|>[[100,100,300,300]]<|end_of_box|></answer>",
    ],
)
def test_a_bare_box_is_read_in_grounding_alone(text: str) -> None:
    assert score(text, ONE, "vision_r1").parts == {"format": 0.0, "recall": 1.0, "precision": 1.0}
    detection = Target(ONE.boxes, ONE.labels, 640, 480)
    assert score(text, detection, "vision_r1").parts["recall"] == 0.0


def test_the_own_form_of_glm_is_well_formed_in_robust() -> None:
    rules = load_preset("robust").tasks["grounding"]
    marked = "<think>a</think><answer>It is <|begin_of_box|>[[100,100,300,300]]<|end_of_box|></answer>"
    assert rules.parser(marked, FRAME).well_formed
    assert not rules.parser("[[100,100,300,300]]", FRAME).well_formed
    assert not rules.parser(marked.replace("300,300", "3000,3000"), FRAME).well_formed  # Outside the frame.


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "{" * 200_000,
        '{"a":' * 40_000,
        "[{" * 100_000,
        '[{"bbox_2d": [' * 14_000,
        "'" * 200_000,
        '"' * 200_001,
        "/*" * 100_000,
        "(1, 2), (" * 20_000,
        '[1, 2, {"a": ' * 15_000,
        " " * 64_000 + "." + " " * 64_000 + ".",
        "</s>" + " " * 64_000 + ".",
        "[," + " " * 64_000 + ".",
        "(" + " " * 64_000 + ".",
    ],
)
def test_hostile_texts_take_no_time(text: str) -> None:
    def read() -> None:
        for grounding in (False, True):
            parse_json_boxes(text, FRAME, grounding=grounding)
            parse_robust_boxes(text, FRAME, grounding=grounding)

    assert least_seconds(read, 0.8) < 0.8


def decoded(text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of places at which a search tries to decode."""
    places: list[int] = []

    def counted(text: str, start: int = 0) -> tuple[Any, int]:
        places.append(start)
        return decode_value(text, start)

    monkeypatch.setattr(json_search, "decode_value", counted)
    search(text)
    return len(places)


@pytest.mark.parametrize("piece", ["{},", "[],", '{"":0},', "[{}],"])
def test_small_values_of_a_list_without_its_end_are_decoded_within_the_budget(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert decoded(f"[{piece * 60_000}{{'a': 1}}", monkeypatch) <= 2 * BUDGET / PER_VALUE


@pytest.mark.parametrize(("piece", "values"), [("[", 0), ("[1,", 0), ('{"a":', 0), ('[{"a": 1}, {"b": {"c":', 300)])
def test_brackets_that_are_open_at_the_same_error_are_decoded_twice(
    piece: str, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the text, and in the text whose slips are repaired."""
    assert decoded(piece * 300 + "}", monkeypatch) == 2 * (2 + values)


def test_what_stands_before_an_error_is_read() -> None:
    text = f'[[1, {{"a": {CAT}, "b": [{CAT}, "[{{", {CAT}, [[[{CAT}, ?'
    assert search(text).items == [json.loads(CAT)] * 4


def test_boxes_behind_a_text_that_takes_all_of_the_budget_are_read() -> None:
    text = "[{" * BUDGET + CAT
    assert search(text).items == [json.loads(CAT)]
