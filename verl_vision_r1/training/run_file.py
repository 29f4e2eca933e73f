"""`run.yaml`: the reward configuration of a run and what started it, written next to verl's rollout files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from verl_vision_r1.documents import parse_yaml, read_text
from verl_vision_r1.rewards.presets import Preset, names_in, preset_from_config, read_preset
from verl_vision_r1.rewards.refinement import MAX_STEP, Curriculum, Stage
from verl_vision_r1.shown import shown

if TYPE_CHECKING:
    from omegaconf import DictConfig

NAME: Final = "run.yaml"
KINDS: Final = ("training", "validation")
ORIGIN: Final = ("experiment", "model", "started", "command")
"""What is known of the origin of a run; files of older versions have the experiment alone."""
MAX_ORIGIN: Final = 4_000
"""Maximum number of characters of each."""


@dataclass(frozen=True)
class Rules:
    """The reward configuration that scored a run's completions.

    Attributes:
        preset: The rewards.
        curriculum: The curriculum.
        total_steps: Steps of the whole training run.
    """

    preset: Preset
    curriculum: Curriculum
    total_steps: int

    def stage(self, kind: str, step: int, recorded: int = 0) -> Stage:
        """The stage that scored a completion.

        Args:
            kind: One of `KINDS`.
            step: Its step.
            recorded: The stage in its line of the rollout file, which alone knows when a stage that waits began.
        """
        if kind == "validation":
            return self.curriculum.validation_stage()
        return self.curriculum.stage(step, self.total_steps, recorded if self.curriculum.waits else 0)


@dataclass(frozen=True)
class RunFile:
    """The content of `run.yaml`.

    Attributes:
        kind: One of `KINDS`.
        samples: The parquet files of the samples.
        rules: The reward configuration; None if it cannot be built here.
        note: Why it cannot be built.
        origin: What is known of `ORIGIN`, and `rewards`, the built-in preset if the rewards are one.
    """

    kind: str
    samples: tuple[Path, ...]
    rules: Rules | None
    note: str = ""
    origin: dict[str, str] = field(default_factory=dict)


def read_run_file(file: Path, trusted: bool = False) -> RunFile:
    """Read `run.yaml`.

    Args:
        file: The file, which may be from anybody.
        trusted: Whether the custom functions that it names are imported; see `preset_from_config`.

    Raises:
        ValueError: The file was not written by `write_run_file`.
    """
    content = parse_yaml(read_text(file), str(file))
    expected = {"kind", "total_steps", "samples", "vision_r1"}
    if not isinstance(content, dict) or not expected <= set(content) or content["kind"] not in KINDS:
        raise ValueError(
            f"{file}: expected the keys {', '.join(sorted(expected))}, with kind {' or '.join(KINDS)},"
            f" got {shown(content, 160)}"
        )
    if not isinstance(content["samples"], list) or not all(isinstance(path, str) for path in content["samples"]):
        raise ValueError(f"{file}: samples: expected a list of paths, got {shown(content['samples'])}")
    samples = tuple(map(Path, content["samples"]))
    origin = _origin(content)
    try:
        return RunFile(content["kind"], samples, _rules(content, trusted), origin=origin)
    except ValueError as error:
        return RunFile(content["kind"], samples, None, f"{file}: {error}", origin)


def _origin(content: Mapping[str, Any]) -> dict[str, str]:
    known = {name: content.get(name) for name in ORIGIN}
    origin = {name: value[:MAX_ORIGIN] for name, value in known.items() if isinstance(value, str) and value}
    settings = content["vision_r1"]
    rewards = settings.get("reward") if isinstance(settings, Mapping) else None
    name = next((name for name in names_in("reward") if read_preset(name) == rewards), "")
    return origin | ({"rewards": name} if name else {})


def _rules(content: Mapping[str, Any], trusted: bool) -> Rules:
    settings, steps = content["vision_r1"], content["total_steps"]
    if not isinstance(settings, Mapping) or not {"reward", "curriculum"} <= set(settings):
        raise ValueError(f"vision_r1: expected the keys reward and curriculum, got {shown(settings)}")
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MAX_STEP:
        raise ValueError(f"total_steps: expected a number of steps, got {shown(steps)}")
    return Rules(
        preset_from_config(settings["reward"], trusted), Curriculum.from_config(settings["curriculum"]), steps
    )


def write_run_file(folder: Path, config: "DictConfig") -> None:
    """Write `run.yaml` into a folder of rollout files, unless it is up to date.

    Args:
        folder: `trainer.rollout_data_dir` or `trainer.validation_data_dir`; it is created.
        config: The run's configuration.
    """
    text = yaml.safe_dump(_content(folder, config), sort_keys=False, allow_unicode=True)
    file = folder / NAME
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _content(folder: Path, config: "DictConfig") -> dict[str, Any]:
    from omegaconf import OmegaConf

    from verl_vision_r1.reward_manager.manager import total_steps
    from verl_vision_r1.training.command import command_and_start

    validation = config.trainer.get("validation_data_dir")
    validates = validation is not None and Path(validation).absolute() == folder.absolute()
    files = config.data.val_files if validates else config.data.train_files
    command, started = command_and_start()
    return {
        "kind": "validation" if validates else "training",
        "experiment": str(config.trainer.experiment_name),
        "model": str(config.actor_rollout_ref.model.path),
        **({"started": started, "command": command} if command else {}),
        "total_steps": total_steps(config),
        "samples": [str(Path(file).absolute()) for file in ([files] if isinstance(files, str) else files)],
        "vision_r1": OmegaConf.to_container(config.vision_r1, resolve=True),
    }
