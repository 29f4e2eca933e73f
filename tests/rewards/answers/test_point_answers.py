"""Points in completions: every form, what is well-formed, flags, and text that holds none."""

import json

import numpy as np
import pytest
from budget import budget
from hypothesis import given
from hypothesis import strategies as st

from verl_vision_r1.frames import YFirst
from verl_vision_r1.rewards.answers.points import parse_points, write_points

FRAME = (1000.0, 1000.0)
JSON = '[{"point_2d": [100, 200], "label": "cat"}, {"point_2d": [300.5, 400], "label": "dog"}]'
TAGS = '<point x="10" y="20" alt="cat">cat</point> <point x="30.05" y="40" alt="dog">dog</point>'
TWO = [[100.0, 200.0], [300.5, 400.0]]


def points(text: str, **options: bool) -> list[list[float]]:
    boxes = parse_points(text, FRAME, **options).boxes
    assert boxes[:, :2].tolist() == boxes[:, 2:].tolist()
    return boxes[:, :2].tolist()


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        f"```json\n{JSON}\n```",
        f"<think>Two.</think><answer>{JSON}</answer>",
        f"Two.</think>\n{JSON}<|im_end|>",
        TAGS,
        f"<think>Two.</think>{TAGS}",
    ],
)
def test_the_demanded_forms(text: str) -> None:
    answer = parse_points(text, FRAME)
    assert answer.boxes[:, :2].tolist() == TWO
    assert answer.labels == ("cat", "dog")
    assert answer.well_formed
    assert answer.as_asked
    assert answer.parsed
    assert answer.malformed == 0


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (f"Here they are: {JSON}", "JSON inside other text"),
        (f"{JSON}\nDone.", "JSON inside other text"),
        (f"<think>{JSON.replace('100', '900')}</think> So: {JSON}", "JSON inside other text"),
        (JSON.replace('"', "'"), "JSON inside other text"),
        (JSON.replace("}]", "},]"), "JSON inside other text"),
        (f"I see a cat {TAGS}", "point tags"),
        ("The points are (100, 200) and (300.5, 400).", "bare points"),
        ("[[100, 200], [300.5, 400]]", "bare points"),
        ('{"points": ' + JSON + "}", "JSON inside other text"),
        (JSON.replace("point_2d", "point"), "JSON"),
    ],
)
def test_points_in_any_text_are_read_without_the_format(text: str, form: str) -> None:
    answer = parse_points(text, FRAME)
    assert (answer.boxes[:, :2].tolist(), answer.form, answer.well_formed) == (TWO, form, False)


def test_one_object_is_a_list_of_one() -> None:
    assert parse_points('{"point_2d": [1, 2], "label": "cat"}', FRAME).well_formed


def test_tags_with_several_points_and_their_name() -> None:
    answer = parse_points('<points x1="10" y1="20" x2="30" y2="40.5" alt="two cats">cats</points>', (200.0, 100.0))
    assert answer.boxes[:, :2].tolist() == [[20, 20], [60, 40.5]]
    assert answer.labels == ("two cats", "two cats")
    assert answer.well_formed
    broken = parse_points('<points x1="10" y1="20" x2="30" alt="cats">cats</points>', FRAME)
    assert (len(broken.boxes), broken.malformed, broken.well_formed) == (1, 1, False)
    assert parse_points('<point x="10" y="20">it</point>', FRAME).labels == ("it",)


def test_bare_points_are_well_formed_by_choice() -> None:
    assert parse_points("(1, 2)", FRAME, bare=True).well_formed
    assert not parse_points("(1, 2)", FRAME).well_formed
    assert not parse_points("Click (1, 2)", FRAME, bare=True).well_formed
    assert points("Click (1, 2)", bare=True) == [[1, 2]]


def test_the_axes_are_those_of_the_frame() -> None:
    frame = YFirst((1000.0, 1000.0))
    assert parse_points('[{"point_2d": [100, 200], "label": "cat"}]', frame).boxes[0].tolist() == [200, 100, 200, 100]
    assert parse_points('<point x="10" y="20" alt="a">a</point>', frame).boxes[0].tolist() == [100, 200, 100, 200]


@pytest.mark.parametrize(
    ("text", "malformed"),
    [
        ('[{"point_2d": [1, 2, 3], "label": "cat"}, {"point_2d": [1, 2], "label": "cat"}]', 1),
        ('[{"point_2d": "here", "label": "cat"}, {"point_2d": [true, 2], "label": "cat"}]', 2),
        ('[{"point_2d": [NaN, 2], "label": "cat"}]', 1),
        ('[{"point_2d": [1e999, 2], "label": "cat"}]', 1),
        ('[{"point_2d": [' + "9" * 400 + ', 2], "label": "cat"}]', 1),
        ('[{"point_2d": [' + "9" * 5000 + ', 2], "label": "cat"}]', 1),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "cat"}]', 1),
        ("[1, 2, 3]", 3),
        ('[{"label": "cat"}]', 1),
    ],
)
def test_items_that_are_no_point_are_counted(text: str, malformed: int) -> None:
    answer = parse_points(text, FRAME)
    assert answer.malformed == malformed
    assert not answer.well_formed
    assert np.isfinite(answer.boxes).all()


@pytest.mark.parametrize(
    ("text", "parsed", "well_formed"),
    [("[]", True, True), ("```json\n[]\n```", True, True), ("", False, False), ("There is none.", False, False)],
)
def test_nothing(text: str, parsed: bool, well_formed: bool) -> None:
    answer = parse_points(text, FRAME)
    assert (len(answer.boxes), answer.parsed, answer.well_formed) == (0, parsed, well_formed)


def test_flags() -> None:
    assert parse_points('[{"point_2d": [1001, 2], "label": "cat"}]', FRAME).out_of_frame
    assert not parse_points('[{"point_2d": [1001, 2], "label": "cat"}]', FRAME).well_formed
    assert not parse_points('[{"point_2d": [1000, 0], "label": "cat"}]', FRAME).out_of_frame
    assert parse_points('[{"point_2d": [0.5, 0.2], "label": "cat"}]', FRAME).out_of_frame
    assert parse_points('[{"point_2d": [100, 200], "label": "cat"}, {"poi', FRAME).truncated


@pytest.mark.parametrize(
    "item", ['{"point_2d": [1, 2], "label": " "}', '{"point_2d": [1, 2]}', '{"point_2d": ["1", 2], "label": "a"}']
)
def test_the_format_is_exact(item: str) -> None:
    answer = parse_points(f"[{item}]", FRAME)
    assert (len(answer.boxes), answer.well_formed) == (1, False)
    assert not parse_points('[{"point_2d": [1, 2], "label": "a", "size": 3}]', FRAME).well_formed


def test_a_label_may_contain_the_key() -> None:
    text = json.dumps([{"point_2d": [1, 2], "label": 'the "point": here'}])
    assert parse_points(f"So: {text}", FRAME).labels == parse_points(text, FRAME).labels == ('the "point": here',)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), max_size=20), st.text(min_size=1))
@budget(50)
def test_what_is_written_is_read(places: list[tuple[int, int]], name: str) -> None:
    boxes = np.array([[*place, *place] for place in places], dtype=np.float64).reshape(-1, 4)
    answer = parse_points(write_points(boxes, (name,) * len(boxes)), FRAME)
    assert answer.boxes.tolist() == boxes.tolist()
    assert answer.labels == (name,) * len(boxes)
