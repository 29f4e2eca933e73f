"""Reward hacking of points: limits for `robust`, and the table of the documentation is up to date."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verl_vision_r1 import load_curriculum, load_preset
from verl_vision_r1.cli import app
from verl_vision_r1.rewards.attacks import Attack, as_table
from verl_vision_r1.rewards.point_attacks import (
    HONEST_POINTS,
    POINT_ATTACKS,
    POINT_PRESETS,
    point_fraction,
    point_fractions,
)
from verl_vision_r1.rewards.refinement import OFF, Stage

ROBUST = load_preset("robust")
STAGES = [OFF, *load_curriculum("halfway").stages]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "background" / "attacks.md"


def test_attack_names_are_unique() -> None:
    assert len({attack.name for attack in POINT_ATTACKS}) == len(POINT_ATTACKS) >= 25


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("attack", POINT_ATTACKS, ids=lambda attack: attack.name)
def test_robust_gives_little_for_an_attack(attack: Attack, stage: Stage) -> None:
    value = point_fraction(ROBUST, attack, stage)
    assert value is not None
    # Correct points with surplus get what their F1 says: 3 points too many for 3 objects are the mildest of them.
    assert value <= (0.1 + 0.9 * 6 / 9 + 1e-9 if attack.has_correct_boxes else 0.25)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("attack", [*HONEST_POINTS[:2], HONEST_POINTS[3]], ids=lambda attack: attack.name)
def test_robust_gives_the_maximum_for_the_middle_of_each_object(attack: Attack, stage: Stage) -> None:
    assert point_fraction(ROBUST, attack, stage) == pytest.approx(0.1 + 0.9 * 0.5 if attack.negative else 1.0)


@pytest.mark.parametrize("attack", POINT_ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("preset", POINT_PRESETS)
def test_an_attack_is_no_perfect_prediction(attack: Attack, preset: str) -> None:
    value = point_fraction(load_preset(preset), attack)
    assert value is not None
    assert value < 0.84


def test_a_grid_of_points_hits_everything_and_gains_nothing() -> None:
    found = point_fractions()["a grid of 100 points, each label"]
    assert found["robust"] == pytest.approx(0.1 + 0.9 * 2 * 3 / 303, abs=0.01)
    assert found["vision_r1"] == pytest.approx(2 / 3, abs=0.01)


def test_the_table_of_the_page_is_up_to_date() -> None:
    assert as_table(point_fractions()) in PAGE.read_text(encoding="utf-8"), "run make attacks"


def test_the_command() -> None:
    done = CliRunner().invoke(app, ["attacks", "--task", "pointing", "--preset", "robust", "--json"])
    assert json.loads(done.output)["swapped labels"] == {"robust": pytest.approx(0.1)}
    done = CliRunner().invoke(app, ["attacks", "--task", "pointing", "--preset", "visual_rft"])
    assert (done.exit_code, "got task 'pointing'" in done.output) == (1, True)
    done = CliRunner().invoke(app, ["attacks", "--task", "counting"])
    assert (done.exit_code, "--task: expected detection or pointing" in done.output) == (1, True)
