"""`vision-r1 report`: write the page of a run, once or whenever the run adds files."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from verl_vision_r1.data.progress import progress
from verl_vision_r1.documents import replaced
from verl_vision_r1.evaluation.predictions.predictions_file import read_predictions
from verl_vision_r1.report.curves import Means, criteria_of, figures, means_of, read_means
from verl_vision_r1.report.document import document
from verl_vision_r1.report.page import render
from verl_vision_r1.report.prompts import choose
from verl_vision_r1.report.rollout_files import RolloutFolder, find_rollout_files, rollout_files_so_far
from verl_vision_r1.shown import printable

LIMIT: Final = 2000
"""Default maximum number of completions on a page."""


@dataclass(frozen=True)
class Report:
    """A page that was written.

    Attributes:
        path: The HTML file.
        size: Its size in bytes.
        completions: Number of completions on the page.
        total: Number of completions in the rollout files.
        notes: Notes on missing data, which are on the page too.
    """

    path: Path
    size: int
    completions: int
    total: int
    notes: tuple[str, ...]


@dataclass
class Cache:
    """A cache of the means of each file until it changes, which makes following a long run fast."""

    means: dict[tuple[Path, int, int], Means] = field(default_factory=dict)

    def read(self, file: Path) -> Means:
        """The means of a file."""
        state = file.stat()
        key = (file, state.st_size, state.st_mtime_ns)
        if key not in self.means:
            self.means[key] = means_of(read_predictions(file))
        return self.means[key]


def write_report(
    run: Path,
    out: Path,
    limit: int = LIMIT,
    refresh: int = 0,
    cache: Cache | None = None,
    trust_run: bool = False,
) -> Report:
    """Write the page of a run.

    Args:
        run: The folder of the run.
        out: The HTML file to write.
        limit: Maximum number of completions on the page; the curves use all.
        refresh: Seconds after which the browser reloads the page; 0 for never.
        cache: The means of files that were read before.
        trust_run: Whether the custom functions that the run's files name are imported and called.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: It has no rollout files, or one of another format; or plotly or itables is not installed.
    """
    folders = find_rollout_files(run, trust_run)
    means = read_means(folders, (cache or Cache()).read, progress)
    prompts = choose(folders, limit)
    steps = [step for kind in means.values() for step in kind.values()]
    shown, total = sum(len(prompt.lines) for prompt in prompts), sum(step.completions for step in steps)
    notes = _notes(folders, shown, total, sum(step.broken for step in steps))
    content = document(prompts, folders, partial(progress, desc="page"))
    content |= {"title": f"{run.resolve().name}: rollouts", "notes": notes, "refresh": refresh}
    content |= {"figures": figures(means, _criteria(folders, steps))}
    _write(out, render(content))
    return Report(out, out.stat().st_size, shown, total, tuple(notes))


def _criteria(folders: Sequence[RolloutFolder], steps: Sequence[Means]) -> list[str]:
    """The criteria of the tasks in the run, as those of other tasks are always 0; all if the rewards are unknown."""
    tasks = {task for step in steps for task in step.tasks}
    presets = [folder.rules.preset for folder in folders if folder.rules]
    used = {name for preset in presets for task in tasks & set(preset.tasks) for name in preset.tasks[task].names}
    known = dict.fromkeys(name for step in steps for name in criteria_of(step.overall))
    return [name for name in known if not presets or name in used]


MAX_NAMED: Final = 20
"""Maximum number of custom functions in a note."""
TRUST: Final = "--trust-run imports and calls them; use it only for a run whose files you trust."


def _notes(folders: list[RolloutFolder], shown: int, total: int, broken: int) -> list[str]:
    kinds = {folder.kind for folder in folders}
    notes = [
        f"No {kind} files found. Set {key} to have verl write them." for kind, key in KEYS.items() if kind not in kinds
    ]
    if shown < total:
        notes.append(
            f"{shown:,} of {total:,} completions are shown: complete prompts at evenly spaced steps. Curves use all."
        )
    if broken:
        notes.append(f"{broken:,} truncated lines of the rollout files are skipped.")
    for folder in folders:
        if folder.rules is None:
            notes.append(f"The matches of {folder.kind} completions are unknown: {folder.note}.")
        elif custom := folder.rules.preset.unevaluated:
            names = ", ".join(f"{function.key} {printable(function.name, 100)}" for function in custom[:MAX_NAMED])
            notes.append(f"Custom functions of the {folder.kind} rewards are not evaluated: {names}. {TRUST}")
    return notes


KEYS: Final = {"training": "trainer.rollout_data_dir", "validation": "trainer.validation_data_dir"}
"""The keys of verl's configuration with the folder of each kind of file."""


def _write(out: Path, page: str) -> None:
    """Replace the page in one step: a browser may be loading the previous one."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with replaced(out) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def follow(make: Callable[[Cache], Report], run: Path, seconds: float) -> Iterator[Report]:
    """Write the page whenever the rollout files of a run change, forever.

    Args:
        make: Writes the page.
        run: The folder of the run, which may have no rollout files yet.
        seconds: Interval between two checks.

    Yields:
        Each page that was written.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: A file is invalid, and does not change within the interval.
    """
    cache = Cache()
    seen: list[tuple[Path, int, int]] = []
    while True:
        state = _state(run)
        if state and state != seen:
            try:
                yield make(cache)
            except ValueError:
                # A file that is being written may still be empty; one that stays so is invalid.
                time.sleep(seconds)
                if _state(run) == state:
                    raise
                continue
            seen = state
        time.sleep(seconds)


def _state(run: Path) -> list[tuple[Path, int, int]]:
    """Size and time of every rollout file: differs whenever one has changed."""
    files = [file for folder in rollout_files_so_far(run) for file in folder.files.values()]
    return [(file, (state := file.stat()).st_size, state.st_mtime_ns) for file in files]
