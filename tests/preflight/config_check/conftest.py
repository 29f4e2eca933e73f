"""Hydra as in verl's command, and the configuration of a small run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from compose_once import compose_once
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra


@pytest.fixture(autouse=True)
def hydra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import verl  # noqa: F401

    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None):
        yield


@pytest.fixture
def run(folder: Path) -> Callable[..., Any]:
    """A function from overrides to the configuration of a run on the CPU, whose model and samples exist."""
    files = [f"data.train_files={folder / 'train.parquet'}", f"data.val_files={folder / 'val.parquet'}"]
    model = f"actor_rollout_ref.model.path={folder / 'model'}"

    def composed(*overrides: str) -> Any:
        return compose_once("ppo_trainer", overrides=["+recipe=vision_r1_cpu", *files, model, *overrides])

    return composed
