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
from verl_vision_r1.report.header import header, names
from verl_vision_r1.report.highlights import highlights
from verl_vision_r1.report.page import render
from verl_vision_r1.report.prompts import Prompt, choose
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


@dataclass(frozen=True)
class _Run:
    """A run on the page: its folders, the means of all its steps, and the prompts that are shown."""

    name: str
    folders: list[RolloutFolder]
    means: dict[str, dict[int, Means]]
    prompts: list[Prompt]

    @property
    def steps(self) -> list[Means]:
        return [step for kind in self.means.values() for step in kind.values()]


def write_report(
    run: Path,
    out: Path,
    limit: int = LIMIT,
    refresh: int = 0,
    cache: Cache | None = None,
    trust_run: bool = False,
    against: Path | None = None,
) -> Report:
    """Write the page of a run, or of two.

    Args:
        run: The folder of the run.
        out: The HTML file to write.
        limit: Maximum number of completions on the page, of both runs together; the curves use all.
        refresh: Seconds after which the browser reloads the page; 0 for never.
        cache: The means of files that were read before.
        trust_run: Whether the custom functions that the runs' files name are imported and called.
        against: The folder of a second run, which is shown next to the first.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: It has no rollout files, or one of another format; or plotly or itables is not installed.
    """
    paths = [run] if against is None else [run, against]
    runs = _read(paths, max(limit // len(paths), 1), cache or Cache(), trust_run)
    steps = [step for one in runs for step in one.steps]
    folders = [folder for one in runs for folder in one.folders]
    shown = sum(len(prompt.lines) for one in runs for prompt in one.prompts)
    total = sum(step.completions for step in steps)
    notes = _notes(folders, shown, total, sum(step.broken for step in steps))
    content = document([(one.prompts, one.folders) for one in runs], partial(progress, desc="page"))
    title = " against ".join(one.name for one in runs)
    second = [(one.means, one.name) for one in runs[1:]]
    content |= {
        **{"title": f"{title}: rollouts", "notes": notes, "refresh": refresh},
        "runs": [header(one.name, one.folders, one.means) for one in runs],
        "highlights": highlights(content["prompts"], runs[-1].name),
        "figures": figures(runs[0].means, _criteria(folders, steps), *(second[0] if second else ())),
    }
    _write(out, render(content))
    return Report(out, out.stat().st_size, shown, total, tuple(notes))


def _read(paths: Sequence[Path], limit: int, cache: Cache, trust_run: bool) -> list[_Run]:
    """Read the runs; the second prefers the prompts of the first."""
    runs: list[_Run] = []
    for name, path in zip(names(paths), paths, strict=True):
        folders = find_rollout_files(path, trust_run)
        wanted = {prompt.identity for one in runs for prompt in one.prompts}
        prompts = choose(folders, limit, wanted)
        runs.append(_Run(name, folders, read_means(folders, cache.read, progress), prompts))
    return runs


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


def follow(make: Callable[[Cache], Report], runs: Sequence[Path], seconds: float) -> Iterator[Report]:
    """Write the page whenever the rollout files of a run change, forever.

    Args:
        make: Writes the page.
        runs: The folders of the runs, which may have no rollout files yet.
        seconds: Interval between two checks.

    Yields:
        Each page that was written.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: A file is invalid, and does not change within the interval.
    """
    cache = Cache()
    seen: list[list[tuple[Path, int, int]]] = []
    while True:
        states = list(map(_state, runs))
        if all(states) and states != seen:
            try:
                yield make(cache)
            except ValueError:
                # A file that is being written may still be empty; one that stays so is invalid.
                time.sleep(seconds)
                if list(map(_state, runs)) == states:
                    raise
                continue
            seen = states
        time.sleep(seconds)


def _state(run: Path) -> list[tuple[Path, int, int]]:
    """Size and time of every rollout file: differs whenever one has changed."""
    files = [file for folder in rollout_files_so_far(run) for file in folder.files.values()]
    return [(file, (state := file.stat()).st_size, state.st_mtime_ns) for file in files]
