"""From text to an answer: the readings of the specification, one by one, and any text at all."""

import numpy as np
import pytest
from budget import budget
from hypothesis import given
from hypothesis import strategies as st
from least_time import least_seconds

from verl_vision_r1.rewards.answers import parse_json_boxes, write_json_boxes

FRAME = (1000, 800)
ITEM = '{"bbox_2d": [10, 20, 110, 220], "label": "cat"}'
BOX = [[10.0, 20.0, 110.0, 220.0]]


def bbox(coordinates: str) -> str:
    return f'[{{"bbox_2d": {coordinates}, "label": "cat"}}]'


@pytest.mark.parametrize(
    "text",
    [
        f"[{ITEM}]",
        f"  \n[{ITEM}]\n\n",
        f"```json\n[{ITEM}]\n```",
        f"```json[{ITEM}]```",  # One line.
        f"```json  \r\n[{ITEM}]\r\n```",  # CRLF.
        f"```json\r[{ITEM}]\r```",  # CR alone.
        f"```json\n[\n\t{ITEM}\n]\n  ```",  # An indented closing fence is a fence.
        '[{"label": "cat", "bbox_2d": [10, 20, 110, 220]}]',
        '[{"bbox_2d": [0, 0, 1, 1], "bbox_2d": [10, 20, 110, 220], "label": "cat"}]',  # The last of duplicates.
    ],
)
def test_well_formed(text: str) -> None:
    answer = parse_json_boxes(text, FRAME)
    assert answer.well_formed
    assert answer.parsed
    assert not answer.truncated
    assert answer.boxes.tolist() == BOX
    assert answer.labels == ("cat",)


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        (f"Here: [{ITEM}]", BOX),  # The last resort finds the exact spelling in prose.
        (f"```json\n[{ITEM}]\n```\nDone.", BOX),
        (f"```\n[{ITEM}]\n```", BOX),  # Another fence.
        (f"```JSON\n[{ITEM}]\n```", BOX),
        (f"```json5\n[{ITEM}]\n```", BOX),
        (f"```json\n[{ITEM}]", BOX),  # No closing fence.
        (f"\ufeff[{ITEM}]", BOX),
        (ITEM, BOX),  # An object, not a list.
        (f"[[{ITEM}]]", BOX),
        (f"[{ITEM},]", BOX),
        (f"[{ITEM}] [{ITEM}]", BOX * 2),  # Two answers.
        (f'[{ITEM[:-1]}, "score": 1}}]', BOX),  # A key too many.
        ('[{"bbox_2d": [10, 20, 110, 220]}]', BOX),  # No label.
        (bbox("[10, 20, 110, 220]").replace("cat", " \\t"), BOX),  # A label of blanks is no label for format.
        ('[{"bbox_2d": [10, 20, 110, 220], "label": 7}]', BOX),
        (bbox('["10", "20", "110", "220"]'), BOX),  # A numeric string is a coordinate, but makes format 0.
        (bbox('[" 1e1", 20, 110, "2_20"]'), BOX),
        (bbox('["\u0661\u0660", 20, 110, 220]'), []),  # Other scripts' digits are not.
        (bbox("[true, 20, 110, 220]"), []),
        (bbox("[null, 20, 110, 220]"), []),
        (bbox("[NaN, 20, 110, 220]"), []),
        (bbox("[10, 20, Infinity, 220]"), []),
        (bbox("[10, 20, 1e400, 220]"), []),
        (bbox(f"[10, 20, {'9' * 400}, 220]"), []),
        (bbox(f"[10, 20, {'9' * 5000}, 220]"), []),  # More digits than Python reads as an integer.
        (bbox("[110, 20, 10, 220]"), []),  # Inverted.
        (bbox("[10, 20, 10, 220]"), []),  # Without area.
        (bbox("[10, 20, 110]"), []),
        (bbox("[10, 20, 110, 220, 330]"), []),
        (bbox('"10, 20, 110, 220"'), []),
        (bbox("[10, 20, 110, 801]"), [[10, 20, 110, 801]]),  # Out of frame; the border itself is inside.
        (bbox("[-1, 20, 110, 220]"), [[-1, 20, 110, 220]]),
        (f"[{ITEM}, 42, null, [], {{}}]", BOX),  # Items that are no box are skipped one by one.
        ("42", []),
        ('"text"', []),
        ("{}", []),
        ("", []),
        ("No cat here.", []),
        ("[" * 100_000, []),
        ("\x00\ud800\u2028", []),
    ],
)
def test_not_well_formed(text: str, boxes: list[list[float]]) -> None:
    answer = parse_json_boxes(text, FRAME)
    assert not answer.well_formed
    assert answer.boxes.tolist() == boxes


def test_an_empty_list_is_well_formed() -> None:
    assert parse_json_boxes("[]", FRAME).well_formed
    assert parse_json_boxes("```json\n[]\n```", FRAME).well_formed


@pytest.mark.parametrize(
    ("text", "truncated"),
    [
        (f"```json\n[\n\t{ITEM},\n\t{{", True),
        (f"[{ITEM}", True),
        ('[{"bbox_2d": [10, 2', True),
        (f"[{ITEM}]", False),
        ("No cat here.", False),
        ("", False),
    ],
)
def test_truncated(text: str, truncated: bool) -> None:
    assert parse_json_boxes(text, FRAME).truncated is truncated


def test_a_fence_inside_a_label_is_text() -> None:
    answer = parse_json_boxes('```json\n[{"bbox_2d": [10, 20, 110, 220], "label": "a ```cat```"}]\n```', FRAME)
    assert answer.well_formed
    assert answer.labels == ("a ```cat```",)


def test_an_absurd_coordinate_counts_as_a_prediction_and_overflows_nothing() -> None:
    boxes = parse_json_boxes(bbox("[10, 20, 1e300, 220]"), FRAME).boxes
    assert boxes.tolist() == [[10, 20, 1e9, 220]]


PIECES = st.sampled_from(["[", "]", "{", "}", '"', "```json", "\n", ",", "bbox_2d", "NaN", "-1e999", "9" * 40, ITEM])


@budget(300)
@given(
    st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join), st.binary().map(lambda raw: raw.decode("latin")))
)
def test_any_text_is_read(text: str) -> None:
    answer = parse_json_boxes(text, FRAME)
    assert len(answer.boxes) == len(answer.labels)
    assert np.isfinite(answer.boxes).all()
    assert answer.boxes.tolist() == parse_json_boxes(text, FRAME).boxes.tolist()


@pytest.mark.parametrize(
    "text", [f"[{','.join([ITEM] * 1000)}]", ITEM * 1000, "```json\n" * 10_000, '{"bbox_2d": [1, ' * 10_000]
)
def test_long_answers_are_read_in_no_time(text: str) -> None:
    assert least_seconds(lambda: parse_json_boxes(text, FRAME), 0.5) < 0.5


WHOLE_BOXES = st.tuples(*[st.integers(0, 399)] * 2, *[st.integers(400, 800)] * 2)


@given(st.lists(st.tuples(WHOLE_BOXES, st.text(min_size=1).filter(lambda text: bool(text.strip()))), max_size=5))
def test_what_is_written_is_read_back(items: list[tuple[tuple[int, ...], str]]) -> None:
    boxes = np.array([box for box, _ in items], dtype=np.float64).reshape(-1, 4)
    answer = parse_json_boxes(write_json_boxes(boxes, tuple(label for _, label in items)), FRAME)
    assert answer.well_formed
    assert answer.boxes.tolist() == boxes.tolist()
    assert answer.labels == tuple(label for _, label in items)
