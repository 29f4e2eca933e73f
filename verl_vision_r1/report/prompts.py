"""Group the completions of a run by prompt, and choose the prompts that a page shows."""

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verl_vision_r1.evaluation.predictions.predictions_file import Line, read_predictions
from verl_vision_r1.report.rollout_files import RolloutFolder

MIN_PER_STEP: Final = 16
"""Minimum number of completions per step: with more steps than that allows, some are left out."""


@dataclass(frozen=True)
class Prompt:
    """One prompt at one step, with all its rollouts.

    Attributes:
        kind: `training` or `validation`.
        step: The step.
        lines: Its completions, in file order.
    """

    kind: str
    step: int
    lines: tuple[Line, ...]

    @property
    def identity(self) -> str:
        """An id that the same prompt has at every step."""
        return identity(self.lines[0])


def image_key(line: Line) -> tuple[str, str]:
    """Data source and image id: the same for all prompts about an image."""
    return line.data_source, line.image_id


def identity(line: Line) -> str:
    """The id of a completion's prompt: a 12-digit hash of data source, image, question and prompt text.

    Hashes are in random order, so that the first prompts by id are a random sample, the same at every step.
    """
    key = "\0".join((line.data_source, line.image_id, line.question, line.subject, line.prompt))
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def read_prompts(file: Path, kind: str, step: int, wanted: Set[str] = frozenset()) -> list[Prompt]:
    """Read the prompts of a file: those with a wanted id first, else in the order of their ids."""
    groups: dict[str, list[Line]] = {}
    for line in read_predictions(file).lines:
        groups.setdefault(identity(line), []).append(line)
    ordered = sorted(groups, key=lambda key: (key not in wanted, key))
    return [Prompt(kind, step, tuple(groups[key])) for key in ordered]


def choose(folders: Sequence[RolloutFolder], limit: int, wanted: Set[str] = frozenset()) -> list[Prompt]:
    """Choose complete prompts with at most `limit` completions, spread over the steps.

    Args:
        folders: The folders of the run's rollout files.
        limit: Maximum number of completions; exceeded only if one prompt of each kind has more.
        wanted: The ids of prompts that are preferred: those of another run.

    Returns:
        The prompts by kind and step: the first ones of `read_prompts`, so that every step shows the same prompts. Of
        too many steps evenly spaced ones are chosen, with the first and the last.
    """
    chosen: list[Prompt] = []
    # Folders with fewer files first: what they do not use is left for the others.
    ordered = sorted(folders, key=lambda folder: len(folder.files))
    for kinds_left, folder in zip(range(len(folders), 0, -1), ordered, strict=True):
        room = (limit - sum(len(prompt.lines) for prompt in chosen)) // kinds_left
        chosen += _choose(folder, max(room, 1), wanted)
    return sorted(chosen, key=lambda prompt: (prompt.kind, prompt.step))


def _choose(folder: RolloutFolder, room: int, wanted: Set[str]) -> list[Prompt]:
    """Prompts of one kind with at most `room` completions, but at least one prompt."""
    steps = spaced(list(folder.files), max(room // MIN_PER_STEP, 1))
    prompts = {step: read_prompts(folder.files[step], folder.kind, step, wanted) for step in steps}
    while True:
        found = [prompt for step in steps for prompt in _first(prompts[step], room // len(steps))]
        if len(steps) == 1 or sum(len(prompt.lines) for prompt in found) <= room:
            return found
        steps = spaced(steps, len(steps) // 2)


def spaced(values: list[int], count: int) -> list[int]:
    """`count` evenly spaced values with the first and the last; for a count of 1 the last.

    Example:
        >>> spaced([1, 2, 3, 4, 5, 6, 7], 3), spaced([1, 2, 3], 5), spaced([1, 2, 3], 1)
        ([1, 4, 7], [1, 2, 3], [3])
    """
    if len(values) <= count:
        return values
    if count == 1:
        return values[-1:]
    return [values[round(index * (len(values) - 1) / (count - 1))] for index in range(count)]


def _first(prompts: list[Prompt], completions: int) -> list[Prompt]:
    """The first prompts with at most this many completions, but at least one prompt."""
    taken: list[Prompt] = []
    count = 0
    for prompt in prompts:
        if taken and count + len(prompt.lines) > completions:
            break
        taken.append(prompt)
        count += len(prompt.lines)
    return taken
