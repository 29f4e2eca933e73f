"""What a page says of one answer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_on_disk import Run, spoken

from verl_vision_r1.evaluation.predictions.predictions_file import read_predictions
from verl_vision_r1.report.rollout_files import find_rollout_files
from verl_vision_r1.report.rollouts import BOXES, LETTERS, describe, read_answer
from verl_vision_r1.targets import Target

TARGET = Target([[0, 0, 100, 100], [200, 100, 300, 200]], ["cat", "dog"], width=400, height=300)


def described(run: Run, answer: str, **more: Any) -> dict[str, Any]:
    run.ask([answer], TARGET, image="", **more)
    (folder,) = find_rollout_files(run.write())
    (line,) = read_predictions(folder.files[1]).lines
    return describe(line, "training", folder.rules)


def test_boxes_are_in_original_pixels_and_pairs_name_both_sides(run: Run) -> None:
    run.frame = (200.0, 150.0)
    found = described(run, spoken(((100, 50, 150, 100), "dog"), ((0, 0, 50, 40), "bird")))
    assert found["boxes"] == [[200.0, 100.0, 300.0, 200.0], [0.0, 0.0, 100.0, 80.0]]
    assert found["labels"] == ["dog", "bird"]
    assert sorted(found["pairs"]) == [(0, 1, 1.0, True), (1, 0, 0.8, False)]
    assert found["flags"] == ["label_unknown"]


def test_criteria_stand_refined_beside_raw(run: Run) -> None:
    found = described(run, spoken(((0, 0, 100, 60), "cat")))
    assert found["criteria"] == {"format": [1.0, 1.0], "precision": [0.6, 0.6], "recall": [0.5, 0.5]}
    assert found["total"] == pytest.approx(2.1)


def test_a_total_that_is_not_the_recorded_one_is_marked(run: Run) -> None:
    found = described(run, spoken(((0, 0, 100, 100), "cat")), total=1.25)
    assert (found["total"], found["flags"]) == (1.25, ["rescored_otherwise"])


def test_without_rules_boxes_are_read_and_nothing_is_matched(run: Run) -> None:
    run.ask([spoken(((0, 0, 100, 100), "cat"))], TARGET, image="")
    (folder,) = find_rollout_files(run.write(described=False))
    found = describe(read_predictions(folder.files[1]).lines[0], "training", folder.rules)
    assert (found["boxes"], found["pairs"], found["flags"]) == ([[0.0, 0.0, 100.0, 100.0]], [], [])


def test_what_is_too_long_is_cut_and_says_so(run: Run) -> None:
    many = spoken(*[((index, 0, index + 1, 9), "cat") for index in range(390)])
    found = described(run, many + "x" * LETTERS)
    assert (len(found["text"]), found["letters"]) == (LETTERS, len(many) + LETTERS)
    assert (len(found["boxes"]), found["predicted"]) == (BOXES, 390)
    assert found["flags"] == ["cut_here"]


@given(st.text(max_size=400))
def test_no_text_raises(text: str) -> None:
    from verl_vision_r1.evaluation.predictions.predictions_file import Line
    from verl_vision_r1.rewards.presets import load_preset
    from verl_vision_r1.rewards.refinement import OFF

    facts = dict.fromkeys(("prompt", "data_source", "image_id", "question", "subject", "image", "ground_truth"), "")
    line = Line(1, text, frame=(400, 300), target=TARGET, clipped=False, step=1, values={}, **facts)
    for rules in (None, load_preset("robust").rules_of(TARGET)):
        reading = read_answer(line, rules, OFF)
        assert len(reading.boxes) >= len(reading.pairs)
