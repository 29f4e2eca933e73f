"""The description of one rollout."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_on_disk import Run, boxes_text

from verl_vision_r1.evaluation.predictions.predictions_file import read_predictions
from verl_vision_r1.report.rollout_files import find_rollout_files
from verl_vision_r1.report.rollouts import MAX_BOXES, MAX_CHARACTERS, describe, parse
from verl_vision_r1.targets import Target

TARGET = Target([[0, 0, 100, 100], [200, 100, 300, 200]], ["cat", "dog"], width=400, height=300)


def described(run: Run, completion: str, **more: Any) -> dict[str, Any]:
    run.add([completion], TARGET, image="", **more)
    (folder,) = find_rollout_files(run.write())
    (line,) = read_predictions(folder.files[1]).lines
    return describe(line, "training", folder.rules)


def test_boxes_are_in_original_image_pixels_and_matches_have_both_indices(run: Run) -> None:
    run.frame = (200.0, 150.0)
    found = described(run, boxes_text(((100, 50, 150, 100), "dog"), ((0, 0, 50, 40), "bird")))
    assert found["boxes"] == [[200.0, 100.0, 300.0, 200.0], [0.0, 0.0, 100.0, 80.0]]
    assert found["labels"] == ["dog", "bird"]
    assert sorted(found["pairs"]) == [(0, 1, 1.0, True), (1, 0, 0.8, False)]
    assert found["flags"] == ["label_unknown"]


def test_criteria_have_a_refined_and_a_raw_value(run: Run) -> None:
    found = described(run, boxes_text(((0, 0, 100, 60), "cat")))
    assert found["criteria"] == {"format": [1.0, 1.0], "precision": [0.6, 0.6], "recall": [0.5, 0.5]}
    assert found["total"] == pytest.approx(2.1)


def test_a_total_other_than_the_recorded_one_is_flagged(run: Run) -> None:
    found = described(run, boxes_text(((0, 0, 100, 100), "cat")), total=1.25)
    assert (found["total"], found["flags"]) == (1.25, ["rescored_otherwise"])


def test_without_a_reward_configuration_boxes_are_parsed_but_not_matched(run: Run) -> None:
    run.add([boxes_text(((0, 0, 100, 100), "cat"))], TARGET, image="")
    (folder,) = find_rollout_files(run.write(described=False))
    found = describe(read_predictions(folder.files[1]).lines[0], "training", folder.rules)
    assert (found["boxes"], found["pairs"], found["flags"]) == ([[0.0, 0.0, 100.0, 100.0]], [], [])


def test_long_completions_are_cut_and_flagged(run: Run) -> None:
    many = boxes_text(*[((index % 390, 0, index % 390 + 1, 9), "cat") for index in range(800)])
    found = described(run, many + "x" * MAX_CHARACTERS)
    assert (len(found["text"]), found["length"]) == (MAX_CHARACTERS, len(many) + MAX_CHARACTERS)
    assert (len(found["boxes"]), found["predicted"]) == (MAX_BOXES, 800)
    assert found["flags"] == ["cut_here"]


@given(st.text(max_size=400))
def test_no_completion_raises(text: str) -> None:
    from verl_vision_r1.evaluation.predictions.predictions_file import Line
    from verl_vision_r1.rewards.presets import load_preset
    from verl_vision_r1.rewards.refinement import OFF

    facts = dict.fromkeys(("prompt", "data_source", "image_id", "question", "subject", "image", "ground_truth"), "")
    line = Line(1, text, frame=(400, 300), target=TARGET, clipped=False, step=1, values={}, **facts)
    for rules in (None, load_preset("robust").rules_of(TARGET)):
        parsed = parse(line, rules, OFF)
        assert len(parsed.boxes) >= len(parsed.matches)
