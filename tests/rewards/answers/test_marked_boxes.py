"""Names and boxes as several families write them, with their special tokens and without."""

import pytest

from verl_vision_r1.evaluation.predictions.published_parsers import read_any
from verl_vision_r1.rewards.answers.marked_boxes import parse_marked_boxes

FRAME = (1000, 1000)
BOXES = [[100, 100, 300, 300], [400, 50, 600, 250]]


@pytest.mark.parametrize(
    ("text", "well_formed"),
    [
        ("<ref>cat</ref><box>[[100, 100, 300, 300]]</box>, <ref>dog</ref><box>[[400, 50, 600, 250]]</box>", True),
        (
            "<|ref|>cat<|/ref|><|det|>[[100,100,300,300]]<|/det|>\n<|ref|>dog<|/ref|><|det|>[[400,50,600,250]]<|/det|>",
            True,
        ),
        (
            "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(100,100),(300,300)<|box_end|>"
            "<|object_ref_start|>dog<|object_ref_end|><|box_start|>(400,50),(600,250)<|box_end|><|im_end|>",
            True,
        ),
        ("cat(100,100),(300,300)dog(400,50),(600,250)", False),
        ("<think>bird (1,1),(9,9)</think>cat (100, 100), (300, 300)\ndog (400, 50), (600, 250)", False),
        ("Here: <ref>cat</ref><box>[[100, 100, 300, 300]]</box> <ref>dog</ref><box>[400, 50, 600, 250]</box>", False),
    ],
)
def test_names_and_boxes_are_read(text: str, well_formed: bool) -> None:
    for parse in (parse_marked_boxes, read_any):
        answer = parse(text, FRAME)
        assert answer.boxes.tolist() == BOXES
        assert answer.labels == ("cat", "dog")
        assert answer.form == "names and boxes"
    assert parse_marked_boxes(text, FRAME).well_formed == well_formed


def test_several_boxes_have_the_name_before_them() -> None:
    answer = parse_marked_boxes("<ref>cat</ref><box>[[1, 2, 30, 40], [5, 6, 70, 80], [9, 9, 1, 1]]</box>", FRAME)
    assert (answer.labels, answer.malformed, answer.well_formed) == (("cat", "cat"), 1, False)


@pytest.mark.parametrize("text", ["", "a cat", "[{'bbox_2d': (1, 2, 30, 40)}]", "[1, 2, 3, 4]", "f(1, 2, 3, 4)"])
def test_text_without_names_and_boxes_is_none(text: str) -> None:
    answer = parse_marked_boxes(text, FRAME)
    assert not len(answer.boxes)
    assert not answer.parsed
