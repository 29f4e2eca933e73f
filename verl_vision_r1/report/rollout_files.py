"""Where the dumps of a run lie, and by which rules their answers were scored."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verl_vision_r1.training.run_file import KINDS, NAME, Rules, read_run_file

DEPTH: Final = 3
"""Folders below the given one that are looked into: dumps lie near its top, checkpoints go deep."""


@dataclass(frozen=True)
class RolloutFolder:
    """A folder of dumps, one for each step.

    Attributes:
        path: The folder.
        kind: `training` or `validation`.
        files: STEP.jsonl by step.
        rules: What the answers were scored by, where it is known.
        samples: The files of samples that the model answered.
        note: Why the rules are not known.
    """

    path: Path
    kind: str
    files: dict[int, Path]
    rules: Rules | None = None
    samples: tuple[Path, ...] = ()
    note: str = ""


def find_rollout_files(run: Path) -> list[RolloutFolder]:
    """The dumps of one run.

    Args:
        run: Its folder: that of its checkpoints or of its dumps.

    Returns:
        One folder for each kind at most.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It has no dumps, or those of several runs.
    """
    found = rollout_files_so_far(run)
    if not found:
        raise ValueError(
            f"{run}: expected dumps (STEP.jsonl) within {DEPTH} folders, got none; verl writes them where"
            " trainer.rollout_data_dir and trainer.validation_data_dir say"
        )
    return found


def rollout_files_so_far(run: Path) -> list[RolloutFolder]:
    """As `find_rollout_files`, of a run that may have none yet."""
    if not run.is_dir():
        raise FileNotFoundError(f"{run}: expected the folder of a run, got no such folder")
    found = [_folder(path, files) for path, files in _with_rollout_files(run, DEPTH)]
    for kind in KINDS:
        same = [str(folder.path) for folder in found if folder.kind == kind]
        if len(same) > 1:
            raise ValueError(f"{run}: expected one run, got {kind} dumps in {', '.join(same)}; name one of them")
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


def _folder(path: Path, files: dict[int, Path]) -> RolloutFolder:
    file = path / NAME
    if not file.is_file():
        # verl has the key `reward` beside the score where it validates, and only there.
        with next(iter(files.values())).open(encoding="utf-8", errors="replace") as lines:
            validated = '"reward": ' in next(lines, "").replace('\\"', "")
        kind = KINDS[validated or path.name.startswith("val")]
        return RolloutFolder(path, kind, files, note=f"{path} has no {NAME}, which our trainer modes write")
    found = read_run_file(file)
    return RolloutFolder(path, found.kind, files, found.rules, found.samples, found.note)
