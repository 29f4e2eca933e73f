"""The thresholds at a step."""

from typing import Any

import numpy as np
import pytest

from verl_vision_r1 import load_curriculum
from verl_vision_r1.rewards.refinement import OFF, Curriculum, Stage, refine

BEGINNER, ADVANCED = (0.5, 0.5, 0.75), (0.75, 0.75, 0.9)


def thresholds(stage: Stage) -> tuple[float, float, float]:
    return stage.xi0, stage.xi1, stage.xi2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Steps 0 (before training), 1, 4, 5, 6 and 12 of 12.
        ("none", [(0.5, 0.0, 1.0)] * 6),
        ("beginner_only", [BEGINNER] * 6),
        ("third", [BEGINNER, BEGINNER, BEGINNER, ADVANCED, ADVANCED, ADVANCED]),
        ("halfway", [BEGINNER, BEGINNER, BEGINNER, BEGINNER, BEGINNER, ADVANCED]),
    ],
)
def test_packaged_curricula(name: str, expected: list[tuple[float, ...]]) -> None:
    curriculum = load_curriculum(name)
    assert [thresholds(curriculum.stage(step, 12)) for step in (0, 1, 4, 5, 6, 12)] == expected


def test_halfway_gives_each_stage_half_of_the_steps() -> None:
    curriculum = load_curriculum("halfway")
    for total in (2, 10, 100, 3060):
        stages = [curriculum.stage(step, total).index for step in range(1, total + 1)]
        assert stages == [0] * (total // 2) + [1] * (total // 2)


def test_linear_interpolates_between_the_stages() -> None:
    curriculum = load_curriculum("linear")
    assert thresholds(curriculum.stage(1, 10)) == BEGINNER
    assert thresholds(curriculum.stage(6, 10)) == pytest.approx((0.625, 0.625, 0.825))
    assert thresholds(curriculum.stage(11, 10)) == ADVANCED


def test_at_step_does_not_depend_on_the_total() -> None:
    curriculum = Curriculum((Stage(*BEGINNER), Stage(*ADVANCED, at_step=7, index=1)))
    for total in (8, 1000):
        assert [curriculum.stage(step, total).index for step in (1, 6, 7, 8)] == [0, 0, 1, 1]


def test_none_is_not_beginner_only() -> None:
    assert load_curriculum("none").stages[0] == OFF
    assert load_curriculum("none") != load_curriculum("beginner_only")


def test_the_stage_reached_counts_from_its_batch_on() -> None:
    curriculum = load_curriculum("when_ready")
    assert [curriculum.stage(1, 100, reached).index for reached in (0, 1, 9)] == [0, 1, 1]
    assert [curriculum.stage(step, 100).index for step in (75, 76)] == [0, 1]  # At the latest.


def test_validation_uses_one_stage() -> None:
    assert thresholds(load_curriculum("halfway").validation_stage()) == ADVANCED
    first = Curriculum.from_config(
        {"stages": [{"xi0": 0, "xi1": 0, "xi2": 1}, {"at": 1, "xi0": 1, "xi1": 1, "xi2": 1}], "validation": "first"}
    )
    assert first.validation_stage().index == 0


def test_values_are_refined_as_in_equation_8() -> None:
    stage = Stage(*BEGINNER)
    values = np.array([0.0, 0.4999, 0.5, 0.6, 0.7499, 0.75, 1.0])
    assert refine(values, stage).tolist() == [0.0, 0.0, 0.5, 0.6, 0.7499, 1.0, 1.0]
    assert refine(values, OFF).tolist() == values.tolist()


VALID = {"xi0": 0.5, "xi1": 0.5, "xi2": 0.75}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "expected a list of stages"),
        ({"stages": []}, "expected at least one stage"),
        ({"stages": [VALID], "speed": 1}, "and the keys .* got .*'speed'"),
        ({"stages": [{"xi0": 0.5}]}, r"stages\[0\]: expected keys of"),
        ({"stages": [{**VALID, "xi3": 1}]}, r"stages\[0\]: expected keys of .* got .*'xi3'"),
        ({"stages": [{**VALID, "xi0": 1.5}]}, r"stage 0: xi0: expected a number in \[0, 1\], got 1.5"),
        ({"stages": [{**VALID, "xi0": True}]}, "xi0: expected a number in .* got True"),
        ({"stages": [{**VALID, "xi0": "high"}]}, "xi0: expected a number in .* got 'high'"),
        ({"stages": [{**VALID, "xi1": 0.8}]}, "expected xi1 <= xi2, got 0.8 and 0.75"),
        ({"stages": [{**VALID, "at": 0.5}]}, r"stage 0: expected to start with the training run \(at=0\), got at=0.5"),
        ({"stages": [{**VALID, "at_step": 5}]}, "stage 0: expected to start with the training run .*, got at_step=5"),
        ({"stages": [VALID, {**VALID, "at": 0.0}]}, "stage 1: expected at > 0.0 of the previous stage, got 0.0"),
        (
            {"stages": [VALID, {**VALID, "at_step": 300}, {**VALID, "at_step": 100}]},
            "stage 2: expected at_step > 300 of the previous stage, got 100",
        ),
        ({"stages": [VALID, {**VALID, "at_step": -1}]}, "at_step: expected a step, got -1"),
        ({"stages": [VALID], "interpolation": "cubic"}, "interpolation: expected step or linear, got 'cubic'"),
        ({"stages": [VALID], "validation": "best"}, "validation: expected last or first, got 'best'"),
    ],
)
def test_an_invalid_curriculum_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Curriculum.from_config(config)
