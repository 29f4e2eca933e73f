"""GPUs, their memory, flash attention and disk are checked against the run, with stand-ins for the machine."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cases import failed, gpu_run, run, skipped, unchecked, with_versions

from verl_vision_r1.preflight.doctor import gpus as gpus_module
from verl_vision_r1.preflight.doctor import machine
from verl_vision_r1.preflight.doctor.check import Case
from verl_vision_r1.preflight.estimate import Assumptions, make_plan, schedule

pytestmark = pytest.mark.verl

See = Callable[..., None]
SAVED = ("trainer.total_training_steps=100", "trainer.save_freq=10")


def test_a_run_on_gpus_is_not_checked_without_one(folder: Path, gpus: See) -> None:
    gpus(0)
    case = gpu_run(folder, *SAVED)
    unchecked(machine.gpus(case), "1 GPU per node")
    unchecked(machine.flash_attention(case), "flash-attn")
    unchecked(machine.memory(case), "memory for its peaks; estimated for 80.0 GiB: fits; peak: ")
    unchecked(machine.disk(case), "2 checkpoints of 10 at a time")


def test_a_run_without_gpus_needs_none(folder: Path, gpus: See) -> None:
    gpus(0)
    case = run(folder)
    for each in (machine.gpus, machine.memory):
        skipped(each(case), "trainer.device=cpu")
    skipped(machine.flash_attention(case), "not installed, and not needed")


def test_without_a_run_there_is_nothing_to_compare(gpus: See) -> None:
    gpus(1)
    for each in (machine.gpus, machine.memory, machine.disk):
        skipped(each(Case()), "no run given")


def test_a_run_on_a_cluster_is_not_compared_with_this_machine(
    folder: Path, gpus: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(0)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    case = gpu_run(folder, *SAVED)
    for each in machine.CHECKS:
        skipped(each(case), "the run is on the cluster of RAY_ADDRESS")


# Linear attention.


def test_a_model_with_linear_attention_needs_its_kernels(
    folder: Path, gpus: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(8)
    case = run(folder, recipe="vision_r1_qwen3_5_4b")
    case.run.actor_rollout_ref.model.path = "Qwen/Qwen3.5-4B"
    with_versions(monkeypatch, machine, flash_linear_attention=None)
    failed(machine.linear_attention(case), "qwen3_5 has layers of linear attention, and flash-linear-attention is not")
    with_versions(monkeypatch, machine, flash_linear_attention="0.4.0")
    assert machine.linear_attention(case).found == "flash-linear-attention 0.4.0"
    skipped(machine.linear_attention(gpu_run(folder)), "qwen2_5_vl has none")


# GPUs.


def test_enough_gpus(folder: Path, gpus: See) -> None:
    gpus(8, 79.1)
    found = machine.gpus(gpu_run(folder, "trainer.n_gpus_per_node=8"))
    assert found.ok, found
    assert found.found == "torch sees 8 (NVIDIA A100, 79.1 GiB), trainer.n_gpus_per_node is 8"


def test_too_few_gpus(folder: Path, gpus: See) -> None:
    gpus(2)
    found = machine.gpus(gpu_run(folder, "trainer.n_gpus_per_node=8"))
    failed(found, "trainer.n_gpus_per_node is 8, but torch sees 2 (NVIDIA A100, 80.0 GiB)")


def with_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.process
@pytest.mark.parametrize(
    ("cuda", "devices", "text"),
    [
        (None, None, "is built without CUDA"),
        ("13.0", "", "CUDA_VISIBLE_DEVICES=''"),
        ("13.0", None, "driver is too old"),
    ],
)
def test_gpus_that_torch_does_not_see(
    cuda: str | None,
    devices: str | None,
    text: str,
    folder: Path,
    tmp_path: Path,
    gpus: See,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    def too_old(*sizes: int, device: str) -> Any:
        raise RuntimeError("The NVIDIA driver is too old")

    gpus(0)
    with_nvidia_smi(tmp_path, monkeypatch, "echo NVIDIA H100; echo NVIDIA H100")
    case = gpu_run(folder, *SAVED)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if devices is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "zeros", too_old)
        failed(machine.gpus(case), "nvidia-smi lists 2 GPUs (NVIDIA H100), but torch sees none", text)
    for each in (machine.flash_attention, machine.memory, machine.disk):
        skipped(each(case), "the check GPUs did not pass")


@pytest.mark.process
@pytest.mark.parametrize("script", ["exit 9", "exit 0"])
def test_nvidia_smi_that_lists_nothing(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_nvidia_smi(tmp_path, monkeypatch, script)
    assert gpus_module.listed() == []


# Memory.


def test_peaks_that_fit(folder: Path, gpus: See) -> None:
    gpus(1, 80.0, 79.1)
    found = machine.memory(gpu_run(folder))
    assert found.ok, found
    assert found.found.startswith("estimated for 79.1 GiB: fits; peak: ")


def test_peaks_that_do_not_fit(folder: Path, gpus: See) -> None:
    gpus(2, 80.0, 4.0)  # The reserve of the estimate alone is 4 GiB; the smallest GPU counts.
    found = machine.memory(gpu_run(folder))
    failed(found, "estimated for 4.0 GiB: does not fit: peak: ")
    assert "vision-r1 rehearse" in found.advice


def test_a_model_that_the_estimate_does_not_know(folder: Path, gpus: See) -> None:
    gpus(1)
    case = gpu_run(folder, "actor_rollout_ref.model.path=/nowhere/model")
    skipped(machine.memory(case), "no estimate: actor_rollout_ref.model.path: expected a folder")


# Flash attention.


def with_flash_attention(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "flash_attn.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    with_versions(monkeypatch, machine, flash_attn="2.8.3", torch="2.11.0")


BROKEN = "raise ImportError('flash_attn_2_cuda.so: undefined symbol: _ZN3c104cuda9SetDeviceEi')"


def test_flash_attention_that_can_be_imported(
    folder: Path, tmp_path: Path, gpus: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(1)
    with_flash_attention(tmp_path, monkeypatch, "")
    found = machine.flash_attention(gpu_run(folder))
    assert found.ok, found
    assert found.found == "flash-attn 2.8.3 can be imported with torch 2.11.0"


@pytest.mark.parametrize("attention", ["flash_attention_2", "sdpa"])
def test_flash_attention_for_another_torch(
    attention: str, folder: Path, tmp_path: Path, gpus: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that does not use it fails too: verl imports it wherever it is installed."""
    gpus(1)
    with_flash_attention(tmp_path, monkeypatch, BROKEN)
    override = f"+actor_rollout_ref.model.override_config.attn_implementation={attention}"
    found = machine.flash_attention(gpu_run(folder, override))
    failed(
        found, "flash-attn 2.8.3 cannot be imported with torch 2.11.0: ImportError: flash_attn_2_cuda.so: undefined"
    )
    assert "attn_implementation=sdpa" in found.advice
    failed(machine.flash_attention(Case()), "cannot be imported")
    gpus(0)
    skipped(machine.flash_attention(Case()), "no GPU")


def test_without_flash_attention(folder: Path, gpus: See, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(1)
    with_versions(monkeypatch, machine, flash_attn=None)
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    failed(machine.flash_attention(gpu_run(folder)), "not installed, but the run uses flash_attention_2")
    sdpa = "+actor_rollout_ref.model.override_config.attn_implementation=sdpa"
    skipped(machine.flash_attention(gpu_run(folder, sdpa)), "not needed")
    skipped(machine.flash_attention(gpu_run(folder, "vision_r1/engine=megatron")), "not needed")
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: SimpleNamespace())
    assert machine.flash_attention(gpu_run(folder)).found.startswith("kernels")


# Disk.


def with_free(monkeypatch: pytest.MonkeyPatch, size: float) -> list[Path]:
    asked: list[Path] = []

    def usage(folder: Path) -> Any:
        asked.append(folder)
        return SimpleNamespace(free=int(size))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return asked


def test_the_disk_has_room_for_the_checkpoints(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl_vision_r1.preflight.estimate.schedule import checkpoint_bytes

    case = run(folder, *SAVED, "trainer.max_actor_ckpt_to_keep=2", f"trainer.default_local_dir={tmp_path}/a/b")
    need = 2 * checkpoint_bytes(make_plan(case.overrides, Assumptions()))
    asked = with_free(monkeypatch, need)
    found = machine.disk(case)
    assert found.ok, found
    assert f"{tmp_path}/a/b for 2 checkpoints of 10 at a time" in found.found
    assert asked == [tmp_path]
    with_free(monkeypatch, need - 1)
    found = machine.disk(case)
    failed(found, "free, but the run needs")
    assert "trainer.max_actor_ckpt_to_keep" in found.advice


@pytest.mark.parametrize(
    ("overrides", "kept", "text"),
    [
        (("trainer.max_actor_ckpt_to_keep=2",), 2, "2 checkpoints of 10 at a time"),
        (("trainer.max_actor_ckpt_to_keep=1",), 2, "2 checkpoints of 10 at a time"),
        (("trainer.max_actor_ckpt_to_keep=null",), 10, "10 checkpoints of 10 at a time"),
        (("trainer.max_actor_ckpt_to_keep=30",), 10, "10 checkpoints of 10 at a time"),
        (("trainer.total_training_steps=5",), 1, "1 checkpoint of 1 at a time"),
    ],
)
def test_how_many_checkpoints_are_kept(overrides: tuple[str, ...], kept: int, text: str, folder: Path) -> None:
    plan = make_plan(run(folder, *SAVED, *overrides).overrides, Assumptions())
    assert schedule.checkpoints_kept(plan) == (kept, text)


@pytest.mark.parametrize(("key", "kept"), [("null", 1), ("3", 3)])
def test_checkpoints_of_an_unknown_number_of_steps(key: str, kept: int, folder: Path) -> None:
    away = "data.train_files=nowhere.parquet"
    case = gpu_run(folder, away, "trainer.save_freq=10", f"trainer.max_actor_ckpt_to_keep={key}")
    number, text = schedule.checkpoints_kept(make_plan(case.overrides, Assumptions()))
    assert number == kept
    assert ("at least" in text) == (key == "null")


@pytest.mark.parametrize("override", ["trainer.save_freq=-1", "trainer.val_only=true"])
def test_a_run_without_checkpoints(override: str, folder: Path) -> None:
    skipped(machine.disk(run(folder, *SAVED, override)), "saves no checkpoint")
