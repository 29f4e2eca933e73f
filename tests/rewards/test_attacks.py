"""What `robust` pays for answers that cheat, and that the documentation shows what the presets really pay."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verl_vision_r1 import load_curriculum, load_preset
from verl_vision_r1.cli import app
from verl_vision_r1.rewards.attacks import ATTACKS, HONEST, PRESETS, Attack, share, table
from verl_vision_r1.rewards.refinement import OFF, Stage

ROBUST = load_preset("robust")
STAGES = [OFF, *load_curriculum("halfway").stages]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "background" / "attacks.md"


def test_there_are_enough_attacks_and_each_has_its_own_name() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 25


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_robust_pays_little_for_an_attack(attack: Attack, stage: Stage) -> None:
    paid = share(ROBUST, attack, stage)
    assert paid is not None
    assert paid <= (0.6 if attack.holds_truth else 0.35)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("attack", HONEST, ids=lambda attack: attack.name)
def test_robust_pays_the_honest_answer_in_full(attack: Attack, stage: Stage) -> None:
    assert share(ROBUST, attack, stage) == pytest.approx(1.0)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_honest_answer_is_spelled_as_each_preset_reads_it(preset: str) -> None:
    assert share(load_preset(preset), HONEST[0]) == pytest.approx(1.0)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_no_honest_answer_in_disguise(attack: Attack) -> None:
    """Each attack pays something less than everything somewhere, or it would not be one."""
    paid = [share(load_preset(preset), attack) for preset in PRESETS]
    assert min(value for value in paid if value is not None) < 1


def test_the_page_shows_what_the_presets_pay() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), "run make attacks"


def test_the_command(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["attacks", "--preset", "robust", "--curriculum", "halfway", "--json"])
    assert json.loads(done.output)["swapped labels"] == {"robust": pytest.approx(0.1)}
    done = CliRunner().invoke(app, ["attacks", "--preset", "nonsense"])
    assert done.exit_code == 1
    own = tmp_path / "own.yaml"
    own.write_text("tasks: {detection: {answer: json_boxes, match: assignment, criteria: {recall: {weight: 1}}}}")
    done = CliRunner().invoke(app, ["attacks", "--preset", str(own)])
    assert "| every box 5 times | 1.00 |" in done.output
    own.write_text("tasks: {detection: {answer: 'math:sqrt', match: none, criteria: {recall: {weight: 1}}}}")
    done = CliRunner().invoke(app, ["attacks", "--preset", str(own)])
    assert "expected one of the parsers that come with the package" in done.output
