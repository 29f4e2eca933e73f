"""The ground truth of a sample: its JSON form, and error messages."""

from typing import Any

import pytest

from verl_vision_r1 import Target

VALID: dict[str, Any] = {
    "boxes": [[1, 2, 30, 40]],
    "labels": ["cat"],
    "width": 64,
    "height": 48,
    "categories": ["cat", "dog"],
}


def test_a_target_survives_json() -> None:
    target = Target(**VALID)
    back = Target.from_json(target.to_json())
    assert back.boxes.tolist() == [[1, 2, 30, 40]]
    assert (back.labels, back.categories, back.width, back.height) == (("cat",), ("cat", "dog"), 64, 48)


def test_a_negative_sample_has_no_boxes() -> None:
    assert Target([], [], width=64, height=48).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [[30, 2, 1, 40]]}, r"boxes\[0\]: expected 0 <= x1 < x2 <= 64 .* got \[30.0, 2.0, 1.0, 40.0\]"),
        ({"boxes": [[1, 2, 1, 40]]}, r"boxes\[0\]: expected 0 <= x1 < x2"),
        ({"boxes": [[1, 2, 65, 40]]}, r"boxes\[0\]: expected"),
        ({"boxes": [[-1, 2, 30, 40]]}, r"boxes\[0\]: expected"),
        ({"boxes": [[1, 2, 30, float("inf")]]}, "expected finite numbers"),
        ({"boxes": [[1, 2, 30]]}, r"expected shape \(N, 4\)"),
        ({"labels": []}, "labels: expected 1, one for each box or one class, got 0"),
        ({"labels": ["bird"]}, r"labels\[0\]: expected one of the categories, got 'bird'"),
        ({"labels": [" "]}, r"labels\[0\]: expected a name, got ' '"),
        ({"labels": ["_ _"], "categories": []}, r"labels\[0\]: expected a name, got '_ _'"),
        ({"labels": ["_"], "categories": [], "task": "classification", "boxes": []}, "expected a name, got '_'"),
        ({"labels": "cat"}, "labels: expected a list of strings, got 'cat'"),
        ({"labels": [7]}, "labels: expected a list of strings"),
        ({"categories": None}, "categories: expected a list of strings, got None"),
        ({"width": 0}, "width: expected a whole number of pixels from 1 to 1,000,000, got 0"),
        ({"height": 48.0}, "height: expected a whole number of pixels from 1 to 1,000,000, got 48.0"),
        ({"width": 2**31}, "width: expected a whole number of pixels from 1 to 1,000,000, got 2147483648"),
        ({"height": 10**400}, "height: expected a whole number of pixels from 1 to 1,000,000, got 1000"),
        ({"width": True}, "width: expected a whole number"),
        ({"count": -1}, "count: expected a whole number of objects, at most 1,000,000,000, got -1"),
        ({"count": 10**400}, "count: expected a whole number of objects, at most 1,000,000,000, got 1000"),
        ({"count": 1.0}, "count: expected a whole number of objects, at most 1,000,000,000, got 1.0"),
        ({"task": "counting"}, "count: expected a whole number of objects, at most 1,000,000,000, got None"),
        ({"task": "classification"}, "boxes: expected none for the task classification, got 1"),
        ({"task": "classification", "boxes": [], "labels": []}, "labels: expected 1, one for each box or one class"),
        ({"solution": 7}, "solution: expected a string, got 7"),
        (
            {"task": "dancing"},
            "task: expected one of detection, grounding, classification, counting, pointing, got 'dancing'",
        ),
    ],
)
def test_an_invalid_target_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Target(**{**VALID, **change})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "expected one JSON string, got 'not json'"),
        (None, "expected one JSON string, got None"),
        ("[" * 100_000, "expected one JSON string, got"),
        ("[1]", r"expected a JSON object, got '\[1\]'"),
        ('{"boxes": []}', "missing .'height', 'labels', 'width'."),
        ('{"boxes": [], "labels": [], "width": 1, "height": 1, "colour": 2}', "unknown .'colour'."),
    ],
)
def test_invalid_json_is_refused(text: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Target.from_json(text)


OUTLINED = {"boxes": [[10, 10, 50, 40]], "labels": ["cat"], "width": 100, "height": 80}


def test_outlines_survive_json() -> None:
    target = Target(**OUTLINED, task="pointing", outlines=[[[10, 10, 50, 10, 30, 40]]])
    again = Target.from_json(target.to_json())
    assert again.outlines[0][0].tolist() == [[10, 10], [50, 10], [30, 40]]
    assert "outlines" not in Target(**OUTLINED, task="pointing", outlines=[[]]).to_json()


@pytest.mark.parametrize(
    ("task", "outlines", "message"),
    [
        ("detection", [[[10, 10, 50, 10, 30, 40]]], "expected none for the task detection, got 1"),
        ("pointing", [[[10, 10, 50, 10, 30, 40]], []], "expected 1, one per box, got 2"),
        ("pointing", [[[10, 10, 50, 10, 30, 81]]], "expected vertices within 100x80 original-image pixels"),
        ("pointing", [[[10, 10, 50, 10]]], "expected at least three vertices"),
        ("pointing", 7, "expected a list of polygons"),
    ],
)
def test_an_invalid_outline_is_refused(task: str, outlines: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"ground_truth.outlines: {message}"):
        Target(**OUTLINED, task=task, outlines=outlines)
