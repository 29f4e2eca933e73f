"""Misspelt overrides are refused with the right one before Hydra reads them."""

from pathlib import Path

import pytest

from verl_vision_r1.renamed import check_overrides
from verl_vision_r1.renamed.misspelt import _groups_of_the_run, read_override

RECIPE = "+recipe=vision_r1_qwen7b"
CRITERIA = "vision_r1.reward.tasks.detection.criteria"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("vision_r1.curriculum=halfway", "expected vision_r1/curriculum=halfway, with a slash"),
        ("vision_r1.reward=robust", "expected vision_r1/reward=robust, with a slash"),
        ("vision_r1.engine=megatron", "expected vision_r1/engine=megatron, with a slash"),
        ("+vision_r1.freeze='vision'", "expected vision_r1/freeze=vision, with a slash"),
        ("+vision_r1/freeze=vision", "expected vision_r1/freeze=vision, without +"),
        ("++vision_r1/freeze=vision", "expected vision_r1/freeze=vision, without +"),
        ("+vision_r1/prompt=visual_rft", "expected vision_r1/prompt=visual_rft, without +"),
        ("+vision_r1/evaluation=greedy", "expected vision_r1/evaluation=greedy, without +"),
        ("+vision_r1/curriculm=halfway", "expected vision_r1/curriculum=halfway, got the unknown group curriculm"),
        ("vision_r1/rewards=robust", "expected vision_r1/reward=robust, got the unknown group rewards"),
        ("+recipes=vision_r1_qwen7b", "expected +recipe=vision_r1_qwen7b, got the unknown key recipes"),
        ("+receipe=vision_r1_qwen7b", "expected +recipe=vision_r1_qwen7b, got the unknown key receipe"),
        (f"{CRITERIA}.recal.weight=2", f"expected {CRITERIA}.recall.weight=2, got the unknown key recal"),
        (f"+{CRITERIA}.recal.weight=2", f"expected {CRITERIA}.recall.weight=2, got the unknown key recal"),
        (f"{CRITERIA}.recall.wieght=2", f"expected {CRITERIA}.recall.weight=2, got the unknown key wieght"),
        (f"+{CRITERIA}.recall.wieght=2", f"expected {CRITERIA}.recall.weight=2, got the unknown key wieght"),
        (
            "vision_r1.reward.tasks.detecton.matcher=none",
            "expected vision_r1.reward.tasks.detection.matcher=none, got the unknown key detecton",
        ),
        ("vision_r1.reward.onerror=raise", "expected vision_r1.reward.on_error=raise, got the unknown key onerror"),
        ("+vision_r1.fram=auto", "expected vision_r1.frame=auto, got the unknown key fram"),
        ("vision_r1.prompt.categorie=x", "expected vision_r1.prompt.categor"),
        ("vision_r1.curriculum.stage=[]", "expected vision_r1.curriculum.stages=[], got the unknown key stage"),
    ],
)
def test_the_right_override_is_named(word: str, expected: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        check_overrides([RECIPE, word])
    assert str(caught.value).startswith(f"{word}: {expected}")


@pytest.mark.parametrize(
    "words",
    [
        ["vision_r1/reward=robust", "vision_r1/prompt=none", "vision_r1.prompt=null", "vision_r1.frame=auto"],
        ["vision_r1.prompt.category='Where is each {category}?'", "vision_r1.curriculum.stages.0.xi0=0.4"],
        [f"+{CRITERIA}.recall50={{function: recall, weight: 0}}", f"{CRITERIA}.recall50.weight=1"],
        [f"+{CRITERIA}.mine.function=my.module:function", f"+{CRITERIA}.mine.weights=[1,2]"],
        ["hydra.searchpath=[file://x]", "vision_r1/reward=mine", "+vision_r1/prompt=vision_r1"],
        ["vision_r1/reward=mine", f"{CRITERIA}.recall2.weight=1"],
        ["--config-name=recipes", "--recipes", "~vision_r1.reward.tasks.grounding", "trainer.nnodes=2", "+mine=1"],
    ],
)
def test_other_overrides_pass(words: list[str]) -> None:
    check_overrides([RECIPE, *words])


def test_a_group_that_the_recipe_lacks_is_added() -> None:
    check_overrides(["+recipe=vision_r1_cpu", "+vision_r1/tuning=lora"])
    check_overrides(["+recipe=mine", "+vision_r1/freeze=vision"])
    check_overrides(["+recipe=[mine,vision_r1_cpu]", f"{CRITERIA}.recall2.weight=1"])
    with pytest.raises(ValueError, match=r"vision_r1/freeze=vision, without \+"):
        check_overrides(["+recipe=[mine,vision_r1_cpu]", "+vision_r1/freeze=vision"])


@pytest.mark.verl
def test_the_groups_of_a_recipe_are_those_that_hydra_composes(tmp_path: Path) -> None:
    import verl  # noqa: F401  Loads the plugin.
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None):
        for recipe in ("vision_r1_cpu", "vision_r1_qwen7b_lora", "eval_coco", "vision_r1_qwen7b_megatron"):
            config = compose("ppo_trainer", overrides=[f"+recipe={recipe}"], return_hydra_config=True)
            composed = {name.partition("@")[0] for name in config.hydra.runtime.choices if "vision_r1/" in name}
            found = {name for name in _groups_of_the_run([read_override(f"+recipe={recipe}")]) if "vision_r1/" in name}
            assert found == composed
