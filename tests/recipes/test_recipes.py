"""Evaluations, the recipe of the README and that for the CPU: composed on the real verl; and what can be swapped.

The recipes for training, with all groups, are in test_matrix.
"""

from pathlib import Path
from typing import Any

import pytest
from compositions import EVALUATIONS, FOLDERS, RECIPES, SUPERVISED, composed
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from verl_vision_r1.preflight.config_check import check_keys
from verl_vision_r1.rewards.attacks import PRESETS
from verl_vision_r1.rewards.presets import load_preset
from verl_vision_r1.settings import Settings

pytestmark = pytest.mark.verl

CHECKED = [*EVALUATIONS, "vision_r1_cpu", "vision_r1_qwen7b"]
RECALL = "vision_r1.reward.tasks.detection.criteria.recall.weight"


@pytest.mark.parametrize("name", CHECKED)
def test_recipe_passes_verls_own_checks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    config = composed(f"+recipe={name}")
    OmegaConf.to_container(config, resolve=True)
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    assert need_reference_policy(config) == (name not in (*EVALUATIONS, "vision_r1_cpu"))
    assert config.reward.reward_manager.name == "vision_r1"


@pytest.mark.parametrize("name", CHECKED)
def test_recipe_passes_our_own_checks(name: str) -> None:
    settings = Settings.from_config(OmegaConf.to_container(composed(f"+recipe={name}").vision_r1, resolve=True))
    theirs = name in ("eval_visual_rft_cls", "eval_lisa")
    presets = ("visual_rft",) if theirs else ("vision_r1", "vision_r1_release_2026")
    presets = ("robust",) if name == "vision_r1_cpu" else presets
    assert settings.preset.criteria in [load_preset(preset).criteria for preset in presets]
    assert ("<answer>" in settings.prompts.templates["expression"]) == theirs


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name not in SUPERVISED])
@pytest.mark.parametrize("evaluation", ["none", "greedy", "qwen3_vl"])
def test_a_batch_of_vllm_holds_a_whole_sequence(recipe: str, evaluation: str, monkeypatch: Any) -> None:
    """verl 0.9 raises the limit of a batch by itself, in a field that it has frozen: the run ends as vLLM starts."""
    monkeypatch.setenv("VERL_PLATFORM", "cpu" if recipe == "vision_r1_cpu" else "")
    chosen = [] if recipe.startswith("eval_") else [f"vision_r1/evaluation={evaluation}"]
    check_keys(composed(f"+recipe={recipe}", *chosen))


def expect_generation_alone(config: Any, rows: str) -> None:
    """It answers every row of that file once, and neither trains nor saves, nor takes up what a training saved."""
    trainer, data = config.trainer, config.data
    assert (trainer.val_only, trainer.val_before_train, trainer.resume_mode) == (True, True, "disable")
    assert (trainer.save_freq, trainer.test_freq, list(trainer.logger)) == (-1, -1, ["console"])
    assert trainer.validation_data_dir == f"evaluation/{trainer.experiment_name}"
    assert (data.val_files, data.train_files, data.val_max_samples) == (rows, rows, -1)
    assert config.actor_rollout_ref.rollout.val_kwargs.n == 1
    room = config.actor_rollout_ref.rollout.max_model_len
    assert data.max_prompt_length + data.max_response_length <= room


ASKED = {
    "eval_coco": ("data/coco/val.parquet", 512),
    "eval_odinw13": ("data/odinw13/val.parquet", 512),
    "eval_refcoco": ("data/refcoco/val.parquet", 512),
    "eval_visual_rft_cls": ("data/pets/test.parquet", 1024),
    "eval_lisa": ("data/lisa/test.parquet", 128),
}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_an_evaluation_is_greedy_with_the_published_limits(name: str) -> None:
    config, (rows, tokens) = composed(f"+recipe={name}"), ASKED[name]
    expect_generation_alone(config, rows)
    assert config.trainer.experiment_name == name
    assert config.data.max_response_length == tokens
    # No image that its processor lets through, 12800 * 28 * 28 pixels, and no words with it are left out as too long.
    assert config.data.max_prompt_length >= 12800 + 2048
    chosen = config.actor_rollout_ref.rollout.val_kwargs
    assert (chosen.do_sample, chosen.temperature, chosen.top_p, chosen.top_k) == (False, 0, 1.0, -1)


def test_the_recipes_of_the_issue_are_there() -> None:
    assert set(EVALUATIONS) == set(ASKED)
    folders = {path.parent.name for path in FOLDERS.glob("*/run.sh")}
    assert folders == set(RECIPES)


@pytest.mark.parametrize("recipe", ["vision_r1_cpu", "vision_r1_qwen7b"])
@pytest.mark.parametrize("name", ["greedy", "qwen3_vl"])
def test_any_recipe_can_be_evaluated(recipe: str, name: str) -> None:
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    config = composed(
        f"+recipe={recipe}", f"vision_r1/evaluation={name}", "actor_rollout_ref.rollout.max_model_len=65536"
    )
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    assert not need_reference_policy(config)
    expect_generation_alone(config, composed(f"+recipe={recipe}").data.val_files)


@pytest.mark.parametrize("name", EVALUATIONS)
def test_the_commands_of_a_readme_compose(name: str) -> None:
    folder = FOLDERS / name
    text = (folder / "README.md").read_text(encoding="utf-8").replace("\\\n", "")
    commands = [line.split()[2:] for line in text.splitlines() if line.strip().startswith("bash run.sh")]
    assert commands
    for overrides in commands:
        config = composed(f"+recipe={name}", *(word.replace("$", "") for word in overrides))
        asked = f"evaluation/{config.trainer.experiment_name}"
        assert config.trainer.validation_data_dir == asked
        # What is evaluated and what was asked for stand in the next command, and in the one before.
        assert asked in text.replace("$", "")
        assert f"--out {Path(config.data.val_files).parent}" in text.replace("$", "")
    assert f"+recipe={name} " in (folder / "run.sh").read_text(encoding="utf-8")


def test_an_evaluation_samples_as_another_protocol_does() -> None:
    config = composed("+recipe=eval_coco", "vision_r1/evaluation=qwen3_vl", "data.val_files=mine.parquet")
    expect_generation_alone(config, "mine.parquet")
    chosen = config.actor_rollout_ref.rollout.val_kwargs
    assert (chosen.do_sample, chosen.temperature, chosen.top_p, chosen.top_k) == (True, 0.7, 0.8, 20)
    assert config.data.max_response_length == 32768


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
        ("vision_r1/evaluation=nonsense", "vision_r1/evaluation/nonsense"),
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
    assert settings.preset.criteria == ("format", "hit", "mine", "nearness", "precision", "recall")


NEEDED = {
    "detection": {"category"},
    "grounding": {"expression"},
    "classification": {"class"},
    "counting": {"count"},
    "pointing": {"points", "point"},
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
    assert not composed("+recipe=vision_r1_qwen7b", "vision_r1/prompt=none").data.prompt_templates
