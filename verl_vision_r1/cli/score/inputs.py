"""What `vision-r1 score` is given: an answer with its target, or the lines of a file, and the rules to score by."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from verl_vision_r1.frames import FRAMES, Size, frame_size, read_size
from verl_vision_r1.rewards.explanation import Explanation, explain
from verl_vision_r1.rewards.presets import Preset, load_curriculum
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.rewards.scoring import Scores, TaskRules, score_completion
from verl_vision_r1.targets import Target

Read = TypeVar("Read")


@dataclass(frozen=True, eq=False)
class Given:
    """An answer to be scored.

    Attributes:
        text: The answer.
        target: What is there.
        frame: The frame that the file says the answer is in; None where none does.
        image: The file of its image, as far as it is known.
        where: What an error names.
        number: Its line, from 1.
    """

    text: str
    target: Target
    frame: Size | None = None
    image: str = ""
    where: str = "answer"
    number: int = 0


@dataclass(frozen=True, eq=False)
class Rulebook:
    """What all answers are scored by.

    Attributes:
        preset: The rewards.
        stage: The thresholds in force.
        frame: One of `FRAMES` or WIDTHxHEIGHT; None for what the line, or else the preset, or else the image says.
    """

    preset: Preset
    stage: Stage
    frame: str | None = None

    def explain(self, given: Given) -> Explanation:
        """Score an answer and say why.

        Raises:
            ValueError: The preset has no rules for its task, or the frame is none.
        """
        rules = self.rules_of(given)
        return explain(given.text, given.target, rules, self._frame(given, rules), self.stage)

    def score(self, given: Given) -> Scores:
        """Score an answer.

        Raises:
            ValueError: As `explain`.
        """
        rules = self.rules_of(given)
        return score_completion(given.text, given.target, rules, self._frame(given, rules), self.stage)

    def rules_of(self, given: Given) -> TaskRules:
        """The rules of an answer's task.

        Raises:
            ValueError: The preset has none.
        """
        return told(given.where, lambda: self.preset.rules_of(given.target))

    def _frame(self, given: Given, rules: TaskRules) -> Size:
        size = (given.target.width, given.target.height)
        if self.frame is not None:
            return frame_size(self.frame, size) if self.frame in FRAMES else size_of(self.frame, "--frame")
        return given.frame or frame_size(rules.frame or "resized_pixels", size)


def stage_of(curriculum: str, index: int | None) -> Stage:
    """A stage of a curriculum, the last where no index is given.

    Raises:
        ValueError: There is no such curriculum, or it has no such stage.
    """
    stages = load_curriculum(curriculum).stages
    if index is None:
        return stages[-1]
    if not 0 <= index < len(stages):
        raise ValueError(f"--stage: expected 0 to {len(stages) - 1} of the curriculum {curriculum}, got {index}")
    return stages[index]


def size_of(text: Any, where: str) -> Size:
    """A frame that is written as its size.

    Raises:
        ValueError: It is not.

    Example:
        >>> size_of("644x476", "--frame")
        (644.0, 476.0)
    """
    size = read_size(text)
    if size is None:
        raise ValueError(f"{where}: expected WIDTHxHEIGHT or one of {', '.join(FRAMES)}, got {text!r:.60}")
    return size


def read_answer(answer: str, target: str) -> Given:
    """An answer and its target as they stand on a command line.

    Args:
        answer: The text, or `-` for what comes in by standard input.
        target: The target as JSON, or the file that holds it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The target is wrong.
    """
    text = sys.stdin.buffer.read().decode("utf-8", errors="replace") if answer == "-" else answer
    if target.lstrip().startswith("{"):
        return Given(text, _target(target, "--target"))
    if not Path(target).is_file():
        raise FileNotFoundError(f"--target: expected JSON, or a file of it, got {target!r:.120}")
    return Given(text, _target(Path(target).read_text(encoding="utf-8-sig"), target))


def read_lines(path: Path, on_cut_off: Callable[[str], None]) -> Iterator[Given]:
    """The answers of a file, one by one.

    Args:
        path: Lines of verl's dumps (`output`, `gts`, `frame`, `image`), or `{"completion": ..., "target": ...}` with
            `frame` and `image` where they are known.
        on_cut_off: Told about a last line that was cut off half-way, which is left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line is something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of answers, a line of JSON for each, got no such file")
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path} line {number}"
            entry = _entry(line)
            if entry is None and not line.endswith("\n") and line.strip():
                on_cut_off(f"{where} was cut off and is left out")
            elif line.strip():
                yield _given(entry, where, number)


def read_line(path: Path, wanted: int, on_cut_off: Callable[[str], None]) -> Given:
    """One line of a file, counted from 1.

    Raises:
        FileNotFoundError, ValueError: As `read_lines`, or there is no such line.
    """
    last = 0
    for given in read_lines(path, on_cut_off):
        if given.number == wanted:
            return given
        last = given.number
    raise ValueError(f"--line: expected the number of a line of {path}, which ends with {last}, got {wanted}")


def told(where: str, read: Callable[[], Read]) -> Read:
    """What a function gives; what a person wrote wrong is told with its place.

    Raises:
        ValueError: The function raises it.
    """
    try:
        return read()
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _target(text: str, where: str) -> Target:
    return told(where, lambda: Target.from_json(text))


def _entry(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _given(entry: Any, where: str, number: int) -> Given:
    """A line of either form."""
    text, target = ("output", "gts") if isinstance(entry, dict) and "output" in entry else ("completion", "target")
    if not isinstance(entry, dict) or not {text, target} <= entry.keys():
        got = f"the keys {', '.join(map(str, entry))}" if isinstance(entry, dict) else "none"
        raise ValueError(
            f"{where}: expected a JSON object with output and gts, as verl writes, or completion and target, got {got}"
        )
    if not isinstance(entry[text], str):
        raise ValueError(f"{where}: {text}: expected a text, got {entry[text]!r:.60}")
    held = entry[target] if isinstance(entry[target], str) else json.dumps(entry[target])
    read = _target(held, f"{where}: {target}")
    return Given(
        text=entry[text],
        target=read,
        frame=_frame(entry.get("frame"), read, f"{where}: frame"),
        image=str(entry.get("image") or ""),
        where=where,
        number=number,
    )


def _frame(text: Any, target: Target, where: str) -> Size | None:
    if text in FRAMES:
        return frame_size(text, (target.width, target.height))
    return None if text is None else size_of(text, where)
