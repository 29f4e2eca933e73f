"""Predictions files: the completions of verl's validation, one JSON line each.

verl writes STEP.jsonl to `trainer.validation_data_dir`; our reward manager adds the sample and the frame to each line.
Rollout files of training have the same format. A line that is not JSON was cut off: it is counted, and its prediction
is missing.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.data.readers.folders import contents
from verl_vision_r1.documents import expect_regular
from verl_vision_r1.frames import MAX_FRAME, Size, read_size
from verl_vision_r1.rewards.answers.box_log_probs import BOX_LOG_PROBS, read_log_probs
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

MAX_STEP: Final = 1_000_000_000
"""Maximum step of a line."""
KEYS: Final = ("input", "output", "gts", "data_source", "image_id", "question", "subject", "image", "frame")


@dataclass(frozen=True, eq=False)
class Line:
    """One completion and its sample.

    Attributes:
        number: Line number in the file, from 1.
        text: The completion.
        prompt: The prompt, after the chat template.
        data_source: The sample's data set and task.
        image_id: The image's name in the data set.
        question: Kind of question, one of `prompts.QUESTIONS`.
        subject: The category or expression that the question asks about; empty for all categories.
        image: Path of the image file; empty if unknown.
        frame: (width, height) of the frame that the predicted boxes are in.
        ground_truth: The sample's target, as JSON.
        target: The same, parsed.
        clipped: Whether the length limit cut the completion off.
        step: Training step; 0 before the first.
        values: All numbers of the line by key: the reward, the criteria, and the flags as 0 or 1.
        log_probs: The mean log-probability of the tokens of each box, by the index of its first character in the text,
            from `box_log_probs`; None if the line has none.
    """

    number: int
    text: str
    prompt: str
    data_source: str
    image_id: str
    question: str
    subject: str
    image: str
    frame: Size
    ground_truth: str
    target: Target
    clipped: bool
    step: int
    values: dict[str, float]
    log_probs: dict[int, float] | None = None


@dataclass(frozen=True, eq=False)
class PredictionsFile:
    """A predictions file or rollout file.

    Attributes:
        path: The file.
        lines: Its completions in file order, which is arbitrary: verl sorts them by random ids.
        broken: Numbers of the lines that are not a JSON object.
    """

    path: Path
    lines: list[Line]
    broken: list[int]


def read_predictions(path: Path) -> PredictionsFile:
    """Read a predictions file or rollout file.

    Args:
        path: The file, or a folder with exactly one.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The folder has no such file or several, no line is JSON, or a line does not identify its sample or
            has a number that is not finite.
    """
    path = _file(path)
    lines, broken = [], []
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            entry = _object(text)
            if entry is None:
                broken.append(number)
            else:
                lines.append(line_of(entry, number, path))
    if not lines:
        raise ValueError(
            f"{path}: expected at least one line with a JSON object, got {len(broken)} lines that are not JSON"
        )
    return PredictionsFile(path, lines, broken)


def _file(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected a predictions file of verl's validation, got no such file")
    if not path.is_dir():
        expect_regular(path)
        return path
    files = sorted(file for file in path.glob("*.jsonl") if file.is_file())
    if len(files) != 1:
        raise ValueError(
            f"{path}: expected a folder with one predictions file (STEP.jsonl), got {contents(path)}; pass the file"
        )
    return files[0]


def _object(text: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def line_of(entry: dict[str, Any], number: int, path: Path) -> Line:
    """The completion of one JSON object.

    Args:
        entry: The object.
        number: Its line number, from 1.
        path: The file, for messages.

    Raises:
        ValueError: It does not identify its sample, or has a number that is not finite.
    """
    where = f"{path} line {number}"
    wrong = [key for key in KEYS if not isinstance(entry.get(key), str)]
    if wrong:
        raise ValueError(
            f"{where}: expected strings in the keys {', '.join(KEYS)}, got none in {', '.join(wrong)};"
            " set reward.reward_manager.name=vision_r1, which has verl write them"
        )
    return Line(
        number=number,
        text=entry["output"],
        prompt=entry["input"],
        frame=_frame(entry["frame"], where),
        ground_truth=entry["gts"],
        target=_target(entry["gts"], where),
        clipped=bool(entry.get("clipped")),
        step=_step(entry.get("step", 0), where),
        values={key: _number(value, key, where) for key, value in entry.items() if isinstance(value, int | float)},
        **{name: entry[name] for name in ("data_source", "image_id", "question", "subject", "image")},
        log_probs=_log_probs(entry.get(BOX_LOG_PROBS), where),
    )


def _log_probs(text: Any, where: str) -> dict[int, float] | None:
    if text is None:
        return None
    try:
        return read_log_probs(text)
    except ValueError as error:
        raise ValueError(f"{where}: {BOX_LOG_PROBS}: {error}") from error


def _number(value: int | float, key: str, where: str) -> float:
    if not abs(value) <= sys.float_info.max:
        raise ValueError(f"{where}: {shown(key, 60)}: expected a finite number, got {shown(value)}")
    return float(value)


def _step(value: Any, where: str) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_STEP:
        raise ValueError(f"{where}: step: expected a whole number from 0 to {MAX_STEP:,}, got {shown(value)}")
    return value


def _target(text: str, where: str) -> Target:
    try:
        return Target.from_json(text)
    except ValueError as error:
        raise ValueError(f"{where}: gts: {error}") from error


def _frame(text: str, where: str) -> Size:
    size = read_size(text)
    if size is None:
        raise ValueError(f"{where}: frame: expected WIDTHxHEIGHT, each from 1 to {MAX_FRAME:,}, got {shown(text, 60)}")
    return size
