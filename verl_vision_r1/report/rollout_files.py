"""Find the rollout files and predictions files of a run, and the reward configuration that scored them."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from verl_vision_r1.training.run_file import KINDS, NAME, Rules, read_run_file

DEPTH: Final = 3
"""How many levels of subfolders are searched: rollout files are near the top, checkpoints are deep."""


@dataclass(frozen=True)
class RolloutFolder:
    """A folder of rollout files (training) or predictions files (validation), one for each step.

    Attributes:
        path: The folder.
        kind: `training` or `validation`.
        files: STEP.jsonl by step.
        rules: The reward configuration, if known.
        samples: The sample files of the run.
        note: Why the reward configuration is unknown.
        origin: What its `run.yaml` says of where the run comes from; see `run_file.RunFile`.
    """

    path: Path
    kind: str
    files: dict[int, Path]
    rules: Rules | None = None
    samples: tuple[Path, ...] = ()
    note: str = ""
    origin: dict[str, str] = field(default_factory=dict)


def find_rollout_files(run: Path, trust_run: bool = False) -> list[RolloutFolder]:
    """Find the rollout files and predictions files of one run.

    Args:
        run: The folder of its checkpoints, or of its rollout files.
        trust_run: Whether custom functions that its `run.yaml` names are imported.

    Returns:
        At most one folder for training and one for validation.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: It has no such files, or those of several runs.
    """
    found = rollout_files_so_far(run, trust_run)
    if not found:
        raise ValueError(
            f"{run}: expected rollout files (STEP.jsonl) at most {DEPTH} folders deep, got none; verl writes them to"
            " trainer.rollout_data_dir and trainer.validation_data_dir"
        )
    return found


def rollout_files_so_far(run: Path, trust_run: bool = False) -> list[RolloutFolder]:
    """Like `find_rollout_files`, for a run that may have no files yet."""
    if not run.is_dir():
        raise FileNotFoundError(f"{run}: expected the folder of a run, got no such folder")
    found = [_folder(path, files, trust_run) for path, files in _with_rollout_files(run, DEPTH)]
    for kind in KINDS:
        same = [str(folder.path) for folder in found if folder.kind == kind]
        if len(same) > 1:
            raise ValueError(f"{run}: expected one run, got {kind} files in {', '.join(same)}; pass one of them")
    return found


def _with_rollout_files(folder: Path, depth: int) -> list[tuple[Path, dict[int, Path]]]:
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    files = {
        int(entry.name[: -len(".jsonl")]): Path(entry.path)
        for entry in entries
        if entry.name.endswith(".jsonl") and entry.name[: -len(".jsonl")].isdecimal() and entry.is_file()
    }
    below = [Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("global_step_")]
    here = [(folder, dict(sorted(files.items())))] if files else []
    return here + [found for path in below if depth for found in _with_rollout_files(path, depth - 1)]


def _folder(path: Path, files: dict[int, Path], trust_run: bool) -> RolloutFolder:
    file = path / NAME
    if not file.is_file():
        # verl writes the key `reward` next to `score` in validation only.
        with next(iter(files.values())).open(encoding="utf-8", errors="replace") as lines:
            validated = '"reward": ' in next(lines, "").replace('\\"', "")
        kind = KINDS[validated or path.name.startswith("val")]
        return RolloutFolder(path, kind, files, note=f"{path} has no {NAME}, which the vision_r1 trainer modes write")
    found = read_run_file(file, trust_run)
    return RolloutFolder(path, found.kind, files, found.rules, found.samples, found.note, found.origin)
