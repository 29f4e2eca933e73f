"""Checks of a curriculum that waits and of the sampler, which only the trainer modes of this plugin know."""

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from verl_vision_r1.data.difficulty import read_difficulty
from verl_vision_r1.preflight.config_check.training import OURS

if TYPE_CHECKING:
    from verl_vision_r1.settings import Settings


def check_steering(config: DictConfig, settings: "Settings") -> None:
    """Check `vision_r1.curriculum` and `vision_r1.sampler` against the trainer mode, and read the difficulty file.

    Raises:
        ValueError, FileNotFoundError: The message has the key, the expected value and the value found.
    """
    mode = str(config.trainer.v1.trainer_mode)
    draw, file = settings.sampling.draw, settings.sampling.difficulty
    for key, used in (
        ("vision_r1.curriculum.stages with mean_iou", settings.curriculum.waits),
        (f"vision_r1.sampler.draw={draw}", draw != "uniform"),
    ):
        if used and not mode.startswith(OURS):
            raise ValueError(
                f"trainer.v1.trainer_mode: expected a mode that begins with {OURS} for {key}, got {mode!r}"
            )
    if file is not None:
        try:
            read_difficulty(file)
        except (ValueError, OSError) as error:
            raise ValueError(f"vision_r1.sampler.difficulty: {error}") from error
