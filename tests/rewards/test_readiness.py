"""A curriculum that waits: when a stage begins, that it never ends, and what a checkpoint keeps."""

import json
from typing import Any

import pytest

from verl_vision_r1 import load_curriculum
from verl_vision_r1.rewards.readiness import Readiness, mean_iou_of_matches
from verl_vision_r1.rewards.refinement import Curriculum

LOOSE, TIGHT = {"xi0": 0.5, "xi1": 0.5, "xi2": 0.75}, {"xi0": 0.75, "xi1": 0.75, "xi2": 0.9}


def curriculum(**second: Any) -> Curriculum:
    stages = [LOOSE, {**TIGHT, "mean_iou": 0.7, **second}, {**TIGHT, "mean_iou": 0.8}]
    return Curriculum.from_config({"stages": stages, "window": 2})


def stages_of(readiness: Readiness, values: list[float], first: int = 1) -> list[int]:
    """The stage of each step, before its mean IoU is known."""
    found = []
    for step, value in enumerate(values, start=first):
        found.append(readiness.curriculum.stage(step, readiness.total_steps, readiness.reached).index)
        readiness.observe(step, value)
    return found


def test_a_stage_begins_when_the_mean_over_the_window_reaches_it() -> None:
    readiness = Readiness(curriculum(), total_steps=100)
    assert stages_of(readiness, [0.9, 0.4, 0.7, 0.7, 0.6, 0.6]) == [0, 0, 0, 0, 1, 1]


def test_a_full_window_is_needed() -> None:
    assert stages_of(Readiness(curriculum(), total_steps=100), [1.0, 1.0, 1.0]) == [0, 0, 1]


def test_one_stage_begins_after_the_other_and_none_ends() -> None:
    readiness = Readiness(curriculum(), total_steps=100)
    assert stages_of(readiness, [0.9, 0.9, 0.9, 0.0, 0.0, 0.0]) == [0, 0, 1, 2, 2, 2]
    assert readiness.reached == 2


def test_the_latest_start() -> None:
    readiness = Readiness(curriculum(at=0.5), total_steps=6)
    assert stages_of(readiness, [0.0] * 6) == [0, 0, 0, 1, 1, 1]


def test_without_a_latest_start_a_stage_may_never_begin() -> None:
    assert stages_of(Readiness(curriculum(), total_steps=6), [0.0] * 6) == [0] * 6


def test_a_longer_run_does_not_take_a_stage_back() -> None:
    readiness = Readiness(curriculum(at=0.5), total_steps=4)
    stages_of(readiness, [0.0] * 3)
    resumed = Readiness(curriculum(at=0.5), total_steps=100)
    resumed.load_state_dict(readiness.state_dict())
    assert stages_of(resumed, [0.0], first=4) == [1]


def test_a_resumed_run_takes_the_same_course() -> None:
    values = [0.6, 0.7, 0.72, 0.7, 0.9, 0.9, 0.1]
    whole = stages_of(Readiness(curriculum(), total_steps=100), values)
    for at in range(len(values)):
        first = Readiness(curriculum(), total_steps=100)
        before = stages_of(first, values[:at])
        second = Readiness(curriculum(), total_steps=100)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert before + stages_of(second, values[at:], first=at + 1) == whole


def test_a_state_of_more_stages_than_there_are_is_the_last() -> None:
    readiness = Readiness(load_curriculum("when_ready"), total_steps=10)
    readiness.load_state_dict({"reached": 7, "recent": [0.5] * 99})
    assert (readiness.reached, len(readiness.recent)) == (1, 10)
    for state in ({}, {"reached": "x", "recent": []}, {"reached": 0, "recent": [None]}):
        with pytest.raises(ValueError, match="expected the keys reached and recent"):
            readiness.load_state_dict(state)


def test_a_curriculum_by_the_clock_is_not_moved() -> None:
    readiness = Readiness(load_curriculum("halfway"), total_steps=4)
    assert not readiness.curriculum.waits
    assert stages_of(readiness, [1.0] * 4) == [0, 0, 1, 1]


def test_every_match_weighs_the_same() -> None:
    extras: list[dict[str, float | str]] = [
        {"mean_iou": 0.9, "matched_boxes": 1.0},
        {"mean_iou": 0.5, "matched_boxes": 3.0},
        {"mean_iou": 0.0, "matched_boxes": 0.0},
    ]
    assert mean_iou_of_matches(extras) == pytest.approx(0.6)
    assert mean_iou_of_matches(extras[2:]) == mean_iou_of_matches([]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 0}, r"curriculum\.window: expected a number of steps >= 1, got 0"),
        ({"window": 2.5}, r"curriculum\.window: expected"),
        (
            {"interpolation": "linear"},
            r"curriculum\.interpolation: expected step for stages with mean_iou, got linear",
        ),
        ({"stages": [{**LOOSE, "mean_iou": 0.5}]}, "curriculum stage 0: mean_iou: expected no value, .* got 0.5"),
        (
            {"stages": [LOOSE, {**TIGHT, "mean_iou": 1.5}]},
            r"stage 1: mean_iou: expected a number in \[0, 1\], got 1.5",
        ),
        ({"stages": [LOOSE, {**TIGHT, "iou": 0.5}]}, r"stages\[1\]: expected keys of .*mean_iou"),
    ],
)
def test_mistakes_name_the_key(change: dict[str, Any], message: str) -> None:
    config = {"stages": [LOOSE, {**TIGHT, "mean_iou": 0.7}], **change}
    with pytest.raises(ValueError, match=message):
        Curriculum.from_config(config)
