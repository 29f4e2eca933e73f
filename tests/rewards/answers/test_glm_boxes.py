"""GLM's own form: boxes between special tokens, in a sentence, in any brackets."""

import pytest

from verl_vision_r1.frames import YFirst
from verl_vision_r1.rewards.answers import PARSERS, Answer
from verl_vision_r1.rewards.answers.glm_boxes import parse_glm_boxes

FRAME = (1000.0, 1000.0)


def marked(text: str) -> str:
    return f"<|begin_of_box|>{text}<|end_of_box|>"


def read(text: str) -> Answer:
    return parse_glm_boxes(text, FRAME)


@pytest.mark.parametrize(
    "text",
    [
        marked("[[1, 2, 30, 40], [5, 6, 70, 80]]"),
        f"The cats are at {marked('[[1,2,30,40],[5,6,70,80]]')}.",
        f"<think>Two [cats].</think><answer>{marked('[[1, 2, 30, 40], [5, 6, 70, 80]]')}</answer>",
        f"Two.</think>{marked('[[1, 2, 30, 40], [5, 6, 70, 80]]')}<|endoftext|>",
        marked("(1, 2, 30, 40), (5, 6, 70, 80)"),
        marked("<1,2,30,40> <5,6,70,80>"),
        marked('[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}, {"bbox_2d": [5, 6, 70, 80], "label": "dog"}]'),
    ],
)
def test_what_stands_between_the_marks_is_read_and_well_formed(text: str) -> None:
    answer = read(text)
    assert answer.boxes.tolist() == [[1, 2, 30, 40], [5, 6, 70, 80]]
    assert (answer.labels, answer.well_formed, answer.parsed) == ((), True, True)


@pytest.mark.parametrize(
    "text",
    [
        "[[1, 2, 30, 40]]",  # As a completion decoded without its special tokens.
        "The cat is at [1, 2, 30, 40].",
        f"[1, 2, 30, 40] {marked('nothing')}",
        f"{marked('[[1, 2, 30, 40]]')} or [5, 6]",
        f"{marked('[[1, 2, 30, 40]]')} {marked('[]')}",
    ],
)
def test_other_texts_are_read_but_are_not_well_formed(text: str) -> None:
    assert [1, 2, 30, 40] in read(text).boxes.tolist()
    assert not read(text).well_formed


def test_a_single_box_is_one() -> None:
    assert read(marked("[1, 2, 30, 40]")).boxes.tolist() == [[1, 2, 30, 40]]


def test_an_empty_list_is_a_correct_form() -> None:
    answer = read(marked("[]"))
    assert (len(answer.boxes), answer.parsed, answer.well_formed) == (0, True, True)


@pytest.mark.parametrize("text", ["", "no cat", marked(""), "<|begin_of_box|>[[1, 2,", "<|end_of_box|>"])
def test_what_is_no_box_is_none(text: str) -> None:
    answer = read(text)
    assert (len(answer.boxes), answer.well_formed) == (0, False)


def test_a_box_beyond_the_frame_costs_the_form() -> None:
    answer = read(marked("[[1, 2, 30, 1040]]"))
    assert (answer.as_asked, answer.well_formed, answer.out_of_frame) == (True, False, True)


def test_an_inverted_box_is_malformed() -> None:
    for text in ("[[30, 2, 1, 40]]", "(30, 2, 1, 40)"):
        assert not len(read(marked(text)).boxes)
        assert not read(marked(text)).well_formed


@pytest.mark.parametrize("name", ["glm_boxes", "marked_boxes", "json_boxes", "robust_boxes", "tagged_boxes"])
def test_every_parser_gives_boxes_with_x_first(name: str) -> None:
    text = {
        "glm_boxes": marked("[[2, 1, 40, 30]]"),
        "marked_boxes": "<ref>cat</ref><box>[[2, 1, 40, 30]]</box>",
        "tagged_boxes": "<think></think><answer>[{'Position': [2, 1, 40, 30], 'Confidence': 1}]</answer>",
    }.get(name, '[{"box_2d": [2, 1, 40, 30], "label": "cat"}]')
    answer = PARSERS[name](text, YFirst(FRAME))
    assert answer.boxes.tolist() == [[1, 2, 30, 40]]
    assert answer.well_formed
