"""Errors in configuration or data end a run before Ray starts."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compose_once import compose_once, real_compose

from verl_vision_r1.data.difficulty import SampleDifficulty
from verl_vision_r1.evaluation.difficulty import write_difficulty

pytest.importorskip("qwen_vl_utils", reason="verl reads images with qwen_vl_utils")
pytest.importorskip("transfer_queue", reason="verl's trainer needs TransferQueue")
pytestmark = pytest.mark.verl

Run = Callable[..., Any]


@pytest.fixture
def verls_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """As verl's trainers are imported here: this process began without the platform of a CPU."""
    monkeypatch.delenv("VERL_PLATFORM")


def test_a_shared_composition_is_that_of_hydra(run: Run) -> None:
    overrides = [
        "+recipe=vision_r1_cpu",
        "vision_r1/freeze=vision",
        "~vision_r1.reward.tasks.detection",
        "+data.new=1",
    ]
    for _ in range(2):
        assert compose_once("ppo_trainer", overrides) == real_compose("ppo_trainer", overrides=overrides)
    assert "new" not in run().data


def test_a_valid_configuration_passes_without_a_warning(run: Run) -> None:
    from verl_vision_r1.preflight.config_check import check

    assert check(run()) == []
    assert check(run("vision_r1/freeze=vision")) == []
    keys = "algorithm.gdpo_reward_keys=[recall,precision_raw]"
    assert check(run("algorithm.adv_estimator=vision_r1_gdpo", keys)) == []
    with pytest.raises(ValueError, match=r"trainer_mode: expected a mode that begins with vision_r1_ .* got 'sync'"):
        check(run("algorithm.adv_estimator=vision_r1_gdpo", keys, "trainer.v1.trainer_mode=sync"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.use_v1=false", r"trainer\.use_v1: expected True, got False"),
        ("vision_r1.frame=pixels", r"vision_r1\.frame: expected auto or one of .* got 'pixels'"),
        ("algorithm.adv_estimator=gdpo", r"adv_estimator: expected vision_r1_gdpo, got 'gdpo'"),
        (
            "algorithm.adv_estimator=vision_r1_gdpo",
            r"gdpo_reward_keys: expected some of accuracy, count, f1, format, hit, .*, recall, got \[\]",
        ),
        (
            "algorithm.use_pf_ppo=true",
            r"algorithm\.use_pf_ppo: expected False, got True; .* \(verl #7956\), .*; remove the override$",
        ),
        (
            "actor_rollout_ref.actor.freeze_vision_tower=true",
            "expected vision_r1/freeze=vision_tower, got the key alone",
        ),
        (
            "actor_rollout_ref.rollout.enable_chunked_prefill=false actor_rollout_ref.rollout.max_model_len=9000",
            r"max_num_batched_tokens: expected at least max_model_len .* 9000, got 4096; set it to 9000",
        ),
        (
            "data.max_response_length=1025",
            r"rollout\.max_model_len: expected at least 2049, data\.max_prompt_length \+ data\.max_response_length"
            r" \(1024 \+ 1025\), got 2048, at which verl cuts completions off; set it to 2049, or lower",
        ),
        (
            "actor_rollout_ref.rollout.n=1",
            r"rollout\.n: expected at least 2 completions per prompt for algorithm\.adv_estimator=grpo, .*, got 1;",
        ),
        ("vision_r1.reward.total=product", r"vision_r1\.reward\.total: expected one of sum, mean, got 'product'"),
        ("vision_r1.reward=nonsense", r"vision_r1\.reward: expected vision_r1/reward=nonsense, with a slash, .*, got"),
        ("vision_r1.prompt=visual_rft", r"vision_r1\.prompt: expected vision_r1/prompt=visual_rft, with a slash"),
    ],
)
def test_a_wrong_key_is_named(run: Run, override: str, message: str) -> None:
    from verl_vision_r1.preflight.config_check import check

    with pytest.raises(ValueError, match=message):
        check(run(*override.split(" ")))


def test_a_verl_without_the_trainer_v1_is_refused(run: Run) -> None:
    from verl_vision_r1.preflight.config_check import check

    config = run()
    del config.trainer.use_v1
    with pytest.raises(ValueError, match=r"trainer\.use_v1: expected True, got None"):
        check(config)


@pytest.mark.parametrize(
    ("mode", "meant"),
    [
        ("sinc", "; did you mean vision_r1_sync?"),
        ("vision_r1_separate", "; did you mean vision_r1_separate_async?"),
        ("x", ""),
    ],
)
def test_an_unknown_trainer_mode_is_named(mode: str, meant: str, verls_platform: None) -> None:
    from verl_vision_r1.preflight.config_check.training import _check_mode

    with pytest.raises(ValueError, match=r"trainer\.v1\.trainer_mode: expected one of vision_r1_sync, ") as caught:
        _check_mode(mode)
    assert str(caught.value).endswith(f"got {mode!r}{meant}")


def test_the_modes_of_verl_and_of_this_plugin_are_those_that_are_registered(verls_platform: None) -> None:
    from verl.trainer.ppo.v1 import trainer_base

    import verl_vision_r1.training.trainer  # noqa: F401
    from verl_vision_r1.preflight.config_check.training import MODES, OURS, _check_mode

    assert {*MODES, *(OURS + name for name in MODES)} == set(trainer_base.TRAINER_REGISTRY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(trainer_base.TRAINER_REGISTRY, "custom", trainer_base.PPOTrainer)
        for mode in trainer_base.TRAINER_REGISTRY:
            _check_mode(mode)


@pytest.mark.parametrize("metric", ["reward", "total", "acc", "f1", "recall_raw", "mean_iou", "clipped"])
def test_groups_are_filtered_by_a_value_of_the_rewards(run: Run, metric: str) -> None:
    from verl_vision_r1.preflight.config_check import check_keys

    check_keys(run("algorithm.filter_groups.enable=true", f"algorithm.filter_groups.metric={metric}"))


def test_an_unknown_metric_of_groups_is_named(run: Run) -> None:
    from verl_vision_r1.preflight.config_check import check_keys

    wrong = ("algorithm.filter_groups.enable=true", "algorithm.filter_groups.metric=totl")
    message = (
        r"filter_groups\.metric: expected reward, total, acc, or a crit.* \(.*f1.*\), got 'totl'; did you mean total"
    )
    with pytest.raises(ValueError, match=message):
        check_keys(run(*wrong))
    sampler = "trainer.v1.sampler.custom_sampler"
    check_keys(run(*wrong, f"{sampler}.path=pkg://mine", f"{sampler}.name=Mine"))  # It filters as it likes.
    check_keys(run(wrong[1]))  # Nothing is filtered.


def test_a_curriculum_that_waits_and_the_sampler_need_our_trainer_mode(run: Run, tmp_path: Path) -> None:
    from verl_vision_r1.preflight.config_check import check_keys

    waits, file = "vision_r1/curriculum=when_ready", tmp_path / "difficulty.json"
    check_keys(run(waits))
    with pytest.raises(ValueError, match=r"trainer_mode: expected .*vision_r1_ for vision_r1\.curriculum\.stages"):
        check_keys(run(waits, "trainer.v1.trainer_mode=sync"))
    draws = ("vision_r1.sampler.draw=drop", f"vision_r1.sampler.difficulty={file}")
    with pytest.raises(ValueError, match=r"vision_r1\.sampler\.difficulty: .*difficulty\.json"):
        check_keys(run(*draws))
    sample = SampleDifficulty("coco/detection", "7", "categories", "", 4, 0.5, 0.1, 0.5)
    write_difficulty(file, [sample])
    check_keys(run(*draws))
    with pytest.raises(ValueError, match=r"trainer_mode: expected .* for vision_r1\.sampler\.draw=drop, got 'sync'"):
        check_keys(run(*draws, "trainer.v1.trainer_mode=sync"))


def test_logged_images_need_a_logger_and_the_completions(run: Run) -> None:
    from verl_vision_r1.preflight.config_check import check_keys

    images = ("vision_r1.log_images=4", "trainer.logger=[console,tensorboard]", "trainer.validation_data_dir=val")
    check_keys(run(*images))
    for change, message in (
        ("trainer.v1.trainer_mode=sync", r"trainer_mode: expected .* for vision_r1\.log_images=4, got 'sync'"),
        (
            "trainer.logger=[console,file]",
            r"trainer\.logger: expected wandb or tensorboard for vision_r1\.log_images=4",
        ),
        ("trainer.logger=console", r"trainer\.logger: expected wandb or tensorboard"),
        ("trainer.validation_data_dir=null", r"trainer\.validation_data_dir: expected a folder"),
    ):
        with pytest.raises(ValueError, match=message):
            check_keys(run(*images, change))


@pytest.mark.parametrize(
    ("nodes", "gpus", "engine", "passes"),
    [(1, 8, 2, True), (1, 3, 2, False), (1, 1, 2, False), (2, 4, 8, True), (2, 6, 4, False), (1, 8, 16, False)],
)
def test_engines_fill_the_nodes(run: Run, nodes: int, gpus: int, engine: int, passes: bool) -> None:
    from verl_vision_r1.preflight.config_check import check_keys

    config = run(
        *(f"trainer.nnodes={nodes}", f"trainer.n_gpus_per_node={gpus}"),
        f"actor_rollout_ref.rollout.tensor_model_parallel_size={engine}",
    )
    if passes:
        check_keys(config)
        return
    message = rf"trainer\.n_gpus_per_node: expected a multiple of {engine}, .* got {gpus} on {nodes} node"
    with pytest.raises(ValueError, match=message):
        check_keys(config)


def test_engines_fill_the_nodes_that_only_generate(run: Run) -> None:
    from verl_vision_r1.preflight.config_check import check_keys

    rollout = "actor_rollout_ref.rollout"
    sizes = ("trainer.n_gpus_per_node=4", f"{rollout}.nnodes=1", f"{rollout}.tensor_model_parallel_size=4")
    check_keys(run(*sizes))
    with pytest.raises(
        ValueError, match=r"^actor_rollout_ref\.rollout\.n_gpus_per_node: .* of 4, .* got 6 on 1 node;"
    ):
        check_keys(run(*sizes, f"{rollout}.n_gpus_per_node=6"))


def test_megatron_without_its_engine_group_freezes_nothing(run: Run) -> None:
    from verl_vision_r1.preflight.config_check import check

    message = r"expected vision_r1/engine=megatron, which sets actor\.megatron\..*freeze_vision_model, got"
    with pytest.raises(ValueError, match=message):
        check(run("model_engine=megatron", "vision_r1/freeze=vision"))
    key = "+actor_rollout_ref.actor.megatron.override_transformer_config.freeze_vision_model=true"
    check(run("model_engine=megatron", "vision_r1/freeze=vision", key))  # As in the group.


def test_a_cpu_run_needs_the_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl_vision_r1.preflight.config_check import check

    monkeypatch.delenv("VERL_PLATFORM")
    with pytest.raises(ValueError, match="VERL_PLATFORM: expected cpu"):
        check(run())


def test_an_evaluation_needs_neither_a_training_batch_nor_a_group(run: Run) -> None:
    from verl_vision_r1.preflight.config_check import check

    check(run("data.train_batch_size=100", "actor_rollout_ref.rollout.n=1", "trainer.val_only=true"))


@pytest.mark.parametrize(
    ("found", "overrides", "passes"),
    [
        ({}, (), False),
        ({"flash_attn"}, (), True),
        ({"kernels"}, (), True),
        ({}, ("+actor_rollout_ref.model.override_config.attn_implementation=sdpa",), True),
        ({}, ("model_engine=megatron",), True),
    ],
)
def test_attention_that_transformers_cannot_do_is_an_error(
    monkeypatch: pytest.MonkeyPatch, found: set[str], overrides: tuple[str, ...], passes: bool
) -> None:
    import torch

    from verl_vision_r1.preflight.config_check import machine

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: name in found or None)
    composed = compose_once("ppo_trainer", overrides=["+recipe=vision_r1_qwen7b", *overrides])
    if passes:
        machine.check_attention(composed)
    else:
        with pytest.raises(ValueError, match=r"attn_implementation: expected the package flash_attn .* got none"):
            machine.check_attention(composed)


def test_a_warning_is_printed_and_the_run_continues(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from verl_vision_r1.preflight.config_check import Preflight

    Preflight().on_job_start(run(f"data.val_files={folder / 'train.parquet'}"))
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("verl-vision-r1: warning: ")]
    assert len(warnings) == 1
    assert warnings[0].startswith("verl-vision-r1: warning: data.val_files: expected samples that are not trained on")


@pytest.mark.engine  # Starts none, but imports verl in a new process.
@pytest.mark.process
def test_verls_command_ends_before_ray_starts(folder: Path) -> None:
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+recipe=vision_r1_cpu"),
        *("actor_rollout_ref.model.path=/nowhere/model", f"hydra.run.dir={folder / 'hydra'}"),
    ]
    done = subprocess.run(
        command, env=os.environ, cwd=folder, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 1
    assert "verl-vision-r1: actor_rollout_ref.model.path: expected" in done.stderr
    assert "'/nowhere/model'" in done.stderr
    assert "Started a local Ray instance" not in done.stdout + done.stderr
