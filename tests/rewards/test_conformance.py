"""Recorded cases: all match, and differences are reported."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.rewards.conformance import APART, DIFFERS, check_case, check_file

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "golden"
FILES = {
    "vision_r1_paper": 400,
    "vision_r1_release_2025": 400,
    "vision_r1_release_2026": 400,
    "visual_rft_classification_release": 242,
    "visual_rft_detection_release": 397,
    "visual_rft_lisa_release": 240,
    "visual_rft_paper": 364,
    "vlm_r1_detection": 338,
}
SETTLED_OTHERWISE = {
    "dev-hand-eq-label_space-beginner",  # A blank label is no label.
    "dev-hand-det-c_minus2",  # A confidence outside [0, 1] is clipped.
    "dev-hand-det-c_nan_two",  # A confidence that is not a number makes only its item malformed.
    "dev-hand-det-inverted_x",  # Boxes without positive area count as predictions.
    "dev-hand-det-zero_all",
}
READ_OTHERWISE = {
    "vision_r1_paper": {
        "dev-hand-eq-two_fences-advanced",  # Recorded: the second list is not read.
        "dev-hand-eq-single_quotes-off",  # Recorded: single quotes are not read.
        "dev-hand-eq-box_key_bbox-advanced",  # Recorded: the key `bbox` is no box.
    }
}
"""Cases recorded before every list was read, whatever surrounds it, with the usual slips and keys."""

TARGET = {"width": 100, "height": 100, "input_width": 100, "input_height": 100, "boxes": [[0, 0, 50, 50]]}
CASE: dict[str, Any] = {
    "id": "one",
    "completion": '[{"bbox_2d": [0, 0, 50, 50], "label": "cat"}]',
    "target": {**TARGET, "labels": ["cat"]},
    "params": {"stage": "off"},
    "expected": {"format": 1, "recall": 1.0, "precision": 1.0, "total": 3.0},
}


def of(**changes: Any) -> str:
    """A file of one case with other values."""
    return json.dumps({"cases": [{**CASE, **changes}]})


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded cases are not available")
@pytest.mark.parametrize("name", FILES)
def test_every_recorded_case_matches(name: str) -> None:
    report = check_file(RECORDED / f"{name}.json")
    assert len(report.results) >= FILES[name]
    assert {result.id for result in report.results if result.verdict == DIFFERS} == READ_OTHERWISE.get(name, set())
    unequal = {result.id for result in report.results if result.verdict in APART and not result.equal}
    assert unequal <= SETTLED_OTHERWISE


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "match"),
        ({"expected": {"recall": 0.99}}, "differ"),
        ({"expected": {"recall": 1.0, "beauty": 1.0}}, "differ"),
        ({"expected": {"recall": 0.5}, "tie": True}, "tie"),
        ({"expected": {"recall": 0.5}, "ambiguous": "open"}, "ambiguous"),
        ({"expected": {"raises": "ValueError", "partial": {"recall": 0.5}}}, "published code raised"),
        ({"expected": {"recall": "NaN", "precision": 1.0}}, "published code gave no number"),
        ({"expected": {"recall": "NaN", "precision": 0.5}}, "differ"),
        ({"expected": {"recall": 10**400}}, "published code gave no number"),
    ],
)
def test_the_verdict(changes: dict[str, Any], verdict: str) -> None:
    assert check_case({**CASE, **changes}).verdict == verdict


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"step": 1500}, {"format": 1.0, "recall": 1.0, "precision": 1.0}),
        ({}, {"overall": 1.0, "recall": 1.0}),
        ({}, {"od_ap": 0.0, "od_ap50": 0.0, "odLength": 0.0, "weighted_sum": 0.0}),
        ({"task": "detection", "tau": 0.5}, {"iou": 0.0, "confidence": 0.0, "total": 0.0}),
        ({"math_verify": False}, {"iou": 0.0, "confidence": 0.0, "format": 0.0}),
        ({"math_verify": False}, {"accuracy": 0.0, "format": 0.0}),
    ],
)
def test_the_preset_follows_from_the_case(params: dict[str, Any], expected: dict[str, float]) -> None:
    box = "[0, 0, 500, 500]" if "overall" in expected else "[0, 0, 50, 50]"
    completion = f'[{{"bbox_2d": {box}, "label": "cat"}}]'
    assert check_case({**CASE, "completion": completion, "params": params, "expected": expected}).verdict == "match"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"cases\.json: expected JSON, got an error: "),
        ("[" * 100_000, r"cases\.json: expected JSON, got a document that is nested too deeply"),
        ("[]", r"cases\.json: expected a JSON object with a list of cases, got \[\]"),
        ('{"cases": []}', "expected a JSON object with a list of cases, got "),
        ('{"cases": 5}', "expected a JSON object with a list of cases, got "),
        ('{"cases": [7]}', r"cases\[0\]: expected the keys id \(text\), .*, got 7"),
        (
            '{"cases": [{"id": "one"}]}',
            r"cases\[0\]: expected .*missing completion, target, params, expected",
        ),
        (of(params={}), r"cases\[0\]: expected scores of a known preset, got"),
        (of(completion=None), r"cases\[0\]: expected the keys .*: wrong or missing completion"),
        (of(target=[1]), r"cases\[0\]: expected the keys .*: wrong or missing target"),
        (of(params={"stage": "noon"}), r"cases\[0\]: expected the target, .*KeyError: 'noon'"),
        (of(params={"stage": [1]}), r"cases\[0\]: expected the target, parameters and scores of a recorded case, got"),
        (of(target={**TARGET, "boxes": [["a"]]}), r"cases\[0\]: expected the target, .*TypeError"),
        (of(target={**TARGET, "boxes": [[1, 2]]}), r"cases\[0\]: expected the target, .*ValueError"),
        (of(target={**TARGET, "input_width": 0}), r"cases\[0\]: expected the target, .*frame: expected"),
        (of(expected={"recall": [1.0]}), r"cases\[0\]: expected the target, .*TypeError"),
        (of(expected={"recall": 1.0, "partial": 3}), r"cases\[0\]: expected the target, .*TypeError"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "cases.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        check_file(tmp_path / "cases.json")


def test_the_command(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.json", tmp_path / "wrong.json"
    right.write_text(json.dumps({"cases": [CASE, {**CASE, "id": "torn", "tie": True}]}))
    wrong.write_text(json.dumps({"cases": [{**CASE, "id": "off", "expected": {"recall": 0.5}}]}))
    done = CliRunner().invoke(app, ["conformance", str(right)])
    assert done.exit_code == 0
    assert "right.json: 2 cases, 1 match, 0 differ; counted separately: 1 tie" in done.output
    assert "torn" in done.output
    done = CliRunner().invoke(app, ["conformance", str(right), str(wrong)])
    assert done.exit_code == 1
    assert "differ: off: format 1, recall 1, precision 1, total 3; recorded: recall 0.5" in done.output
    done = CliRunner().invoke(app, ["conformance", "--json", str(wrong)])
    assert json.loads(done.output)[str(wrong)]["differing"] == ["off"]
