"""`run.yaml` next to verl's rollout files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from verl_vision_r1.report.rollout_files import find_rollout_files

pytestmark = pytest.mark.verl


@pytest.fixture(scope="module")
def config() -> Any:
    from hydra import compose, initialize_config_module

    import verl_vision_r1.plugin  # noqa: F401

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(
            "ppo_trainer",
            overrides=[
                *("+recipe=vision_r1_qwen7b", "vision_r1/curriculum=halfway", "data.val_files=[a.parquet,b.parquet]"),
                *("trainer.rollout_data_dir=run/rollouts", "trainer.validation_data_dir=run/validation"),
                "actor_rollout_ref.actor.optim.total_training_steps=8",
            ],
        )


def test_the_report_reads_the_run_file(config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl_vision_r1.training.run_file import write_run_file

    monkeypatch.chdir(tmp_path)
    for name in ("rollouts", "validation"):
        write_run_file(Path("run") / name, config)
        (tmp_path / "run" / name / "1.jsonl").write_text("{}\n")
    training, validation = find_rollout_files(tmp_path / "run")
    assert (training.kind, validation.kind) == ("training", "validation")
    assert training.samples == (tmp_path / "data" / "train.parquet",)
    assert validation.samples == (tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert training.rules is not None
    assert [training.rules.stage("training", step).xi2 for step in (4, 5)] == [0.75, 0.9]
    assert training.rules.preset.criteria == ("format", "hit", "nearness", "precision", "recall")


def test_it_is_only_rewritten_if_it_changes(config: Any, tmp_path: Path) -> None:
    from verl_vision_r1.training.run_file import NAME, write_run_file

    write_run_file(tmp_path, config)
    file = tmp_path / NAME
    before = file.stat().st_mtime_ns
    write_run_file(tmp_path, config)
    assert file.stat().st_mtime_ns == before
    other = config.copy()
    other.trainer.experiment_name = "other"
    write_run_file(tmp_path, other)
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["experiment"] == "other"
