"""What GRPO makes of a policy: the honest strategy wins under `robust`, and the simulation shows where it does not."""

from pathlib import Path

import numpy as np
import pytest

from verl_vision_r1 import load_curriculum, load_preset
from verl_vision_r1.rewards import policies
from verl_vision_r1.rewards.policies import CELLS, HONEST, Cell, Outcome, outcomes, prompts, simulate, table
from verl_vision_r1.rewards.presets import preset_from_config, read_preset
from verl_vision_r1.rewards.refinement import OFF, Stage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "background" / "policies.md"
STAGES = {
    "none": OFF,
    "beginner": load_curriculum("halfway").stages[0],
    "advanced": load_curriculum("halfway").stages[1],
}


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_honest_wins_every_cell_of_robust(stage: Stage) -> None:
    for cell, outcome in outcomes(load_preset("robust"), stage).items():
        assert outcome.favourite == HONEST, cell
        assert outcome.honest > 0.9, cell
        assert max(outcome.rewards, key=lambda name: outcome.rewards[name]) == HONEST, cell


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_does_not_hang_on_the_seed(seed: int) -> None:
    found = outcomes(load_preset("robust"), STAGES["advanced"], seed)
    assert min(outcome.honest for outcome in found.values()) > 0.9


def test_a_blind_policy_wins_where_thresholds_are_too_strict_for_the_model() -> None:
    """Vision-R1's advanced thresholds with boxes of IoU 0.6: every honest box counts nothing."""
    found = outcomes(load_preset("vision_r1"), STAGES["advanced"])
    blind = {cell: outcome for cell, outcome in found.items() if outcome.favourite != HONEST}
    assert {cell.quality for cell in blind} == {0.6}
    assert {outcome.favourite for cell, outcome in blind.items() if cell.negatives} == {"no box"}


def test_a_full_reward_for_negative_samples_would_favour_no_box() -> None:
    config = read_preset("robust")
    config["tasks"]["detection"]["criteria"]["f1"]["empty"] = 1.0
    rewards = outcomes(preset_from_config(config), STAGES["advanced"])[Cell(1.0, 0.6, divided=False)].rewards
    assert rewards["no box"] > rewards[HONEST] > 0.4


def test_rewards_decide_the_end() -> None:
    """With one strategy rewarded and no other, it wins whatever it is."""
    for place, name in enumerate(policies.STRATEGIES):
        rewards = np.zeros((4, len(policies.STRATEGIES)))
        rewards[:, place] = 1.0
        found = simulate((rewards, rewards[:2]), Cell(0.0, 0.9, divided=True))
        assert isinstance(found, Outcome)
        assert (found.favourite, found.rewards[name]) == (name, 1.0)


def test_the_prompts_are_boxes_of_real_images() -> None:
    counts = [len(target.boxes) for target in prompts()]
    assert (len(counts), sum(counts)) == (362, 929)
    assert max(counts) > 10


def test_a_parser_of_ones_own_is_refused() -> None:
    config = read_preset("vision_r1")
    config["tasks"]["detection"]["parser"] = "math:sqrt"
    with pytest.raises(ValueError, match="policies: expected one of the parsers that come with the package"):
        outcomes(preset_from_config(config), OFF)


@pytest.mark.slow
def test_the_page_shows_what_the_command_prints() -> None:
    loaded = {name: load_preset(name) for name in ("robust", "vision_r1", "visual_rft")}
    stages = {"none": OFF, "advanced": STAGES["advanced"]}
    made = table(loaded, stages)
    assert made in PAGE.read_text(encoding="utf-8"), "run make attacks"
    assert made.count("\n") == 2 * len(CELLS) + 1
