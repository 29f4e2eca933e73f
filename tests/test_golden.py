"""The preset `vision_r1` against recorded cases of an independent oracle, where they stand beside the project."""

import json
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1 import Target, load_preset, score
from verl_vision_r1.refinement import OFF, Stage

CASES = Path(__file__).resolve().parents[2] / "shared" / "golden" / "vision_r1_paper.json"
STAGES = {"off": OFF, "beginner": Stage(0.5, 0.5, 0.75), "advanced": Stage(0.75, 0.75, 0.9)}
SETTLED_OTHERWISE = {
    "whitespace-only label": "A label of blanks is no label for format, whatever the recorded case says.",
}


def outcome(case: dict[str, Any]) -> dict[str, float]:
    given = case["target"]
    target = Target(given["boxes"], given["labels"], given["width"], given["height"], tuple(given["categories"]))
    frame = (given["input_width"], given["input_height"])
    scores = score(
        case["completion"], target, load_preset("vision_r1"), frame=frame, stage=STAGES[case["params"]["stage"]]
    )
    return {**scores.parts, "total": scores.total}


@pytest.mark.skipif(not CASES.is_file(), reason="the recorded cases are not beside the project")
def test_every_recorded_case_is_met() -> None:
    cases = json.loads(CASES.read_text(encoding="utf-8"))["cases"]
    assert len(cases) >= 400
    missed = [case for case in cases if outcome(case) != pytest.approx(case["expected"], abs=1e-5)]
    assert [case["id"] for case in missed if case.get("ambiguous") not in SETTLED_OTHERWISE] == []
