"""Each ablation changes one thing, no finished run is repeated, and the table has the measures."""

import json
import re
from collections.abc import Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import prediction_lines
import pytest
from omegaconf import OmegaConf
from prediction_lines import line
from rich.console import Console
from typer.testing import CliRunner

from verl_vision_r1 import Target
from verl_vision_r1.cli import app
from verl_vision_r1.data.difficulty import read_difficulty
from verl_vision_r1.demo import ablation_results, ablations
from verl_vision_r1.demo.ablation_results import Point, Results, points_of, start_variant
from verl_vision_r1.demo.ablation_table import SHOWN, ablation_table, time_table, with_interval
from verl_vision_r1.demo.ablation_variants import DIFFICULTY, VARIANTS
from verl_vision_r1.demo.ablations import Ablations, run_ablations
from verl_vision_r1.demo.lessons import ANSWERS
from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.preflight.config_check import check_keys
from verl_vision_r1.rewards.presets import load_prompts, preset_from_config


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
@pytest.mark.parametrize(
    ("name", "baseline", "where"),
    [
        ("when_ready", "vision_r1", ".vision_r1.curriculum."),
        ("robust_halfway", "robust", ".vision_r1.curriculum."),
        ("robust_when_ready", "robust", ".vision_r1.curriculum."),
        ("filter_total", "robust", ".algorithm.filter_groups."),
        ("filter_acc", "filter_total", ".algorithm.filter_groups.metric"),
        ("sampler_off", "robust", ".data.train_max_samples"),
        ("sampler_drop", "sampler_off", ".vision_r1.sampler."),
        ("sampler_weight", "sampler_drop", ".vision_r1.sampler.draw"),
    ],
)
def test_a_variant_changes_one_thing_of_its_baseline(
    base: dict[str, Any], name: str, baseline: str, where: str
) -> None:
    changed = differing(composed(baseline), composed(name))
    assert changed
    assert all(key.startswith(where) for key in changed)


@pytest.mark.verl
@pytest.mark.parametrize("name", [name for name in VARIANTS if DIFFICULTY not in str(VARIANTS[name].overrides)])
def test_the_configuration_of_a_variant_is_valid(
    base: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    check_keys(OmegaConf.create(composed(name)))


@pytest.mark.verl
@pytest.mark.parametrize(("name", "baseline"), [("gdpo", "robust"), ("vision_r1_gdpo", "vision_r1")])
def test_gdpo_weighs_the_criteria_as_the_sum_does(base: dict[str, Any], name: str, baseline: str) -> None:
    algorithm = composed(name)["algorithm"]
    keys = algorithm["gdpo_reward_keys"]
    weights = algorithm["gdpo_reward_weights"] or [1.0] * len(keys)
    criteria = preset_from_config(composed(baseline)["vision_r1"]["reward"]).tasks["detection"].criteria
    weighted = {item.name: item.weight for item in criteria if item.weight}
    assert dict(zip(keys, weights, strict=True)) == weighted


@pytest.mark.verl
def test_the_criterion_that_filters_has_no_weight(base: dict[str, Any]) -> None:
    config = composed("filter_half_found")
    criteria = preset_from_config(config["vision_r1"]["reward"]).tasks["detection"].criteria
    assert {item.name: item.weight for item in criteria}["half_found"] == 0
    assert config["algorithm"]["filter_groups"]["metric"] == "half_found"


def test_the_difficulty_is_that_of_the_initial_model_and_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Demo] = []

    def train(demo: Demo) -> None:
        trained.append(demo)
        demo.validations.mkdir(parents=True)
        sample = {**line(Target([], [], 64, 64), "[]", image_id="7"), "total": 1.0, "acc": 1.0}
        prediction_lines.write(demo.validations / "0.jsonl", [sample])

    monkeypatch.setattr(ablations, "run_trainer", train)
    monkeypatch.setattr(ablations, "_rows", lambda plan, prompt, seed: tmp_path / "rows" / str(seed))
    monkeypatch.setattr(ablations, "_start", lambda plan, prompt: tmp_path / "model")
    plan, wanted = Ablations(tmp_path, 4, 1), VARIANTS["sampler_drop"].overrides
    overrides = ablations._with_difficulty(plan, wanted, 3)
    file = tmp_path / "difficulty" / "3" / "difficulty.json"
    assert f"vision_r1.sampler.difficulty={file}" in overrides
    assert [sample.image_id for sample in read_difficulty(file)] == ["7"]
    assert f"data.val_files={tmp_path / 'rows' / '3' / 'train.parquet'}" in trained[0].overrides
    assert ablations._with_difficulty(plan, wanted, 3) == overrides
    assert len(trained) == 1
    assert ablations._with_difficulty(plan, VARIANTS["robust"].overrides, 3) == VARIANTS["robust"].overrides


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


def numbers(value: float) -> dict[str, dict[str, float]]:
    sets: dict[str, dict[str, float]] = {}
    for where, name in SHOWN:
        sets.setdefault(where, {})[name] = value
    return sets


def point(value: float, step: int = 3) -> Point:
    return Point(step, 3.0 * step, numbers(value))


def test_a_finished_run_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, made = Ablations(tmp_path, steps=3, seeds=2, only=("robust", "kl")), []

    def run(plan: Ablations, name: str, seed: int) -> list[Point]:
        made.append((seed, name))
        return [point(0.5)]

    monkeypatch.setattr(ablations, "check_engine", lambda: None)
    monkeypatch.setattr(ablations, "_run", run)
    plan.results.add("kl", 3, 0, [point(0.25)])
    plan.results.add("kl", 40, 1, [point(0.25)])  # Of another length.
    run_ablations(plan, Console(file=StringIO()))
    assert made == [(0, "robust"), (1, "robust"), (1, "kl")]  # Every variant with one seed before the next seed.
    run_ablations(plan, Console(file=StringIO()))
    assert len(made) == 3


def test_a_result_has_its_date_and_hardware_and_the_last_one_counts(tmp_path: Path) -> None:
    results = Results(tmp_path / "of" / "results.jsonl")
    assert results.runs() == []
    for value in (0.1, 0.2):
        results.add("kl", 40, 2, [point(0.0, 20), point(value, 40)])
    assert len(results.file.read_text().splitlines()) == 2
    run = results.of("kl", 40)[2]
    assert run.measures == numbers(0.2)
    assert [found.step for found in run.points] == [20, 40]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", run.date)
    assert re.fullmatch(r".+, \d+ cores", run.hardware)
    assert set(run.versions) == {"verl-vision-r1", "verl", "torch", "transformers"}
    assert results.start("vision_r1") is None


def test_supervised_training_alone_is_measured_and_before_grpo_is_its_initial_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[tuple[int, int]] = []
    rows = [{"index": index} for index in range(100)]

    def batches(examples: object, samples: list[object]) -> list[object]:
        return samples

    def teach(folder: Path, lessons: Any, updates: int, *rest: object) -> None:
        taught.append((updates, len(lessons(None))))

    trained: list[Path] = []
    monkeypatch.setattr(ablations, "_rows_and_start", lambda plan, variant, seed: (tmp_path, tmp_path / "first"))
    monkeypatch.setattr(ablations, "read_rows", lambda path: list(rows))
    monkeypatch.setattr(ablations, "batches_of_rows", batches)
    monkeypatch.setattr(ablations, "teach", teach)
    monkeypatch.setattr(ablations, "measure", lambda demo: {"model": {demo.model.name: 1.0}})
    monkeypatch.setattr(ablations, "run_trainer", lambda demo: trained.append(demo.model))
    monkeypatch.setattr(ablations, "points_of", lambda demo: [point(0.5)])
    (tmp_path / "first").mkdir()
    plan = Ablations(tmp_path, steps=4, seeds=1)
    assert ablations._run(plan, "supervised", 0)[0].measures == {"model": {"model": 1.0}}
    assert ablations._run(plan, "supervised_long", 0)[0].step == 4
    assert trained == []
    assert ablations._run(plan, "supervised_then_grpo", 0) == [point(0.5)]
    assert trained == [tmp_path / "4_steps" / "supervised_then_grpo" / "0" / "model"]
    assert taught == [(2, 32), (32, 100), (2, 32)]


def test_another_format_is_taught_by_correct_completions_and_then_with_the_habit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes: list[tuple[int, float, int]] = []

    def teach(model: Path, draw: Any, steps: int, report: object, rate: float) -> None:
        examples = SimpleNamespace(make=lambda image, question, answer: answer)
        drawn = [answer for _, batch in zip(range(20), draw(examples), strict=False) for answer in batch]
        assert all(answer.startswith("<think> </think> <answer>[{'Position': [") for answer in drawn)
        boxes.append((steps, rate, sum(answer.count("Position") for answer in drawn)))

    monkeypatch.setattr(ablations, "teach", teach)
    ablations._teach_format(tmp_path, "visual_rft")
    assert tuple(row[:2] for row in boxes) == ablations.FORMAT_STAGES
    assert boxes[1][2] < boxes[0][2]  # The habit names one of several objects.


def test_an_unknown_variant_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--only: expected some of robust, .*, got robst"):
        Ablations(tmp_path, 3, 2, ("robst",))


def test_the_table_has_initial_models_and_means_of_finished_runs(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    results.add(start_variant("vision_r1"), 0, 0, [point(0.1, 0)])
    for seed, value in enumerate((0.2, 0.3, 0.4)):
        results.add("robust", 3, seed, [point(value)])
    results.add("kl", 3, 0, [point(0.5)])
    results.add("kl", 40, 0, [point(0.5)])
    rows = {row[0]: row[1:] for row in ablation_table(results, 3).rows}
    assert rows["initial model"][:3] == ("vision_r1", "", "10.0")
    assert rows[VARIANTS["robust"].title][1:3] == ("3", "30.0 ± 24.8")  # 10 * 4.303 / sqrt(3).
    assert rows[VARIANTS["kl"].title][1:3] == ("1", "50.0")
    assert set(rows) == {"initial model", VARIANTS["robust"].title, VARIANTS["kl"].title}


def test_the_command_prints_the_tables_with_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablations, "run_ablations", lambda plan, console: None)
    results = Results(tmp_path / "results.jsonl")
    results.add(start_variant("vision_r1"), 0, 0, [point(0.1, 0)])
    command = ["ablations", "--out", str(tmp_path), "--steps", "3", "--json"]
    assert json.loads(CliRunner().invoke(app, command).stdout) == []  # An initial model is no run.
    results.add("kl", 3, 0, [point(0.5)])
    (table,) = json.loads(CliRunner().invoke(app, command).stdout)
    assert table["title"] == "after 3 steps: mean and 95 % CI over the seeds"
    assert [row[:4] for row in table["rows"]] == [
        ["initial model", "vision_r1", "", "10.0"],
        [VARIANTS["kl"].title, "vision_r1", "1", "50.0"],
    ]
    assert VARIANTS["kl"].title in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_the_time_to_the_ap_of_the_baseline(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    assert not time_table(results, 40).rows
    results.add(start_variant("vision_r1"), 0, 0, [point(0.1, 0)])
    for name, seed, values in (
        ("sampler_off", 0, (0.2, 0.3)),
        ("sampler_drop", 0, (0.3, 0.4)),
        ("sampler_off", 1, (0.2, 0.3)),
        ("sampler_drop", 1, (0.2, 0.25)),  # Never reaches 0.3.
        ("sampler_drop", 2, (0.3, 0.3)),  # Its baseline is not finished.
    ):
        results.add(name, 40, seed, [point(value, step) for step, value in zip((20, 40), values, strict=True)])
    assert time_table(results, 40).rows == (
        (VARIANTS["sampler_drop"].title, VARIANTS["sampler_off"].title, "2", "1", "40.0", "20.0", "120.0", "60.0"),
    )


def test_the_points_of_a_run_are_its_validations_with_the_time_of_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = Demo(tmp_path, 4)
    demo.validations.mkdir()
    for step in (2, 4):
        (demo.validations / f"{step}.jsonl").write_text("")
    stages = {1: 0.0, 2: 0.0, 3: 1.0, 4: 1.0}
    logged = {step: {"timing_s/step": 1.5, "critic/vision_r1/stage": stage} for step, stage in stages.items()}
    entries = [{"step": 0, "data": {}}, *({"step": step, "data": data} for step, data in logged.items())]
    demo.metrics.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    monkeypatch.setattr(ablation_results, "measures_of", lambda demo, step: {"shapes_categories": {"AP": step / 10}})
    points = points_of(demo)
    assert [(found.step, found.seconds) for found in points] == [(2, 3.0), (4, 6.0)]
    assert points[1].measures["shapes_categories"]["AP"] == 0.4
    assert [found.measures["training"] for found in points] == [{"stage_since": 1}, {"stage_since": 3}]


def test_validations_divide_the_steps(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--validations: expected a divisor of --steps 40, got 3"):
        Ablations(tmp_path, 40, 1, validations=3)


def test_the_interval_is_students() -> None:
    assert with_interval([3.0, 3.0]) == "3.0 ± 0.0"
    assert with_interval([1.0, 3.0]) == "2.0 ± 12.7"
