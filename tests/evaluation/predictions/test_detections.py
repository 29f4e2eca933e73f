"""Completions are parsed into arrays by the rules of a protocol."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import prediction_lines
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.evaluation.predictions.arrays import GroundTruth
from verl_vision_r1.evaluation.predictions.detections import (
    expect_frame,
    read_all_boxes,
    read_detections,
    read_values,
    whole_number,
)
from verl_vision_r1.evaluation.predictions.ground_truth import ground_truth_of_samples
from verl_vision_r1.evaluation.predictions.predictions_file import Line, read_predictions
from verl_vision_r1.evaluation.predictions.protocols import PROTOCOLS, protocol_of, tagged_or_all
from verl_vision_r1.frames import YFirst

CATS = Target([[0, 0, 50, 50]], ["Cat"], width=100, height=200, categories=["Cat", "hot dog"])
TRUTH = ground_truth_of_samples([("b", "categories", CATS, ""), ("a", "categories", CATS, "")])


def lines(tmp_path: Path, *texts: str, **sample: str) -> list[Line]:
    entries = [
        prediction_lines.line(CATS, text, **{"image_id": "ab"[index % 2], **sample})
        for index, text in enumerate(texts)
    ]
    return read_predictions(prediction_lines.write(tmp_path / "0.jsonl", entries)).lines


def item(label: str | None, *box: float) -> str:
    named = "" if label is None else f', "label": "{label}"'
    return f'[{{"bbox_2d": {list(box or (0, 0, 500, 250))}{named}}}]'


def test_boxes_are_in_image_order_and_in_original_image_pixels(tmp_path: Path) -> None:
    found = lines(tmp_path, item("cat"), item("hot dog", 0, 0, 100, 100))[::-1]
    detections, counts = read_detections(found, TRUTH, protocol_of("vision_r1"))
    assert TRUTH.images == ("a", "b")
    assert (detections.image.tolist(), detections.category.tolist()) == ([0, 1], [0, 1])
    assert detections.boxes.tolist() == [[0, 0, 50, 50], [0, 0, 10, 20]]
    assert (counts.completions, counts.boxes, counts.unknown_labels) == (2, 2, 0)


def test_boxes_with_y_first_are_evaluated_with_their_axes(tmp_path: Path) -> None:
    text = '[{"box_2d": [0, 100, 250, 500], "label": "Cat"}]'
    entry = prediction_lines.line(CATS, text, frame=YFirst((1000.0, 1000.0)), image_id="a")
    found = read_predictions(prediction_lines.write(tmp_path / "0.jsonl", [entry])).lines
    detections, _ = read_detections(found, TRUTH, protocol_of("plain"))
    assert detections.boxes.tolist() == [[10, 0, 50, 50]]


@pytest.mark.parametrize(
    ("protocol", "label", "known"),
    [
        ("vision_r1", "CAT", True),
        ("vision_r1", " cat", False),
        ("vision_r1", "kitten", False),
        ("qwen3_vl", "Cat", True),
        ("plain", " cat ", True),
        ("plain", None, True),
        ("plain", "kitten", False),
    ],
)
def test_labels_are_compared_by_the_rule_of_the_protocol(
    tmp_path: Path, protocol: str, label: str | None, known: bool
) -> None:
    found = lines(tmp_path, item(label), question="category", subject="Cat")
    detections, counts = read_detections(found, TRUTH, protocol_of(protocol))
    assert (len(detections.scores), counts.unknown_labels) == ((1, 0) if known else (0, 1))


def test_a_box_of_visual_rft_has_the_category_of_the_question(tmp_path: Path) -> None:
    text = "<answer>[{'Position': [0, 0, 500, 250], 'Confidence': 0.3}]</answer>"
    found = lines(tmp_path, text, question="category", subject="hot dog")
    detections, _ = read_detections(found, TRUTH, protocol_of("visual_rft"))
    assert (detections.category.tolist(), detections.scores.tolist()) == ([1], [0.3])


def test_scores_are_constant_in_some_protocols(tmp_path: Path) -> None:
    found = lines(tmp_path, item("cat"))
    scores = {name: read_detections(found, TRUTH, rules)[0].scores.tolist() for name, rules in PROTOCOLS.items()}
    assert scores == {"vision_r1": [0.99], "qwen3_vl": [1.0], "visual_rft": [], "plain": [1.0]}


def test_a_box_with_swapped_corners_has_no_area(tmp_path: Path) -> None:
    detections, _ = read_detections(lines(tmp_path, item("cat", 500, 0, 100, 250)), TRUTH, protocol_of("vision_r1"))
    assert detections.boxes.tolist() == [[50, 0, 50, 50]]


def test_parse_errors_are_counted(tmp_path: Path) -> None:
    cut = '[{"bbox_2d": [0, 0, 9, 9], "label": "cat"}, {"bbox_2d": [1'
    outside = item("cat", 0, 0, 2000, 10)
    _, counts = read_detections(lines(tmp_path, "no", cut, outside), TRUTH, protocol_of("vision_r1"))
    assert (counts.completions, counts.unparsed, counts.repaired, counts.out_of_frame) == (3, 1, 1, 1)


def test_no_lines_give_no_detections(tmp_path: Path) -> None:
    detections, _ = read_detections([], TRUTH, protocol_of("plain"))
    assert (detections.boxes.shape, detections.constant) == ((0, 4), True)


def test_predictions_in_another_frame_are_refused(tmp_path: Path) -> None:
    entry = prediction_lines.line(CATS, "[]", frame=(644, 476))
    found = read_predictions(prediction_lines.write(tmp_path / "0.jsonl", [entry])).lines
    with pytest.raises(
        ValueError, match=r"protocol qwen3_vl: expected predictions in the frame 1000x1000, got 644x476 in line 1"
    ):
        expect_frame(found, protocol_of("qwen3_vl"))
    expect_frame(found, protocol_of("vision_r1"))


def test_an_expression_has_boxes_and_a_class_has_text(tmp_path: Path) -> None:
    boxes, counts = read_all_boxes(lines(tmp_path, "(0,0),(500,500)", "none"), protocol_of("visual_rft").read_one)
    assert [own.tolist() for own in boxes] == [[[0, 0, 50, 100]], []]
    assert counts.unparsed == 1
    for protocol, expected in (("visual_rft", ["rose", None]), ("plain", ["rose", "a rose"])):
        texts, _ = read_values(
            lines(tmp_path, "<answer> rose </answer>", "a rose "), protocol_of(protocol).text or str
        )
        assert texts == expected


def test_a_count_is_the_only_number_in_the_text() -> None:
    numbers = {"12": 12, "0": 0, "There are 3.": 3, "3 cats": 3}
    assert {text: whole_number(text) for text in numbers} == numbers
    for text in ("-1", "1.5", "3 or 4", "three", "", None, "1" * 20):
        assert whole_number(text) is None, text


def test_completions_without_a_value_are_unparsed(tmp_path: Path) -> None:
    completions = lines(tmp_path, "", "three", "<answer>3</answer>")
    numbers, counts = read_values(completions, lambda text: whole_number(tagged_or_all(text)))
    assert (numbers, counts.unparsed) == ([None, None, 3], 2)


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(
        ValueError, match="protocol: expected one of vision_r1, visual_rft, qwen3_vl, plain, got 'coco'"
    ):
        protocol_of("coco")


def test_names_that_are_equal_after_normalisation_are_refused(tmp_path: Path) -> None:
    truth = replace(TRUTH, categories=("Cat", "cat"))
    for protocol in ("vision_r1", "qwen3_vl", "plain"):
        with pytest.raises(
            ValueError, match=r"expected names that differ after .* normalisation, got 'Cat' and 'cat'"
        ):
            read_detections([], truth, protocol_of(protocol))
    text = "<answer>[{'Position': [0, 0, 500, 250], 'Confidence': 0.3}]</answer>"
    found = lines(tmp_path, text, question="category", subject="cat")
    assert read_detections(found, truth, protocol_of("visual_rft"))[0].category.tolist() == [1]


def test_plain_ignores_blanks_around_a_name(tmp_path: Path) -> None:
    truth = replace(TRUTH, categories=("cat ", "dog"))
    found = lines(tmp_path, item(None), question="category", subject="cat ")
    assert read_detections(found, truth, protocol_of("plain"))[0].category.tolist() == [0]


def test_malformed_items_are_counted(tmp_path: Path) -> None:
    _, counts = read_detections(
        lines(tmp_path, '[{"bbox_2d": [1, 2], "label": "cat"}, 7]'), TRUTH, protocol_of("vision_r1")
    )
    assert (counts.malformed, counts.unparsed) == (2, 0)


def test_ground_truth_may_have_no_categories() -> None:
    empty = ground_truth_of_samples([("a", "categories", Target([], [], width=9, height=9), "")])
    assert isinstance(empty, GroundTruth)
    assert (empty.categories, empty.boxes.shape) == ((), (0, 4))
    assert np.array_equal(empty.crowd, np.zeros(0, dtype=bool))
