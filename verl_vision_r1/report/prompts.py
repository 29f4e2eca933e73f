"""The answers of a run, put together by the prompt that they answer; and which of them a page shows."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verl_vision_r1.evaluation.predictions.predictions_file import Line, read_predictions
from verl_vision_r1.report.rollout_files import RolloutFolder

LEAST: Final = 16
"""Answers of a step that are worth showing: one prompt of some rollouts, or some prompts of one."""


@dataclass(frozen=True)
class Prompt:
    """One prompt in one step, with all its rollouts.

    Attributes:
        kind: `training` or `validation`.
        step: The step.
        lines: Its answers, in the order of the dump.
    """

    kind: str
    step: int
    lines: tuple[Line, ...]

    @property
    def identity(self) -> str:
        """What is the same of the same prompt in another step."""
        return identity(self.lines[0])


def identity(line: Line) -> str:
    """What two answers to the same prompt share: twelve letters made of data set, image, question and its words.

    They look drawn at random, so that the first few prompts in their order are a fair sample, the same in every step.
    """
    key = "\0".join((line.data_source, line.image_id, line.question, line.subject, line.prompt))
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def read_prompts(file: Path, kind: str, step: int) -> list[Prompt]:
    """The prompts of a dump, in the order of their identities."""
    groups: dict[str, list[Line]] = {}
    for line in read_predictions(file).lines:
        groups.setdefault(identity(line), []).append(line)
    return [Prompt(kind, step, tuple(groups[key])) for key in sorted(groups)]


def choose(folders: Sequence[RolloutFolder], limit: int) -> list[Prompt]:
    """At most so many answers, whole prompts, spread over the steps.

    Args:
        folders: The run's dumps.
        limit: Answers in all; where even one prompt of each kind has more, those are taken.

    Returns:
        The prompts by kind and step. Of every step the first ones of `read_prompts`, so that the same are seen again
        later; where there are too many steps, evenly spaced ones with the first and the last.
    """
    chosen: list[Prompt] = []
    # First those with fewer files, which may leave some of their room to the others.
    for kinds_left, folder in zip(range(len(folders), 0, -1), sorted(folders, key=_files), strict=True):
        room = (limit - sum(len(prompt.lines) for prompt in chosen)) // kinds_left
        chosen += _choose(folder, max(room, 1))
    return sorted(chosen, key=lambda prompt: (prompt.kind, prompt.step))


def _files(folder: RolloutFolder) -> int:
    return len(folder.files)


def _choose(folder: RolloutFolder, room: int) -> list[Prompt]:
    """At most so many answers of one kind, but one prompt in any case."""
    steps = spaced(list(folder.files), max(room // LEAST, 1))
    prompts = {step: read_prompts(folder.files[step], folder.kind, step) for step in steps}
    while True:
        found = [prompt for step in steps for prompt in _first(prompts[step], room // len(steps))]
        if len(steps) == 1 or sum(len(prompt.lines) for prompt in found) <= room:
            return found
        steps = spaced(steps, len(steps) // 2)


def spaced(values: list[int], count: int) -> list[int]:
    """So many of some values, evenly spaced, with the first and the last; of one alone the last.

    Example:
        >>> spaced([1, 2, 3, 4, 5, 6, 7], 3), spaced([1, 2, 3], 5), spaced([1, 2, 3], 1)
        ([1, 4, 7], [1, 2, 3], [3])
    """
    if len(values) <= count:
        return values
    if count == 1:
        return values[-1:]
    return [values[round(index * (len(values) - 1) / (count - 1))] for index in range(count)]


def _first(prompts: list[Prompt], answers: int) -> list[Prompt]:
    """The first prompts that have no more answers than that, and one in any case."""
    taken: list[Prompt] = []
    count = 0
    for prompt in prompts:
        if taken and count + len(prompt.lines) > answers:
            break
        taken.append(prompt)
        count += len(prompt.lines)
    return taken
