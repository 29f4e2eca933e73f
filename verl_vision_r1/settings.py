"""The key `vision_r1` of a run's configuration, read and checked once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_vision_r1.frames import FRAMES
from verl_vision_r1.prompts import Prompts
from verl_vision_r1.rewards.presets import Preset, preset_from_config
from verl_vision_r1.rewards.refinement import Curriculum
from verl_vision_r1.shown import shown

KEYS = frozenset({"frame", "prompt", "reward", "curriculum"})
OPTIONAL = frozenset({"sampler", "log_images"})
DRAWS = ("uniform", "drop", "weight")
MEASURES = ("acc", "mean", "spread")
"""The measures of a sample's difficulty: fraction of correct rollouts, mean and standard deviation of the reward."""


@dataclass(frozen=True)
class Sampling:
    """How training samples are drawn: the key `vision_r1.sampler`.

    Attributes:
        draw: `uniform` (verl's sampler), `drop` (only samples of medium difficulty) or `weight` (more of those).
        difficulty: The file of `vision-r1 difficulty`.
        measure: One of `MEASURES`.
        range: The measure of hopeless and of solved samples, both exclusive.
    """

    draw: str = "uniform"
    difficulty: Path | None = None
    measure: str = "acc"
    range: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def from_config(cls, config: Any) -> "Sampling":
        """Check the key `vision_r1.sampler`.

        Raises:
            ValueError: A key is unknown, or a value is invalid.
        """
        known = ("difficulty", "draw", "measure", "range")
        if not isinstance(config, Mapping) or not set(config) <= set(known):
            raise ValueError(f"vision_r1.sampler: expected the keys {', '.join(known)}, got {shown(config)}")
        draw, measure = config.get("draw", "uniform"), config.get("measure", "acc")
        for key, value, allowed in (("draw", draw, DRAWS), ("measure", measure, MEASURES)):
            if value not in allowed:
                raise ValueError(f"vision_r1.sampler.{key}: expected one of {', '.join(allowed)}, got {shown(value)}")
        file = config.get("difficulty")
        if draw != "uniform" and not isinstance(file, str):
            raise ValueError(
                f"vision_r1.sampler.difficulty: expected the file of `vision-r1 difficulty` for draw={draw},"
                f" got {shown(file)}"
            )
        return cls(draw, Path(file) if file else None, measure, _range(config.get("range", [0.0, 1.0])))


def _range(value: Any) -> tuple[float, float]:
    numbers = isinstance(value, Sequence) and all(
        isinstance(end, int | float) and not isinstance(end, bool) for end in value
    )
    if not numbers or len(value) != 2 or not value[0] < value[1]:
        raise ValueError(f"vision_r1.sampler.range: expected [LOW, HIGH] with LOW < HIGH, got {shown(value)}")
    return float(value[0]), float(value[1])


@dataclass(frozen=True)
class Settings:
    """Coordinate frame, prompt templates, rewards, curriculum and sampler of a run.

    Attributes:
        frame: `auto`, or one of `frames.FRAMES`.
        prompts: The prompt templates.
        preset: The rewards of each task.
        curriculum: The stages of progressive rule refinement.
        sampling: How training samples are drawn.
        log_images: Number of images of each validation that are logged with their boxes.
    """

    frame: str
    prompts: Prompts
    preset: Preset
    curriculum: Curriculum
    sampling: Sampling = Sampling()
    log_images: int = 0

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> "Settings":
        """Check the key `vision_r1`.

        Args:
            config: Plain dictionaries and lists.

        Raises:
            ValueError: The key is missing, or a value in it is invalid.
        """
        if not isinstance(config, Mapping) or set(config) - OPTIONAL != KEYS:
            got = shown(sorted(config, key=str)) if isinstance(config, Mapping) else shown(config)
            raise ValueError(f"vision_r1: expected the keys {sorted(KEYS | OPTIONAL)}, got {got}")
        for key in ("prompt", "reward", "curriculum"):
            if isinstance(config[key], str):
                raise ValueError(
                    f"vision_r1.{key}: expected vision_r1/{key}={config[key]}, with a slash, as this selects from a"
                    f" group, got vision_r1.{key}={config[key]}"
                )
        if config["frame"] not in ("auto", *FRAMES):
            raise ValueError(f"vision_r1.frame: expected auto or one of {', '.join(FRAMES)}, got {config['frame']!r}")
        return cls(
            config["frame"],
            Prompts.from_config(config["prompt"]),
            preset_from_config(config["reward"]),
            Curriculum.from_config(config["curriculum"]),
            Sampling.from_config(config.get("sampler", {})),
            _count(config.get("log_images", 0)),
        )


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"vision_r1.log_images: expected a number of images, 0 for none, got {shown(value)}")
    return value
