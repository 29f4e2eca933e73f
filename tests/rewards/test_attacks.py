"""Reward hacking: limits for `robust`, and the table of the documentation is up to date."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verl_vision_r1 import load_curriculum, load_preset
from verl_vision_r1.cli import app
from verl_vision_r1.rewards.attacks import ATTACKS, HONEST, PRESETS, Attack, as_table, fraction, fractions
from verl_vision_r1.rewards.refinement import OFF, Stage

ROBUST = load_preset("robust")
STAGES = [OFF, *load_curriculum("halfway").stages]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "background" / "attacks.md"


def test_attack_names_are_unique() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 25


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_robust_gives_little_for_an_attack(attack: Attack, stage: Stage) -> None:
    value = fraction(ROBUST, attack, stage)
    assert value is not None
    # Correct boxes with surplus get what their F1 says: 3 junk boxes beside 3 objects are the mildest of them.
    assert value <= (0.1 + 0.9 * 6 / 9 + 1e-9 if attack.has_correct_boxes else 0.35)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("attack", HONEST, ids=lambda attack: attack.name)
def test_robust_gives_the_maximum_for_a_perfect_prediction(attack: Attack, stage: Stage) -> None:
    assert fraction(ROBUST, attack, stage) == pytest.approx(0.1 + 0.9 * 0.5 if attack.negative else 1.0)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_perfect_prediction_has_the_format_of_each_preset(preset: str) -> None:
    assert fraction(load_preset(preset), HONEST[0]) == pytest.approx(1.0)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_not_a_perfect_prediction(attack: Attack) -> None:
    """At least one preset gives each attack less than the maximum."""
    values = [fraction(load_preset(preset), attack) for preset in PRESETS]
    assert min(value for value in values if value is not None) < 1


def test_the_table_of_the_page_is_up_to_date() -> None:
    assert as_table(fractions()) in PAGE.read_text(encoding="utf-8"), "run make attacks"


def test_the_command(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["attacks", "--preset", "robust", "--curriculum", "halfway", "--json"])
    assert json.loads(done.output)["swapped labels"] == {"robust": pytest.approx(0.1)}
    done = CliRunner().invoke(app, ["attacks", "--preset", "nonsense"])
    assert done.exit_code == 1
    own = tmp_path / "own.yaml"
    own.write_text("tasks: {detection: {parser: json_boxes, matcher: assignment, criteria: {recall: {weight: 1}}}}")
    done = CliRunner().invoke(app, ["attacks", "--preset", str(own)])
    assert "| every box 5 times | 1.00 |" in done.output
    own.write_text("tasks: {detection: {parser: 'math:sqrt', matcher: none, criteria: {recall: {weight: 1}}}}")
    done = CliRunner().invoke(app, ["attacks", "--preset", str(own)])
    assert "expected a preset with a built-in parser" in done.output
