"""Runs to check, and what the tests of the checks share."""

from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1.preflight.doctor import installation, versions
from verl_vision_r1.preflight.doctor.check import Case, Check


def run(folder: Path, *overrides: str, recipe: str = "vision_r1_cpu") -> Case:
    """A recipe with the files of the fixture, composed and read."""
    files = [f"data.{kind}_files={folder / f'{kind}.parquet'}" for kind in ("train", "val")]
    model = f"actor_rollout_ref.model.path={folder / 'model'}"
    case = Case((f"+recipe={recipe}", *files, model, *overrides))
    assert installation.recipes(case).ok
    installation.rewards(case)
    return case


def gpu_run(folder: Path, *overrides: str) -> Case:
    """A run on one GPU."""
    return run(folder, "trainer.n_gpus_per_node=1", *overrides, recipe="vision_r1_qwen7b")


def failed(found: Check, *texts: str) -> None:
    assert found.ok is False, found
    assert found.advice
    assert all(text in found.found for text in texts), found.found
    assert "\n" not in found.found


def skipped(found: Check, text: str) -> None:
    assert (found.ok, found.unchecked) == (None, False), found
    assert text in found.found


def unchecked(found: Check, text: str) -> None:
    assert (found.ok, found.unchecked) == (None, True), found
    assert text in found.found
    assert found.found.startswith("no GPU on this machine; the run needs ")


def with_versions(monkeypatch: pytest.MonkeyPatch, *modules: Any, **changed: str | None) -> None:
    """Other versions of packages, as `versions` and these modules see them."""
    real = versions.installed
    names = {name.replace("_", "-"): version for name, version in changed.items()}
    for module in (versions, *modules):
        monkeypatch.setattr(module, "installed", lambda package: names[package] if package in names else real(package))
