"""The pages that are made from the code are what the code makes, and the hand-written ones name what is there."""

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import generate
import pytest
from generators import command_line, keys, metrics, real_sample, recipes
from generators.annotated_yaml import read_annotated
from generators.markdown import BEGIN, table
from omegaconf import OmegaConf

from verl_vision_r1.cli import app
from verl_vision_r1.rewards.presets import load_preset, names_in
from verl_vision_r1.training.metrics import Rollouts, reward_metrics

pytestmark = pytest.mark.verl

DOCS = Path(__file__).parents[2] / "docs"
PAPERS = (DOCS / "background" / "papers.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`(verl_vision_r1(?:\.\w+)+)`", PAPERS)))
OFFERED = (
    "actor_rollout_ref.actor.loss_agg_mode",
    "algorithm.gdpo_reward_keys",
    "algorithm.gdpo_reward_weights",
    "vision_r1.reward.tasks.detection.criteria.iou.math_verify",
)
"""Keys that the papers' page offers, which the recipe leaves as they are."""

CHOICES = sorted(set(re.findall(r"`([+\w./]+=[^` ]+)`", PAPERS)))


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_page_is_what_the_code_makes(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert generate.made(name) == written, f"docs/{name} is out of date: make docs-generate"


def test_every_key_of_ours_is_described_beside_it() -> None:
    said = keys.meanings()
    asked = ("categories", "category", "expression", "class", "count", "points", "point")
    templates = {f"prompt.{name}" for name in asked}
    assert keys.keys_in_use() <= {*keys.KEYS, *templates}
    assert {*keys.KEYS, *templates} <= {key for key, text in said.items() if text.strip()}


@pytest.mark.parametrize("group", ["", *recipes.GROUPS])
def test_every_key_that_we_set_of_verl_has_its_reason(group: str) -> None:
    for path in (recipes.CONFIG / group).glob("*.yaml"):
        file = read_annotated(path)
        assert [key for key in file.values if not recipes.why(file, key)] == [], path


@pytest.mark.parametrize("group", ["reward", "curriculum", "prompt", *recipes.GROUPS])
def test_every_file_of_a_group_says_what_it_is(group: str) -> None:
    for name in names_in(group):
        assert read_annotated(recipes.CONFIG / group / f"{name}.yaml").header, name


def test_the_page_has_every_key_and_every_name() -> None:
    of_keys, of_presets, of_prompts = (
        (DOCS / "reference" / "configuration" / f"{name}.md").read_text(encoding="utf-8")
        for name in ("keys", "presets", "prompts")
    )
    assert all(f"`vision_r1.{key}`" in of_keys for key in keys.KEYS)
    assert all(f"vision_r1/reward={name}`" in of_presets for name in names_in("reward"))
    assert all(f"| `{name}` |" in of_presets for name in names_in("curriculum"))
    assert all(f"vision_r1/prompt={name}`" in of_prompts for name in names_in("prompt"))
    config = OmegaConf.to_container(recipes.composed("+recipe=vision_r1_qwen7b").vision_r1, resolve=True)
    assert set(config) == {key.split(".")[0] for key in keys.KEYS}  # type: ignore[arg-type]


def test_a_description_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(keys.KEYS, "reward.colour", ("text", "any"))
    with pytest.raises(ValueError, match=r"expected a comment that describes each key, got none for reward\.colour"):
        keys.page()


def test_comments_are_read_by_key(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "# @package _global_\n# Head.\n\ndefaults:\n  - override /x/y: z  # Why z.\n\na:\n  # Above.\n  b: 1\n"
        "  c: |-\n    d: no key\n  e: {f: 2}  # Behind.\ng:  # All.\n  - h: 3  # Of an entry.\n    i: 4\n  - {h: 5}\n"
    )
    read = read_annotated(file)
    assert read.header == "Head."
    assert read.values == {"a.b": 1, "a.c": "d: no key", "a.e.f": 2, "g[].h": 3, "g[].i": 4}
    comments = {"x/y": "Why z.", "a.b": "Above.", "a.e": "Behind.", "g": "All.", "g[].h": "Of an entry."}
    assert read.comments == comments


def test_every_name_that_is_logged_is_on_the_page_and_no_other() -> None:
    """Two prompts with two rollouts each, of two sources, scored as a reward worker does it."""
    said = real_sample.extras()
    both = [said, said | {"negative": 0.0}]
    rollouts = Rollouts(["SOURCE"] * 2 + ["OTHER"] * 2, list("aabb"), [1.0, 0.0, 0.5, 0.5], [9] * 4, both * 2)
    logged = {name for name in reward_metrics(rollouts) if "/OTHER/" not in name}
    logged.add("critic/vision_r1/curriculum/mean_iou")  # With a curriculum that waits.
    logged |= {name.replace("@1", "@N") for name in real_sample.validation_names()} | set(real_sample.rollout_keys())
    text = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
    made = text[text.index(BEGIN) : text.index("## Criteria of each preset")]
    assert set(re.findall(r"^\| `([^`]+)` \|", made, re.MULTILINE)) == logged


def test_the_page_that_the_readme_names_has_every_key_that_is_logged() -> None:
    page = "docs/reference/metrics.md"
    assert f"({page})" in (DOCS.parent / "README.md").read_text(encoding="utf-8")
    text = (DOCS.parent / page).read_text(encoding="utf-8")
    logged = [key for key, value in real_sample.extras().items() if not isinstance(value, str)]
    assert [key for key in logged if real_sample.CRITERION not in key and key not in text] == []


def test_the_criteria_stand_under_their_names() -> None:
    criteria = load_preset(real_sample.PRESET).criteria
    assert criteria == ("format", "hit", "nearness", "precision", "recall")
    assert not set(real_sample.extras()) & {*criteria, *(f"{name}_raw" for name in criteria)}
    assert {real_sample.CRITERION, f"{real_sample.CRITERION}_raw"} <= set(real_sample.extras())


def test_a_name_without_a_meaning_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(metrics.MEANINGS, "clipped")
    with pytest.raises(ValueError, match=r"expected a meaning of every key that is logged, got none of .*clipped"):
        generate.made("reference/metrics.md")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="expected the marks"):
        metrics.page("# Metrics\n")


def test_every_command_has_its_section() -> None:
    text = (DOCS / "reference" / "command_line.md").read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert f"### `vision-r1 {command_line.name_of(command)}`" in text


def test_what_would_break_a_table_is_masked() -> None:
    assert table(["a"], [["x | y `p | q` <b>"]]).splitlines()[-1] == "| x \\| y `p | q` &lt;b> |"


@pytest.mark.parametrize("name", sorted(path.stem for path in (DOCS / "generators").glob("[a-z]*.py")))
def test_the_examples_of_the_generators_are_right(name: str) -> None:
    if name == "docstrings":
        pytest.importorskip("griffe", reason="mkdocstrings is not installed")
    assert doctest.testmod(importlib.import_module(f"generators.{name}")).failed == 0


@pytest.mark.parametrize("path", PATHS)
def test_every_function_of_the_papers_is_there(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name) is not None


@pytest.mark.parametrize("choice", CHOICES)
def test_every_key_of_the_papers_composes_and_the_recipe_has_its_value(choice: str) -> None:
    key = choice.split("=")[0]
    recipe = [] if key == "+recipe" else ["+recipe=vision_r1_qwen7b"]
    of_release = ["vision_r1/reward=visual_rft_release"] if "math_verify" in choice else []
    given: Any = recipes.composed(*recipe, *of_release, choice)
    if "." in key:
        offered = key in OFFERED or choice.endswith("_gdpo")
        held = given if offered else recipes.composed(*recipe)
        assert OmegaConf.select(held, key) == OmegaConf.select(OmegaConf.from_dotlist([choice]), key)


def test_the_papers_name_functions_and_keys_at_all() -> None:
    assert len(PATHS) > 30
    assert len(CHOICES) > 25
