"""Checks of what only the trainer modes of this plugin know: a curriculum that waits, the sampler, logged images."""

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from verl_vision_r1.data.difficulty import read_difficulty
from verl_vision_r1.preflight.config_check.training import OURS

if TYPE_CHECKING:
    from verl_vision_r1.settings import Settings


def check_steering(config: DictConfig, settings: "Settings") -> None:
    """Check the keys of `vision_r1` that need a trainer mode of ours, and read the difficulty file.

    Raises:
        ValueError, FileNotFoundError: The message has the key, the expected value and the value found.
    """
    mode = str(config.trainer.v1.trainer_mode)
    draw, file = settings.sampling.draw, settings.sampling.difficulty
    for key, used in (
        ("vision_r1.curriculum.stages with mean_iou", settings.curriculum.waits),
        (f"vision_r1.sampler.draw={draw}", draw != "uniform"),
        (f"vision_r1.log_images={settings.log_images}", settings.log_images > 0),
    ):
        if used and not mode.startswith(OURS):
            raise ValueError(
                f"trainer.v1.trainer_mode: expected a mode that begins with {OURS} for {key}, got {mode!r}"
            )
    if settings.log_images:
        _check_logged_images(config, settings.log_images)
    if file is not None:
        try:
            read_difficulty(file)
        except (ValueError, OSError) as error:
            raise ValueError(f"vision_r1.sampler.difficulty: {error}") from error


def _check_logged_images(config: DictConfig, count: int) -> None:
    """Check that images have a logger, and that verl hands over the completions."""
    from verl_vision_r1.report.image_log import LOGGERS

    loggers = config.trainer.logger
    names = [loggers] if isinstance(loggers, str) else list(loggers)
    if not set(names) & set(LOGGERS):
        raise ValueError(
            f"trainer.logger: expected {' or '.join(LOGGERS)} for vision_r1.log_images={count}, got {names}"
        )
    if not config.trainer.get("validation_data_dir"):
        raise ValueError(
            f"trainer.validation_data_dir: expected a folder for vision_r1.log_images={count}, got none;"
            " verl passes the completions of a validation on only to write them"
        )
