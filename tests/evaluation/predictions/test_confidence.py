"""Confidences by the log-probabilities of a box's tokens, aligned with the boxes that a protocol's parser reads."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prediction_lines import line, write

from verl_vision_r1 import Target
from verl_vision_r1.evaluation.predictions.confidence import confidences, expect_confidences
from verl_vision_r1.evaluation.predictions.predictions_file import Line, read_predictions
from verl_vision_r1.evaluation.predictions.protocols import PROTOCOLS, protocol_of

TARGET = Target([[0, 0, 50, 50], [60, 60, 90, 90]], ["cat", "dog"], 100, 100, ("cat", "dog"))
TEXT = 'I see [{"bbox_2d": [0, 0, 500, 500], "label": "cat"}, {"bbox_2d": [600, 600, 900, 900], "label": "dog"}]'
FIRST, SECOND = TEXT.index("0, 0"), TEXT.index("600, 600")


def read(tmp_path: Path, *pairs: tuple[int, float] | None, **more: Any) -> Line:
    """A line with log-probabilities; None for one without."""
    entry = line(TARGET, TEXT, subject="cat", **more)
    if pairs != (None,):
        entry["box_log_probs"] = json.dumps(pairs)
    (found,) = read_predictions(write(tmp_path / "0.jsonl", [entry])).lines
    return found


@pytest.mark.parametrize("name", ["vision_r1", "qwen3_vl", "plain"])
def test_each_protocol_finds_the_confidence_of_its_boxes(tmp_path: Path, name: str) -> None:
    found, protocol = read(tmp_path, (FIRST, -0.5), (SECOND, -2.0)), protocol_of(name)
    answer = protocol.read(found.text, found.frame)
    scores = confidences(found, answer, protocol, "logprob")
    assert scores == pytest.approx([math.exp(-0.5), math.exp(-2.0)][: len(answer.boxes)])
    assert confidences(found, answer, protocol, "constant") == [1.0] * len(answer.boxes)
    assert confidences(found, answer, protocol, "protocol") == protocol.scores(answer)


def test_a_box_without_a_log_probability_is_ranked_last(tmp_path: Path) -> None:
    found, protocol = read(tmp_path, (SECOND, -2.0)), PROTOCOLS["plain"]
    scores = confidences(found, protocol.read(found.text, found.frame), protocol, "logprob")
    assert scores == pytest.approx([0.0, math.exp(-2.0)])


def test_lines_without_log_probabilities_are_refused(tmp_path: Path) -> None:
    lines = [read(tmp_path, (FIRST, -0.5)), read(tmp_path, None)]
    with pytest.raises(
        ValueError, match=r"confidence logprob: expected box_log_probs in every line, got none in line 1"
    ):
        expect_confidences(lines, "logprob")
    expect_confidences(lines[:1], "logprob")
    expect_confidences(lines, "protocol")
    with pytest.raises(ValueError, match="confidence: expected one of protocol, logprob, constant, got 'entropy'"):
        expect_confidences(lines, "entropy")


@pytest.mark.parametrize("text", ["no JSON", "[[3, 0.5]]", 7])
def test_a_line_with_another_form_is_named(tmp_path: Path, text: object) -> None:
    entry = line(TARGET, TEXT) | {"box_log_probs": text}
    with pytest.raises(ValueError, match=r"0\.jsonl line 1: box_log_probs: expected"):
        read_predictions(write(tmp_path / "0.jsonl", [entry]))


def test_an_answer_without_boxes_has_no_confidences(tmp_path: Path) -> None:
    entry = line(TARGET, "[]") | {"box_log_probs": "[]"}
    (found,) = read_predictions(write(tmp_path / "0.jsonl", [entry])).lines
    answer = PROTOCOLS["plain"].read(found.text, found.frame)
    assert np.array(confidences(found, answer, PROTOCOLS["plain"], "logprob")).size == 0
