"""Checks that the run uses the rewards under `vision_r1.reward`: verl accepts keys that bypass or ignore them."""

from collections.abc import Iterator
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf

LEGACY: Final = {
    "reward_model.reward_manager": "reward.reward_manager.name",
    "reward_model.num_workers": "reward.num_workers",
}
"""Keys of older releases whose new name is not the old one under `reward`."""
CRITERION: Final = "+vision_r1.reward.tasks.TASK.criteria.NAME.function=PACKAGE.MODULE:FUNCTION"


def check_rewards(config: DictConfig) -> None:
    """Refuse keys that have no effect, and a reward manager without rewards.

    Raises:
        ValueError: The message has the key, the expected value and the value found.
    """
    for key, value in _leaves(config):
        if key.startswith("custom_reward_function"):
            _refuse_function(f"{key}: verl 0.9 ignores this key", value)
        raise ValueError(
            f"{key}: verl 0.9 ignores this key; expected {LEGACY.get(key, f'reward.{key}')}, got {value!r}"
        )
    reward = config.reward
    if not _is_ours(config):
        if not reward.custom_reward_function.path and reward.reward_manager.source == "register":
            raise ValueError(
                f"reward.reward_manager.name: expected vision_r1, got {reward.reward_manager.name!r}, which ignores"
                " vision_r1.reward and has no reward for these samples; remove the override"
            )
    elif reward.custom_reward_function.path:
        path = reward.custom_reward_function.path
        _refuse_function("reward.custom_reward_function.path: the reward manager vision_r1 ignores this key", path)


def reward_warnings(config: DictConfig) -> list[str]:
    """What replaces the rewards under `vision_r1.reward`."""
    warnings, reward = [], config.reward
    if not _is_ours(config):
        warnings.append(
            f"reward.reward_manager.name: expected vision_r1, got {reward.reward_manager.name!r}: the rewards under"
            " vision_r1.reward are not used"
        )
    if reward.reward_model.enable and not reward.custom_reward_function.path:
        warnings.append(
            "reward.reward_model.enable: expected false, got true: verl takes the score of the reward model, and the"
            " rewards under vision_r1.reward are not used"
        )
    return warnings


def _refuse_function(problem: str, value: Any) -> None:
    raise ValueError(f"{problem}; expected the function as a criterion, {CRITERION}, got {value!r}")


def _leaves(config: DictConfig) -> Iterator[tuple[str, Any]]:
    """The keys of older releases that are set; verl still declares them, all null."""
    for block in ("custom_reward_function", "reward_model", "sandbox_fusion"):
        found = OmegaConf.to_container(config.get(block) or OmegaConf.create(), resolve=True)
        yield from _set(found, block)


def _set(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _set(inner, f"{key}.{name}")
    elif value is not None:
        yield key, value


def _is_ours(config: DictConfig) -> bool:
    """Whether the reward manager is `vision_r1` or derives from it."""
    manager = config.reward.reward_manager
    if manager.source == "register" and manager.name == "vision_r1":
        return True
    from verl.trainer.ppo.reward import resolve_reward_manager_cls

    from verl_vision_r1.reward_manager import VisionR1RewardManager

    try:
        return issubclass(resolve_reward_manager_cls(config), VisionR1RewardManager)
    except (ValueError, ImportError, AttributeError, AssertionError, OSError) as error:
        raise ValueError(f"reward.reward_manager: expected name=vision_r1, got {manager.name!r}: {error}") from error
