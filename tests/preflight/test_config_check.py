"""Errors in configuration or data end a run before Ray starts."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compose_once import compose_once, real_compose
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra

pytest.importorskip("qwen_vl_utils", reason="verl reads images with qwen_vl_utils")
pytest.importorskip("transfer_queue", reason="verl's trainer needs TransferQueue")
pytestmark = pytest.mark.verl


@pytest.fixture(autouse=True)
def hydra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import verl  # noqa: F401

    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None):
        yield


def config(folder: Path, *overrides: str) -> Any:
    files = [f"data.train_files={folder / 'train.parquet'}", f"data.val_files={folder / 'val.parquet'}"]
    model = f"actor_rollout_ref.model.path={folder / 'model'}"
    return compose_once("ppo_trainer", overrides=["+recipe=vision_r1_cpu", *files, model, *overrides])


def test_a_shared_composition_is_that_of_hydra(folder: Path) -> None:
    overrides = [
        "+recipe=vision_r1_cpu",
        "vision_r1/freeze=vision",
        "~vision_r1.reward.tasks.detection",
        "+data.new=1",
    ]
    for _ in range(2):
        assert compose_once("ppo_trainer", overrides) == real_compose("ppo_trainer", overrides=overrides)
    assert "new" not in config(folder).data


def test_a_valid_configuration_passes(folder: Path) -> None:
    from verl_vision_r1.preflight.config_check import check

    check(config(folder))
    check(config(folder, "vision_r1/freeze=vision"))
    keys = "algorithm.gdpo_reward_keys=[recall,precision_raw]"
    check(config(folder, "algorithm.adv_estimator=vision_r1_gdpo", keys))
    with pytest.raises(ValueError, match=r"trainer_mode: expected a mode that begins with vision_r1_ .* got 'sync'"):
        check(config(folder, "algorithm.adv_estimator=vision_r1_gdpo", keys, "trainer.v1.trainer_mode=sync"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "actor_rollout_ref.model.path=/nowhere/model",
            r"model\.path: expected a model folder or a name .* '/nowhere",
        ),
        (
            "data.val_files=/nowhere/val.parquet",
            r"data\.val_files: expected an existing file, got /nowhere/val\.parquet",
        ),
        ("data.train_files=[/nowhere/train.parquet]", r"data\.train_files: expected .*, got /nowhere/train\.parquet"),
        ("trainer.use_v1=false", r"trainer\.use_v1: expected True, got False"),
        (
            "custom_reward_function.path=mine.py",
            r"custom_reward_function: verl 0\.9 ignores this key; expected .*, got 'mine\.py'",
        ),
        ("vision_r1.frame=pixels", r"vision_r1\.frame: expected auto or one of .* got 'pixels'"),
        (
            "~vision_r1.reward.tasks.detection",
            r"row 0: expected a task that vision_r1\.reward [a-z ]+ \(grounding, .*\), got detection",
        ),
        ("algorithm.adv_estimator=gdpo", r"adv_estimator: expected vision_r1_gdpo, got 'gdpo'"),
        (
            "algorithm.adv_estimator=vision_r1_gdpo",
            r"gdpo_reward_keys: expected some of accuracy, count, f1, format, precision, recall, got \[\]",
        ),
        (
            "actor_rollout_ref.actor.freeze_vision_tower=true",
            "expected vision_r1/freeze=vision_tower, got the key alone",
        ),
        (
            "data.train_batch_size=100",
            r"train_batch_size: expected at most \d+, the number of training samples, got 100",
        ),
        ("data.train_max_samples=7", r"train_batch_size: expected at most 7, the number of training samples, got 8"),
        (
            "actor_rollout_ref.rollout.enable_chunked_prefill=false actor_rollout_ref.rollout.max_model_len=9000",
            r"max_num_batched_tokens: expected at least max_model_len .* 9000, got 4096; set it to 9000",
        ),
        ("vision_r1.reward.total=product", r"vision_r1\.reward\.total: expected one of sum, mean, got 'product'"),
    ],
)
def test_a_wrong_key_is_named(folder: Path, override: str, message: str) -> None:
    from verl_vision_r1.preflight.config_check import check

    with pytest.raises((ValueError, FileNotFoundError), match=message):
        check(config(folder, *override.split(" ")))


def test_megatron_without_its_engine_group_freezes_nothing(folder: Path) -> None:
    from verl_vision_r1.preflight.config_check import check

    message = r"expected vision_r1/engine=megatron, which sets actor\.megatron\..*freeze_vision_model, got"
    with pytest.raises(ValueError, match=message):
        check(config(folder, "model_engine=megatron", "vision_r1/freeze=vision"))
    key = "+actor_rollout_ref.actor.megatron.override_transformer_config.freeze_vision_model=true"
    check(config(folder, "model_engine=megatron", "vision_r1/freeze=vision", key))  # As in the group.


def test_a_cpu_run_needs_the_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl_vision_r1.preflight.config_check import check

    monkeypatch.delenv("VERL_PLATFORM")
    with pytest.raises(ValueError, match="VERL_PLATFORM: expected cpu"):
        check(config(folder))


def test_an_evaluation_needs_no_training_batch(folder: Path) -> None:
    from verl_vision_r1.preflight.config_check import check

    check(config(folder, "data.train_batch_size=100", "trainer.val_only=true"))


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

    from verl_vision_r1.preflight import config_check

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(config_check.importlib.util, "find_spec", lambda name: name in found or None)
    composed = compose_once("ppo_trainer", overrides=["+recipe=vision_r1_qwen7b", *overrides])
    if passes:
        config_check._check_attention(composed)
    else:
        with pytest.raises(ValueError, match=r"attn_implementation: expected the package flash_attn .* got none"):
            config_check._check_attention(composed)


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
