"""Every recipe composes against the real verl, resolves, and passes verl's own checks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

import verl_vision_r1
from verl_vision_r1.attacks import PRESETS
from verl_vision_r1.settings import Settings

pytestmark = pytest.mark.verl

RECIPES = sorted(path.stem for path in (Path(verl_vision_r1.__file__).parent / "config" / "recipe").glob("*.yaml"))
RECALL = "vision_r1.reward.tasks.detection.criteria.recall.weight"


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    import verl  # noqa: F401  Loads the plugin, as `python -m verl.trainer.main_ppo` does.

    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None):
        yield


def composed(*overrides: str) -> Any:
    return compose("ppo_trainer", overrides=list(overrides))


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_passes_verls_own_checks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    config = composed(f"+recipe={name}")
    OmegaConf.to_container(config, resolve=True)
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    assert need_reference_policy(config)
    assert config.reward.reward_manager.name == "vision_r1"


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_passes_our_own_checks(name: str) -> None:
    settings = Settings.from_config(OmegaConf.to_container(composed(f"+recipe={name}").vision_r1, resolve=True))
    assert settings.preset.criteria == ("format", "precision", "recall")


def test_groups_and_numbers_are_swapped_by_overrides() -> None:
    config = composed(
        *("+recipe=vision_r1_qwen7b", "vision_r1/reward=vision_r1", "vision_r1/curriculum=halfway", f"{RECALL}=2"),
        *("vision_r1.reward.total=mean", "vision_r1.frame=relative_1000"),
    )
    settings = Settings.from_config(OmegaConf.to_container(config.vision_r1, resolve=True))
    assert [stage.xi2 for stage in settings.curriculum.stages] == [0.75, 0.9]
    rules = settings.preset.tasks["detection"]
    assert {item.name: item.weight for item in rules.criteria} == {"format": 1, "recall": 2, "precision": 1}
    assert (rules.total, settings.frame) == ("mean", "relative_1000")


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("+recipe=vision_r1_qwen8b", "recipe/vision_r1_qwen8b"),
        ("vision_r1/reward=nonsense", "vision_r1/reward/nonsense"),
    ],
)
def test_what_does_not_exist_fails_by_name(override: str, name: str) -> None:
    first = [] if override.startswith("+recipe") else ["+recipe=vision_r1_qwen7b"]
    with pytest.raises(MissingConfigException, match=name):
        composed(*first, override)


def test_a_criterion_of_ones_own_is_one_override() -> None:
    line = "+vision_r1.reward.tasks.detection.criteria.mine={weight: 0.5, function: 'math:fsum'}"
    config = composed("+recipe=vision_r1_qwen7b", line)
    settings = Settings.from_config(OmegaConf.to_container(config.vision_r1, resolve=True))
    assert settings.preset.criteria == ("format", "mine", "precision", "recall")


NEEDED = {
    "detection": {"category"},
    "grounding": {"expression"},
    "classification": {"class"},
    "counting": {"count"},
}


@pytest.mark.parametrize("reward", PRESETS)
def test_rewards_bring_the_prompt_that_their_answers_need(reward: str) -> None:
    config = composed("+recipe=vision_r1_qwen7b", f"vision_r1/reward={reward}")
    settings = Settings.from_config(OmegaConf.to_container(config.vision_r1, resolve=True))
    asked = set(settings.prompts.templates)
    assert asked >= set().union(*(NEEDED[task] for task in settings.preset.tasks))
    assert OmegaConf.to_container(config.data.prompt_templates, resolve=True) == settings.prompts.templates
    tagged = "<answer>" in settings.prompts.templates["category"]
    assert tagged == reward.startswith(("visual_rft", "vlm_r1"))


def test_other_words_are_one_override() -> None:
    config = composed("+recipe=vision_r1_qwen7b", "vision_r1/reward=visual_rft", "vision_r1/prompt=vision_r1")
    assert "JSON" in config.vision_r1.prompt.category
    config = composed("+recipe=vision_r1_qwen7b", "vision_r1.prompt.category='Where is each {category}?'")
    assert config.data.prompt_templates.category == "Where is each {category}?"
    assert not composed("+recipe=vision_r1_qwen7b", "vision_r1/prompt=as_prepared").data.prompt_templates
