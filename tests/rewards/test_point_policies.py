"""What GRPO makes of a pointing policy: honest points win under `robust`, and exp(-distance) favours blind ones."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from verl_vision_r1 import Target, load_curriculum, load_preset
from verl_vision_r1.cli import app
from verl_vision_r1.rewards.point_policies import (
    POINT_CELLS,
    nearest,
    point_outcomes,
    point_table,
    preset_reward,
)
from verl_vision_r1.rewards.policies import HONEST, Cell
from verl_vision_r1.rewards.presets import preset_from_config, read_preset
from verl_vision_r1.rewards.refinement import OFF, Stage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "background" / "policies.md"
ADVANCED = load_curriculum("halfway").stages[-1]


@pytest.mark.parametrize("stage", [OFF, ADVANCED], ids=["none", "advanced"])
def test_honest_wins_every_cell_of_robust(stage: Stage) -> None:
    for cell, outcome in point_outcomes(preset_reward(load_preset("robust"), stage)).items():
        assert outcome.favourite == HONEST, cell
        assert outcome.honest > 0.9, cell
        assert max(outcome.rewards, key=lambda name: outcome.rewards[name]) == HONEST, cell


def test_exp_of_the_distance_learns_the_middle() -> None:
    """At 30 % of hits, pointing honestly gains nothing over the centre of the image, and a grid beats 90 %."""
    found = {cell: outcome.rewards for cell, outcome in point_outcomes(nearest).items() if not cell.negatives}
    weak, strong = (found[Cell(0.0, quality, divided=True)] for quality in (0.3, 0.9))
    assert weak[HONEST] == pytest.approx(weak["centre"], abs=0.01)
    assert strong["grid of 100"] > strong[HONEST]
    ours = point_outcomes(preset_reward(load_preset("robust"), OFF))[Cell(0.0, 0.3, divided=True)].rewards
    assert ours[HONEST] > 1.25 * ours["centre"]


def test_a_blind_grid_wins_under_exp_of_the_distance() -> None:
    outcome = point_outcomes(nearest)[Cell(0.0, 0.6, divided=True)]
    assert (outcome.favourite, outcome.honest < 0.1) == ("grid of 100", True)


def test_the_reward_by_distance() -> None:
    target = Target([[40, 40, 60, 60]], ["cat"], 100, 100, task="pointing")  # type: ignore[arg-type]
    assert nearest(np.array([[50.0, 50.0], [0.0, 0.0]]), target) == 1.0
    assert nearest(np.zeros((0, 2)), target) == 0.0
    assert nearest(np.zeros((0, 2)), Target([], [], 100, 100, task="pointing")) == 1.0  # type: ignore[arg-type]


def test_a_custom_parser_is_refused() -> None:
    config = read_preset("vision_r1")
    config["tasks"]["pointing"]["parser"] = "math:sqrt"
    with pytest.raises(ValueError, match="policies: expected one of the parsers that come with the package"):
        preset_reward(preset_from_config(config), OFF)


def test_the_command_refuses_a_preset_without_pointing() -> None:
    done = CliRunner().invoke(app, ["attacks", "--policies", "--task", "pointing", "--preset", "visual_rft"])
    assert (done.exit_code, "expected presets for pointing, got visual_rft" in done.output) == (1, True)


@pytest.mark.slow
def test_the_page_shows_what_the_command_prints_about_points() -> None:
    loaded = {name: load_preset(name) for name in ("robust", "vision_r1")}
    made = point_table(loaded, {"none": OFF, "advanced": ADVANCED})
    assert made in PAGE.read_text(encoding="utf-8"), "run make attacks"
    assert made.count("\n") == 2 * len(POINT_CELLS) + 1
