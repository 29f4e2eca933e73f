"""The key `vision_r1` of a run's configuration, read and checked once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verl_vision_r1.frames import FRAMES
from verl_vision_r1.prompts import Prompts
from verl_vision_r1.rewards.presets import Preset, preset_from_config
from verl_vision_r1.rewards.refinement import Curriculum
from verl_vision_r1.shown import shown

KEYS = frozenset({"frame", "prompt", "reward", "curriculum"})


@dataclass(frozen=True)
class Settings:
    """Coordinate frame, prompt templates, rewards and curriculum of a run.

    Attributes:
        frame: `auto`, or one of `frames.FRAMES`.
        prompts: The prompt templates.
        preset: The rewards of each task.
        curriculum: The stages of progressive rule refinement.
    """

    frame: str
    prompts: Prompts
    preset: Preset
    curriculum: Curriculum

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> "Settings":
        """Check the key `vision_r1`.

        Args:
            config: Plain dictionaries and lists.

        Raises:
            ValueError: The key is missing, or a value in it is invalid.
        """
        if not isinstance(config, Mapping) or set(config) != KEYS:
            got = shown(sorted(config, key=str)) if isinstance(config, Mapping) else shown(config)
            raise ValueError(f"vision_r1: expected the keys {sorted(KEYS)}, got {got}")
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
        )
