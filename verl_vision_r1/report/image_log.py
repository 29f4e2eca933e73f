"""Images of a validation with their boxes, for the run's own loggers: Weights & Biases and TensorBoard.

verl's loggers take numbers, and `trainer.log_val_generations` takes text. `vision_r1.log_images=N` adds N images of
each validation, the same prompts each time.
"""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from verl_vision_r1.evaluation.predictions.predictions_file import Line, line_of
from verl_vision_r1.evaluation.presentation.image_files import NoImageError, open_reduced
from verl_vision_r1.report.drawing import SIDES, draw
from verl_vision_r1.report.prompts import identity, image_key
from verl_vision_r1.report.thumbnails import embedded_images
from verl_vision_r1.rewards.explanation import explain
from verl_vision_r1.settings import Settings

logger = logging.getLogger(__name__)

NAME: Final = "val/boxes"
"""The name of the images in the loggers."""
LOGGERS: Final = ("wandb", "tensorboard")
"""The loggers of verl that take images."""


@dataclass(frozen=True)
class Overlay:
    """An image with the boxes of one completion.

    Attributes:
        picture: The drawing.
        caption: The image, what was asked, and the reward.
    """

    picture: Image.Image
    caption: str


def overlays(
    entries: Sequence[Mapping[str, Any]], count: int, settings: Settings, samples: Sequence[Path]
) -> list[Overlay]:
    """Draw the boxes of some completions of a validation.

    Args:
        entries: The lines of the predictions file, before they are written.
        count: How many are drawn: the first in the order of the ids of their prompts, which is random and the same in
            every validation. Only tasks with boxes or points.
        settings: The key `vision_r1` of the run.
        samples: The sample files of the validation, which may contain the images.
    """
    lines = [line_of(dict(entry), number, Path("validation")) for number, entry in enumerate(entries, start=1)]
    drawable = [line for line in lines if line.target.task not in ("classification", "counting")]
    chosen = sorted(drawable, key=identity)[:count]
    embedded = embedded_images(samples, [image_key(line) for line in chosen if not line.image])
    found = []
    for line in chosen:
        try:
            found.append(_overlay(line, embedded.get(image_key(line)), settings))
        except Exception as error:  # A custom function of the rewards: the flag of the score says so.
            logger.error("%s of %s could not be drawn for the loggers: %s", line.image_id, line.data_source, error)
    return found


def _overlay(line: Line, content: bytes | None, settings: Settings) -> Overlay:
    rules, stage = settings.preset.rules_of(line.target), settings.curriculum.validation_stage()
    image = None
    with contextlib.suppress(NoImageError):  # Drawn on grey; the flag `image_unreadable` says so.
        image, _ = open_reduced(content or Path(line.image), SIDES[1])
    explanation = explain(line.text, line.target, rules, line.frame, stage)
    asked = f": {line.subject}" if line.subject else ""
    return Overlay(draw(explanation, image), f"{line.image_id}{asked}, reward {explanation.scores.total:.2f}")


def log_validation(
    entries: Sequence[Mapping[str, Any]], config: DictConfig, loggers: Mapping[str, Any], step: int
) -> None:
    """Log `vision_r1.log_images` images of a validation.

    Args:
        entries: The lines of the predictions file, before they are written.
        config: The configuration of the run.
        loggers: `Tracking.logger` of verl: the adapter of each logger by name.
        step: The training step.
    """
    plain: Any = OmegaConf.to_container(config.vision_r1, resolve=True)
    settings, files = Settings.from_config(plain), config.data.val_files
    samples = [Path(file) for file in ([files] if isinstance(files, str) else files)]
    log_images(loggers, overlays(entries, settings.log_images, settings, samples), step)


def log_images(loggers: Mapping[str, Any], images: Sequence[Overlay], step: int) -> None:
    """Pass images to those loggers of verl that take images.

    Args:
        loggers: `Tracking.logger` of verl: the adapter of each logger by name.
        images: The images.
        step: The training step.
    """
    if "wandb" in loggers:
        wandb = loggers["wandb"]
        # With verl's numbers of the same step, which follow; a step of its own would move wandb's counter.
        wandb.log({NAME: [wandb.Image(image.picture, caption=image.caption) for image in images]}, step=step)
    if "tensorboard" in loggers:
        writer = loggers["tensorboard"].writer
        for number, image in enumerate(images, start=1):
            writer.add_image(f"{NAME}/{number}", np.asarray(image.picture), step, dataformats="HWC")
            writer.add_text(f"{NAME}/{number}", image.caption, step)
        writer.flush()
