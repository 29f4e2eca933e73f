"""`vision-r1 report`: from the dumps of a run to a page, once or again whenever the run goes on."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from verl_vision_r1.data.progress import progress
from verl_vision_r1.evaluation.predictions.predictions_file import read_predictions
from verl_vision_r1.report.curves import ALL, Means, criteria_of, figures, means_of, read_means
from verl_vision_r1.report.document import document
from verl_vision_r1.report.page import render
from verl_vision_r1.report.prompts import choose
from verl_vision_r1.report.rollout_files import RolloutFolder, find_rollout_files, rollout_files_so_far

LIMIT: Final = 2000
"""Answers that a page shows unless it is told otherwise."""


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        path: The page.
        size: Its bytes.
        answers: Answers that it shows.
        of: Answers that the dumps hold.
        notes: What has to be said beside it; the page says it too.
    """

    path: Path
    size: int
    answers: int
    of: int
    notes: tuple[str, ...]


@dataclass
class Remembered:
    """The means of dumps that were read before and have not changed since, so that following a long run is quick."""

    means: dict[tuple[Path, int, int], Means] = field(default_factory=dict)

    def read(self, file: Path) -> Means:
        """The means of a dump."""
        state = file.stat()
        key = (file, state.st_size, state.st_mtime_ns)
        if key not in self.means:
            self.means[key] = means_of(read_predictions(file))
        return self.means[key]


def write_report(run: Path, out: Path, limit: int = LIMIT, refresh: int = 0, held: Remembered | None = None) -> Report:
    """Write the page of a run.

    Args:
        run: Folder of the run.
        out: The file to write.
        limit: Answers that it shows at most; the curves are of all.
        refresh: Seconds after which a browser loads the page again; 0 for never.
        held: What was read before.

    Raises:
        FileNotFoundError, ValueError: There are no dumps, or they are not as expected; plotly or itables is missing.
    """
    folders = find_rollout_files(run)
    means = read_means(folders, (held or Remembered()).read, progress)
    prompts = choose(folders, limit)
    steps = [step for kind in means.values() for step in kind.values()]
    shown, of = sum(len(prompt.lines) for prompt in prompts), sum(step.answers for step in steps)
    notes = _notes(folders, shown, of, sum(step.broken for step in steps))
    content = document(prompts, folders, partial(progress, desc="page"))
    content |= {"title": f"{run.resolve().name}: rollouts", "notes": notes, "refresh": refresh}
    content |= {"figures": figures(means, _criteria(folders, steps))}
    _write(out, render(content))
    return Report(out, out.stat().st_size, shown, of, tuple(notes))


def _criteria(folders: Sequence[RolloutFolder], steps: Sequence[Means]) -> list[str]:
    """The criteria of the tasks that the run has, where its rules are known: of the others every value is 0."""
    tasks = {task for step in steps for task in step.tasks}
    presets = [folder.rules.preset for folder in folders if folder.rules]
    used = {name for preset in presets for task in tasks & set(preset.tasks) for name in preset.tasks[task].names}
    known = dict.fromkeys(name for step in steps for name in criteria_of(step.by_source[ALL]))
    return [name for name in known if not presets or name in used]


def _notes(folders: list[RolloutFolder], shown: int, of: int, broken: int) -> list[str]:
    kinds = {folder.kind for folder in folders}
    notes = [
        f"There are no {kind} dumps; {key} has verl write them." for kind, key in KEYS.items() if kind not in kinds
    ]
    if shown < of:
        notes.append(
            f"{shown:,} of {of:,} answers are here: whole prompts, of evenly spaced steps. Curves are of all."
        )
    if broken:
        notes.append(f"{broken:,} lines of the dumps are cut off and left out.")
    unknown = [folder for folder in folders if folder.rules is None]
    return notes + [f"The pairs of {folder.kind} answers are not known: {folder.note}." for folder in unknown]


KEYS: Final = {"training": "trainer.rollout_data_dir", "validation": "trainer.validation_data_dir"}
"""Of verl's configuration: where it writes dumps of each kind."""


def _write(out: Path, page: str) -> None:
    """Put the page in its place at once: a browser may be loading the one before."""
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        unfinished.write_text(page, encoding="utf-8")
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)


def follow(make: Callable[[Remembered], Report], run: Path, seconds: float) -> Iterator[Report]:
    """Make the page again whenever the dumps of a run have changed, without end.

    Args:
        make: Makes the page.
        run: Folder of the run; dumps that are not there yet are waited for.
        seconds: Between two looks.
    """
    held = Remembered()
    seen: list[tuple[Path, int, int]] = []
    while True:
        state = _state(run)
        if state and state != seen:
            try:
                yield make(held)
            except ValueError:
                # A dump that is just being written may hold nothing yet; one that stays so is wrong.
                time.sleep(seconds)
                if _state(run) == state:
                    raise
                continue
            seen = state
        time.sleep(seconds)


def _state(run: Path) -> list[tuple[Path, int, int]]:
    """What is another when a dump has changed."""
    files = [file for folder in rollout_files_so_far(run) for file in folder.files.values()]
    return [(file, (state := file.stat()).st_size, state.st_mtime_ns) for file in files]
