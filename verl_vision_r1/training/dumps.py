"""The file beside verl's dumps of answers that says by which rules they were scored: `run.yaml`."""

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from verl_vision_r1.report.dump_files import DESCRIPTION
from verl_vision_r1.reward_manager.manager import total_steps


def describe_dumps(folder: Path, config: DictConfig) -> None:
    """Write the description of the dumps in a folder, if it is not there as it should be.

    Args:
        folder: `trainer.rollout_data_dir` or `trainer.validation_data_dir`; it is made.
        config: The run's configuration.
    """
    text = yaml.safe_dump(_description(folder, config), sort_keys=False, allow_unicode=True)
    file = folder / DESCRIPTION
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _description(folder: Path, config: DictConfig) -> dict[str, Any]:
    validation = config.trainer.get("validation_data_dir")
    held = validation is not None and Path(validation).absolute() == folder.absolute()
    files = config.data.val_files if held else config.data.train_files
    return {
        "kind": "validation" if held else "training",
        "experiment": str(config.trainer.experiment_name),
        "total_steps": total_steps(config),
        "rows": [str(Path(file).absolute()) for file in ([files] if isinstance(files, str) else files)],
        "vision_r1": OmegaConf.to_container(config.vision_r1, resolve=True),
    }
