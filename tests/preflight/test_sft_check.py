"""Supervised runs: what the check before them refuses."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from verl_vision_r1.preflight.sft_check import SftPreflight, check

pytestmark = pytest.mark.verl


def run(folder: Path, **data: Any) -> Any:
    file = folder / "sft_train.parquet"
    pq.write_table(pa.table({"messages": ["a"], "images": ["b"]}), file)
    files = {"train_files": str(file), "val_files": None, **data}
    return OmegaConf.create({"model": {"path": str(folder)}, "data": files})


def test_a_run_that_is_right_passes(tmp_path: Path) -> None:
    check(run(tmp_path))
    check(run(tmp_path, val_files=[str(tmp_path / "sft_train.parquet"), "s3://bucket/a.parquet"]))


def test_a_missing_file_is_named_with_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"data\.val_files: .* none\.parquet, .*vision-r1 prepare \.\.\. --sft MODEL"
    ):
        check(run(tmp_path, val_files="none.parquet"))


def test_the_samples_of_grpo_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"prompt": ["a"], "images": ["b"]}), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=r"expected the columns messages and images, got .* without messages"):
        check(run(tmp_path, train_files=str(tmp_path / "train.parquet")))


def test_a_missing_model_folder_is_not_a_name_on_the_hub(tmp_path: Path) -> None:
    config = run(tmp_path)
    config.model.path = "./checkpoints/none"
    with pytest.raises(FileNotFoundError, match=r"model\.path: expected an existing model folder"):
        check(config)


def test_the_other_trainer_is_named(tmp_path: Path) -> None:
    config = OmegaConf.merge(run(tmp_path), {"actor_rollout_ref": {}})
    with pytest.raises(SystemExit, match=r"verl-vision-r1: recipe: .*verl\.trainer\.sft_trainer"):
        SftPreflight().on_job_start(config)
