"""Each ablation changes one thing, no finished run is repeated, and the table has the measures."""

import json
from collections.abc import Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from verl_vision_r1.demo import ablations
from verl_vision_r1.demo.ablation_table import SHOWN, ablation_table, with_interval
from verl_vision_r1.demo.ablations import VARIANTS, Ablations, result_of, run_ablations, start_of
from verl_vision_r1.demo.lessons import ANSWERS
from verl_vision_r1.rewards.presets import load_prompts


@pytest.fixture(scope="module")
def base() -> Iterator[dict[str, Any]]:
    import verl  # noqa: F401  Loads the plugin, as `python -m verl.trainer.main_ppo` does.
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None):
        yield composed("vision_r1")


@cache
def composed(name: str) -> dict[str, Any]:
    from hydra import compose

    config = compose("ppo_trainer", overrides=["+recipe=vision_r1_cpu", *VARIANTS[name].overrides])
    resolved = OmegaConf.to_container(config, resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def differing(first: Any, second: Any, where: str = "") -> set[str]:
    """The keys in which two configurations differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        keys = sorted({*first, *second})
        return {found for key in keys for found in differing(first.get(key), second.get(key), f"{where}.{key}")}
    return set() if first == second else {where}


@pytest.mark.verl
@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("vision_r1_release_2025", ".vision_r1.reward."),
        ("robust", ".vision_r1.reward."),
        ("beginner_only", ".vision_r1.curriculum."),
        ("halfway", ".vision_r1.curriculum."),
        ("third", ".vision_r1.curriculum."),
        ("no_precision", ".vision_r1.reward.tasks.detection.criteria.precision.weight"),
        ("with_label", ".vision_r1.reward.tasks.detection.matcher"),
        ("kl", ".actor_rollout_ref.actor.use_kl_loss"),
    ],
)
def test_a_variant_changes_one_thing(base: dict[str, Any], name: str, where: str) -> None:
    changed = differing(base, composed(name))
    assert changed
    assert all(key.startswith(where) for key in changed)


@pytest.mark.verl
def test_the_supervised_baseline_has_the_prompts_of_the_recipe(base: dict[str, Any]) -> None:
    assert base["data"]["train_batch_size"] == ablations.PROMPTS
    assert base["actor_rollout_ref"]["rollout"]["n"] == VARIANTS["supervised_often"].supervised


@pytest.mark.verl
@pytest.mark.parametrize("name", VARIANTS)
def test_the_prompts_of_a_variant_are_those_of_its_initial_model(base: dict[str, Any], name: str) -> None:
    prompt = composed(name)["vision_r1"]["prompt"]
    assert VARIANTS[name].prompt in ANSWERS
    assert prompt["category"] == load_prompts(VARIANTS[name].prompt).templates["category"]


def numbers(value: float) -> str:
    sets: dict[str, dict[str, float]] = {}
    for where, name in SHOWN:
        sets.setdefault(where, {})[name] = value
    return json.dumps(sets)


def write(file: Path, value: float) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(numbers(value))


def test_a_finished_run_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, made = Ablations(tmp_path, steps=3, seeds=2, only=("robust", "kl")), []

    def run(plan: Ablations, name: str, seed: int) -> None:
        made.append((seed, name))
        write(result_of(plan, name, seed), 0.5)

    monkeypatch.setattr(ablations, "check_engine", lambda: None)
    monkeypatch.setattr(ablations, "_run", run)
    write(result_of(plan, "kl", 0), 0.25)
    run_ablations(plan, Console(file=StringIO()))
    assert made == [(0, "robust"), (1, "robust"), (1, "kl")]  # Every variant with one seed before the next seed.
    run_ablations(plan, Console(file=StringIO()))
    assert len(made) == 3


def test_an_unknown_variant_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--only: expected some of robust, .*, got robst"):
        Ablations(tmp_path, 3, 2, ("robst",))


def test_the_table_has_initial_models_and_means_of_finished_runs(tmp_path: Path) -> None:
    plan = Ablations(tmp_path, steps=3, seeds=3)
    write(start_of(plan, "vision_r1"), 0.1)
    for seed, value in enumerate((0.2, 0.3, 0.4)):
        write(result_of(plan, "robust", seed), value)
    write(result_of(plan, "kl", 0), 0.5)
    rows = {row[0]: row[1:] for row in ablation_table(plan).rows}
    assert rows["initial model"][:3] == ("vision_r1", "", "10.0")
    assert rows[VARIANTS["robust"].title][1:3] == ("3", "30.0 ± 24.8")  # 10 * 4.303 / sqrt(3).
    assert rows[VARIANTS["kl"].title][1:3] == ("1", "50.0")
    assert set(rows) == {"initial model", VARIANTS["robust"].title, VARIANTS["kl"].title}


def test_the_interval_is_students() -> None:
    assert with_interval([3.0, 3.0]) == "3.0 ± 0.0"
    assert with_interval([1.0, 3.0]) == "2.0 ± 12.7"
