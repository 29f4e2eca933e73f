"""Checks of trainer and algorithm: verl finds these errors after minutes, in the first step, or never."""

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from verl_vision_r1.rewards.presets import Preset

MODES: Final = ("sync", "colocate_async", "separate_async")
"""The trainer modes of verl; the plugin adds one for each."""
OURS: Final = "vision_r1_"
GROUPED: Final = ("grpo", "grpo_vectorized", "vision_r1_gdpo")
"""The advantages that compare the completions of one prompt with each other only."""


def check_training(config: DictConfig, preset: "Preset") -> None:
    """Check the keys `trainer` and `algorithm`, and frozen weights.

    Args:
        config: The configuration of the run.
        preset: Its rewards.

    Raises:
        ValueError: The message has the key, the expected value and the value found.
    """
    used = config.trainer.get("use_v1")
    if not used:
        raise ValueError(
            f"trainer.use_v1: expected True, got {used}; verl's older trainer does not pass the step to the reward"
        )
    _check_mode(str(config.trainer.v1.trainer_mode))
    _check_advantage(config, preset.criteria)
    _check_group(config)
    _check_filter(config, preset)
    _check_frozen(config)


def _check_mode(mode: str) -> None:
    if mode.removeprefix(OURS) in MODES:
        return
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY  # Custom modes are registered too.

    if mode not in TRAINER_REGISTRY:
        near = get_close_matches(mode.removeprefix(OURS), MODES, n=1)
        meant = f"; did you mean {OURS}{near[0]}?" if near else ""
        ours = ", ".join(OURS + name for name in MODES)
        raise ValueError(f"trainer.v1.trainer_mode: expected one of {ours}, got {mode!r}{meant}")


def _check_advantage(config: DictConfig, criteria: tuple[str, ...]) -> None:
    estimator, keys = config.algorithm.adv_estimator, list(config.algorithm.get("gdpo_reward_keys") or ())
    if config.algorithm.use_pf_ppo:
        raise ValueError(
            "algorithm.use_pf_ppo: expected False, got True; with adv_estimator=gae verl's V1 trainer gives"
            " completions the advantages of others (verl #7956), and else it ignores the key; remove the override"
        )
    if estimator == "gdpo":
        raise ValueError(
            "algorithm.adv_estimator: expected vision_r1_gdpo, got 'gdpo', which verl's V1 trainer does not support"
        )
    if estimator != "vision_r1_gdpo":
        return
    if not str(config.trainer.v1.trainer_mode).startswith(OURS):
        raise ValueError(
            "trainer.v1.trainer_mode: expected a mode that begins with vision_r1_ for"
            f" algorithm.adv_estimator=vision_r1_gdpo, got {config.trainer.v1.trainer_mode!r}"
        )
    known = {name for criterion in criteria for name in (criterion, f"{criterion}_raw")}
    if not keys or not set(keys) <= known:
        raise ValueError(f"algorithm.gdpo_reward_keys: expected some of {', '.join(criteria)}, got {keys}")


def _check_group(config: DictConfig) -> None:
    """Check that a group has several completions: alone, its advantage is its reward, without a baseline."""
    estimator, completions = config.algorithm.adv_estimator, config.actor_rollout_ref.rollout.n
    if estimator in GROUPED and completions < 2 and not config.trainer.val_only:
        raise ValueError(
            "actor_rollout_ref.rollout.n: expected at least 2 completions per prompt for"
            f" algorithm.adv_estimator={estimator}, which compares them, got {completions}; set it to 4 or more"
        )


def _check_filter(config: DictConfig, preset: "Preset") -> None:
    """Check the metric of group filtering, which verl looks for among the values that our rewards return."""
    groups, sampler = config.algorithm.filter_groups, config.trainer.v1.sampler.custom_sampler
    if not groups.enable or (sampler.path and sampler.name) or config.reward.reward_manager.name != "vision_r1":
        return
    known = {"reward", "clipped", "image_unreadable", "scoring_seconds", *_values_of(preset)}
    if groups.metric not in known:
        near = get_close_matches(str(groups.metric), sorted(known), n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(
            "algorithm.filter_groups.metric: expected reward, total, acc, or a criterion"
            f" ({', '.join(preset.criteria)}), got {groups.metric!r}{meant}"
        )


def _values_of(preset: "Preset") -> set[str]:
    """The names of the values that the rewards return for a completion."""
    import numpy as np

    from verl_vision_r1.rewards.refinement import OFF
    from verl_vision_r1.rewards.scoring import nothing_scored
    from verl_vision_r1.targets import Target

    rules = next(iter(preset.tasks.values()))
    return set(nothing_scored(Target(np.zeros((0, 4)), (), 1, 1), rules, OFF).as_dict(preset.criteria))


def _check_frozen(config: DictConfig) -> None:
    model, actor = config.actor_rollout_ref.model, config.actor_rollout_ref.actor
    if not actor.get("freeze_vision_tower"):
        return
    if "verl_vision_r1.training.freeze" not in str(model.get("external_lib") or ""):
        raise ValueError(
            "actor_rollout_ref.actor.freeze_vision_tower: verl 0.9 declares this key but never reads it; expected"
            " vision_r1/freeze=vision_tower, got the key alone"
        )
    key = "megatron.override_transformer_config.freeze_vision_model"
    if config.model_engine == "megatron" and not OmegaConf.select(actor, key):
        raise ValueError(
            f"vision_r1/freeze: expected vision_r1/engine=megatron, which sets actor.{key}, got model_engine=megatron"
            " alone"
        )
