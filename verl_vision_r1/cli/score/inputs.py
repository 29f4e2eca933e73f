"""Inputs of `vision-r1 score`: completions with their targets."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from verl_vision_r1.documents import is_regular_file, read_text
from verl_vision_r1.frames import FRAMES, Size, frame_size, read_size
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

Read = TypeVar("Read")


@dataclass(frozen=True, eq=False)
class Completion:
    """A completion to be scored.

    Attributes:
        text: The completion.
        target: The ground truth.
        frame: Frame of the boxes according to the file; None if the file does not say.
        image: Path of the image; empty if unknown.
        where: Location for error messages.
        number: Line number, from 1.
        step: Training step according to the file.
        recorded: Total reward according to the file.
        stage: Index of the stage according to the file.
    """

    text: str
    target: Target
    frame: Size | None = None
    image: str = ""
    where: str = "completion"
    number: int = 0
    step: int | None = None
    recorded: float | None = None
    stage: int = 0


def size_of(text: Any, where: str) -> Size:
    """Parse a frame written as WIDTHxHEIGHT.

    Raises:
        ValueError: The text has another form.

    Example:
        >>> size_of("644x476", "--frame")
        (644.0, 476.0)
    """
    size = read_size(text)
    if size is None:
        raise ValueError(f"{where}: expected WIDTHxHEIGHT or one of {', '.join(FRAMES)}, got {shown(text, 60)}")
    return size


def read_completion(completion: str, target: str) -> Completion:
    """Read a completion and its target from the command line.

    Args:
        completion: The text, or `-` to read it from standard input.
        target: The target as JSON, or the path of a JSON file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The target is invalid.
    """
    text = sys.stdin.buffer.read().decode("utf-8", errors="replace") if completion == "-" else completion
    if target.lstrip().startswith("{"):
        return Completion(text, _target(target, "--target"))
    if not is_regular_file(Path(target)):
        raise FileNotFoundError(f"--target: expected JSON or a JSON file, got {shown(target)}")
    return Completion(text, _target(read_text(Path(target)), target))


def read_lines(path: Path, on_cut_off: Callable[[str], None]) -> Iterator[Completion]:
    """Read the completions of a JSONL file, one by one.

    Args:
        path: A rollout file of verl (`output`, `gts`, `frame`, `image`, `step`, `total`), or lines of the form
            `{"completion": ..., "target": ...}` with optional `frame` and `image`.
        on_cut_off: Called with a message if the last line is incomplete; the line is skipped.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: A line has another form.
    """
    if not is_regular_file(path):
        raise FileNotFoundError(f"{path}: expected a JSONL file with one completion per line, got no such file")
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path} line {number}"
            entry = _entry(line)
            if entry is None and not line.endswith("\n") and line.strip():
                on_cut_off(f"{where} is incomplete and is skipped")
            elif line.strip():
                yield _completion(entry, where, number)


def read_line(path: Path, number: int, on_cut_off: Callable[[str], None]) -> Completion:
    """Read one line of a file, numbered from 1.

    Raises:
        FileNotFoundError, ValueError: As in `read_lines`, or the line does not exist.
    """
    last = 0
    for completion in read_lines(path, on_cut_off):
        if completion.number == number:
            return completion
        last = completion.number
    raise ValueError(f"--line: expected a line of {path}, whose last is {last}, got {number}")


def located(where: str, read: Callable[[], Read]) -> Read:
    """Call a function, and add the location to its error message.

    Raises:
        ValueError: The function raises it.
    """
    try:
        return read()
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _target(text: str, where: str) -> Target:
    return located(where, lambda: Target.from_json(text))


def _entry(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _completion(entry: Any, where: str, number: int) -> Completion:
    """Parse a line of either form."""
    text, target = ("output", "gts") if isinstance(entry, dict) and "output" in entry else ("completion", "target")
    if not isinstance(entry, dict) or not {text, target} <= entry.keys():
        got = f"the keys {shown(list(entry))}" if isinstance(entry, dict) else "none"
        raise ValueError(
            f"{where}: expected a JSON object with output and gts (rollout file) or completion and target, got {got}"
        )
    if not isinstance(entry[text], str):
        raise ValueError(f"{where}: {text}: expected a string, got {shown(entry[text], 60)}")
    content = entry[target] if isinstance(entry[target], str) else _as_json(entry[target], f"{where}: {target}")
    parsed = _target(content, f"{where}: {target}")
    return Completion(
        text=entry[text],
        target=parsed,
        frame=_frame(entry.get("frame"), parsed, f"{where}: frame"),
        image=str(entry.get("image") or ""),
        where=where,
        number=number,
        step=step if isinstance(step := entry.get("step"), int) else None,
        recorded=_number(entry.get("total", entry.get("score"))),
        stage=int(_number(entry.get("stage")) or 0),
    )


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return float(value) if known else None


def _as_json(value: Any, where: str) -> str:
    try:
        return json.dumps(value)
    except RecursionError as error:
        raise ValueError(f"{where}: expected a target, got a value that is nested too deeply") from error


def _frame(text: Any, target: Target, where: str) -> Size | None:
    if text in FRAMES:
        return frame_size(text, (target.width, target.height))
    return None if text is None else size_of(text, where)
