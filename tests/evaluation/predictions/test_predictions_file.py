"""Predictions files are read, and invalid ones refused."""

import json
from pathlib import Path

import prediction_lines
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.evaluation.predictions.predictions_file import read_predictions

TARGET = Target([[10, 20, 30, 40]], ["cat"], width=100, height=50)


def test_a_line_has_the_completion_and_its_sample(tmp_path: Path) -> None:
    entry = prediction_lines.line(TARGET, "[]", frame=(644, 476), image_id="7", question="category", subject="cat")
    (line,) = read_predictions(prediction_lines.write(tmp_path / "0.jsonl", [entry])).lines
    assert (line.text, line.image_id, line.question, line.subject) == ("[]", "7", "category", "cat")
    assert (line.frame, line.clipped, line.number) == ((644.0, 476.0), False, 1)


def test_a_folder_may_have_one_predictions_file(tmp_path: Path) -> None:
    prediction_lines.write(tmp_path / "12.jsonl", [prediction_lines.line(TARGET, "")])
    assert read_predictions(tmp_path).path == tmp_path / "12.jsonl"
    prediction_lines.write(tmp_path / "24.jsonl", [prediction_lines.line(TARGET, "")])
    with pytest.raises(
        ValueError, match=r"expected a folder with one predictions file.*12.jsonl, 24.jsonl; pass the file"
    ):
        read_predictions(tmp_path)


def test_broken_lines_are_counted(tmp_path: Path) -> None:
    line = json.dumps(prediction_lines.line(TARGET, "é"))
    path = tmp_path / "0.jsonl"
    path.write_bytes(f"{line}\n\n[1]\n{line}\n{line[:-30]}".encode() + b"\xff")
    found = read_predictions(path)
    assert (len(found.lines), found.broken) == (2, [3, 5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image_id": None},
            r"0.jsonl line 1: expected strings in the keys input.*got none in image_id; set reward.reward_manager",
        ),
        ({"frame": "644"}, r"0.jsonl line 1: frame: expected WIDTHxHEIGHT, each from 1 to 1,000,000, got '644'"),
        ({"frame": "0x9"}, "frame: expected"),
        ({"gts": "{}"}, "0.jsonl line 1: gts: ground_truth: expected the keys"),
        ({"frame": "nanx9"}, "frame: expected"),
    ],
)
def test_a_line_of_another_format_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = prediction_lines.write(tmp_path / "0.jsonl", [{**prediction_lines.line(TARGET, ""), **change}])
    with pytest.raises(ValueError, match=message):
        read_predictions(path)


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "0.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(prediction_lines.line(TARGET, "")).encode())
    assert len(read_predictions(path).lines) == 1


def test_a_missing_file_and_one_without_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a predictions file of verl's validation, got no such file"):
        read_predictions(tmp_path / "0.jsonl")
    (tmp_path / "0.jsonl").write_text("hello\n")
    with pytest.raises(
        ValueError, match="expected at least one line with a JSON object, got 1 lines that are not JSON"
    ):
        read_predictions(tmp_path / "0.jsonl")
