"""Where the dumps of a run lie, and by which rules their answers were scored."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from verl_vision_r1.presets import Preset, preset_from_config
from verl_vision_r1.refinement import Curriculum, Stage

KINDS: Final = ("training", "validation")
DESCRIPTION: Final = "run.yaml"
"""What our trainer modes write beside their dumps (`training.dumps`)."""
DEPTH: Final = 3
"""Folders below the given one that are looked into: dumps lie near its top, checkpoints go deep."""


@dataclass(frozen=True)
class Rules:
    """What a run's answers were scored by.

    Attributes:
        preset: The rewards.
        curriculum: The refinement.
        total_steps: Steps of the whole training.
    """

    preset: Preset
    curriculum: Curriculum
    total_steps: int

    def stage(self, kind: str, step: int) -> Stage:
        """The thresholds that were in force for a dump's answers."""
        if kind == "validation":
            return self.curriculum.validation_stage()
        return self.curriculum.stage(step, self.total_steps)


@dataclass(frozen=True)
class DumpFolder:
    """A folder of dumps, one for each step.

    Attributes:
        path: The folder.
        kind: `training` or `validation`.
        files: STEP.jsonl by step.
        rules: What the answers were scored by, where it is known.
        rows: Files of the rows that were asked.
        note: Why the rules are not known.
    """

    path: Path
    kind: str
    files: dict[int, Path]
    rules: Rules | None = None
    rows: tuple[Path, ...] = ()
    note: str = ""


def find_dumps(run: Path) -> list[DumpFolder]:
    """The dumps of one run.

    Args:
        run: Its folder: that of its checkpoints or of its dumps.

    Returns:
        One folder for each kind at most.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It has no dumps, or those of several runs.
    """
    found = dumps_so_far(run)
    if not found:
        raise ValueError(
            f"{run}: expected dumps (STEP.jsonl) within {DEPTH} folders, got none; verl writes them where"
            " trainer.rollout_data_dir and trainer.validation_data_dir say"
        )
    return found


def dumps_so_far(run: Path) -> list[DumpFolder]:
    """As `find_dumps`, of a run that may have none yet."""
    if not run.is_dir():
        raise FileNotFoundError(f"{run}: expected the folder of a run, got no such folder")
    found = [_folder(path, files) for path, files in _with_dumps(run, DEPTH)]
    for kind in KINDS:
        same = [str(folder.path) for folder in found if folder.kind == kind]
        if len(same) > 1:
            raise ValueError(f"{run}: expected one run, got {kind} dumps in {', '.join(same)}; name one of them")
    return found


def _with_dumps(folder: Path, depth: int) -> list[tuple[Path, dict[int, Path]]]:
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    files = {
        int(entry.name[: -len(".jsonl")]): Path(entry.path)
        for entry in entries
        if entry.name.endswith(".jsonl") and entry.name[: -len(".jsonl")].isdecimal() and entry.is_file()
    }
    below = [Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("global_step_")]
    here = [(folder, dict(sorted(files.items())))] if files else []
    return here + [found for path in below if depth for found in _with_dumps(path, depth - 1)]


def _folder(path: Path, files: dict[int, Path]) -> DumpFolder:
    file = path / DESCRIPTION
    if not file.is_file():
        # verl has the key `reward` beside the score where it validates, and only there.
        with next(iter(files.values())).open(encoding="utf-8", errors="replace") as lines:
            validated = '"reward": ' in next(lines, "").replace('\\"', "")
        kind = KINDS[validated or path.name.startswith("val")]
        return DumpFolder(path, kind, files, note=f"{path} has no {DESCRIPTION}, which our trainer modes write")
    description = _read(file)
    rows = tuple(map(Path, description["rows"]))
    try:
        rules = _rules(description)
    except ValueError as error:
        return DumpFolder(path, description["kind"], files, None, rows, f"{file}: {error}")
    return DumpFolder(path, description["kind"], files, rules, rows)


def _read(file: Path) -> dict[str, Any]:
    description = yaml.safe_load(file.read_text(encoding="utf-8"))
    expected = {"kind", "total_steps", "rows", "vision_r1"}
    if not isinstance(description, dict) or not expected <= set(description) or description["kind"] not in KINDS:
        raise ValueError(f"{file}: expected the keys {', '.join(sorted(expected))}, got {description!r:.160}")
    return description


def _rules(description: dict[str, Any]) -> Rules:
    settings = description["vision_r1"]
    return Rules(
        preset_from_config(settings["reward"]),
        Curriculum.from_config(settings["curriculum"]),
        int(description["total_steps"]),
    )
