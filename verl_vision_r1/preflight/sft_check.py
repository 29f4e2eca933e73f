"""Checks of a supervised run before it starts: an error ends the run and names the key.

The recipes for verl's supervised trainer list `SftPreflight` under `hydra.callbacks`.
"""

from pathlib import Path
from typing import Any, Final

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from verl_vision_r1 import supported
from verl_vision_r1.families import expect_trained
from verl_vision_r1.preflight.config_check.model import expect_folder, family_of

COLUMNS: Final = ("messages", "images")
"""The columns of a sample for verl's supervised trainer."""
ADVICE: Final = "`vision-r1 prepare ... --sft MODEL` writes sft_train.parquet and sft_val.parquet"


class SftPreflight(Callback):
    """Checks the composed configuration of a supervised run."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the run. Hydra calls this right before verl's `main`, and turns other exceptions into warnings."""
        try:
            supported.check_run()
            check(config)
        except (ValueError, FileNotFoundError, supported.UnsupportedError) as error:
            raise SystemExit(f"verl-vision-r1: {error}") from error


def check(config: DictConfig) -> None:
    """Find the errors that verl's supervised trainer reports late or without the key.

    Raises:
        ValueError, FileNotFoundError: The message has the key, the expected value and the value found.
    """
    if "actor_rollout_ref" in config:
        raise ValueError(
            "recipe: expected one for GRPO, got one for supervised training; start it with"
            " python -m torch.distributed.run --standalone --nproc_per_node=GPUS -m verl.trainer.sft_trainer"
        )
    if "://" not in config.model.path:
        expect_folder(str(config.model.path), "model.path")
        expect_trained(family_of(str(config.model.path)), "model.path")
    for key in ("train_files", "val_files"):
        files = config.data[key] or []
        for file in [files] if isinstance(files, str) else files:
            _check_file(f"data.{key}", str(file))


def _check_file(key: str, name: str) -> None:
    import pyarrow.parquet as pq

    if "://" in name:
        return
    if not Path(name).expanduser().is_file():
        raise FileNotFoundError(f"{key}: expected a parquet file, got {name}, which does not exist; {ADVICE}")
    found = pq.read_schema(Path(name).expanduser()).names
    if missing := [column for column in COLUMNS if column not in found]:
        wanted, lacking = " and ".join(COLUMNS), " and ".join(missing)
        raise ValueError(f"{key}: expected the columns {wanted}, got {name} without {lacking}; {ADVICE}")
