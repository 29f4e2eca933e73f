"""Advantages by criterion, compared with the written-out formula."""

import numpy as np
import pytest
import torch

pytest.importorskip("verl", reason="the estimator is verl's")
pytestmark = pytest.mark.verl

MASK = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]])
GROUPS = np.array(["a", "a", "b", "b"], dtype=object)
EXTRAS = [
    {"format": 1.0, "recall": 0.2},
    {"format": 0.0, "recall": 0.4},
    {"format": 1.0, "recall": 0.9},
    {"format": 1.0, "recall": 0.1},
]


def expected(weights: dict[str, float]) -> np.ndarray:
    total = np.zeros(4)
    for key, weight in weights.items():
        values = np.array([extra[key] for extra in EXTRAS])
        for group in "ab":
            rows = group == GROUPS
            total[rows] += weight * (values[rows] - values[rows].mean()) / (values[rows].std(ddof=1) + 1e-6)
    tokens = np.repeat(total, MASK.sum(dim=1).numpy())
    return (total - tokens.mean()) / np.sqrt(tokens.var(ddof=1) + 1e-8)


def advantages(**config: object) -> torch.Tensor:
    from verl_vision_r1.training.advantages import compute_advantage_by_criterion, criteria_of_the_batch

    with criteria_of_the_batch(EXTRAS):
        found, returns = compute_advantage_by_criterion(torch.zeros(4, 3), MASK, GROUPS, config=config)
    assert torch.equal(found, returns)
    return found


@pytest.mark.parametrize("weights", [{"format": 1.0, "recall": 1.0}, {"format": 0.5, "recall": 2.0}, {"recall": 1.0}])
def test_each_criterion_is_normalised_by_itself(weights: dict[str, float]) -> None:
    found = advantages(gdpo_reward_keys=list(weights), gdpo_reward_weights=list(weights.values()))
    for row, value in enumerate(expected(weights)):
        length = int(MASK[row].sum())
        assert found[row, :length].tolist() == pytest.approx([value] * length, rel=1e-3)
        assert found[row, length:].tolist() == [0.0] * (3 - length)


def test_verl_finds_the_estimator_by_its_name() -> None:
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    import verl_vision_r1.training.advantages as ours

    assert get_adv_estimator_fn("vision_r1_gdpo") is ours.compute_advantage_by_criterion


def test_error_messages() -> None:
    from verl_vision_r1.training.advantages import compute_advantage_by_criterion

    with pytest.raises(ValueError, match=r"gdpo_reward_keys: expected some of format, recall, got \['precision'\]"):
        advantages(gdpo_reward_keys=["precision"])
    with pytest.raises(ValueError, match=r"gdpo_reward_keys: expected some of format, recall, got \[\]"):
        advantages()
    with pytest.raises(ValueError, match="trainer_mode: expected a mode that begins with vision_r1_"):
        compute_advantage_by_criterion(torch.zeros(4, 3), MASK, GROUPS, config={"gdpo_reward_keys": ["format"]})
