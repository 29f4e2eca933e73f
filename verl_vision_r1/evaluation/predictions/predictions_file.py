"""verl's validation dump: what a model answered, one JSON line for each answer.

verl writes it to `trainer.validation_data_dir` as STEP.jsonl; our reward manager adds which row was answered, and in
which frame. A line that is no JSON was cut off: it is counted, and what it answered is missing.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.data.readers.folders import contents
from verl_vision_r1.frames import Size, read_size
from verl_vision_r1.targets import Target

KEYS: Final = ("input", "output", "gts", "data_source", "image_id", "question", "subject", "image", "frame")


@dataclass(frozen=True, eq=False)
class Line:
    """One answer.

    Attributes:
        number: Its line in the file, from 1.
        text: What the model wrote.
        prompt: What it was asked, as the model saw it.
        data_source: The row's data set and task.
        image_id: The image's name there.
        question: One of `prompts.QUESTIONS`.
        subject: What the question is about; empty for all categories.
        image: The image file, where it is known.
        frame: (width, height) of the frame that the answer is in.
        ground_truth: The row's target, as JSON.
        target: The same, read.
        clipped: Whether the length limit cut the answer off.
        step: Step of the training; 0 before the first.
        values: All numbers of the line: the score, the criteria, the flags as 0 or 1.
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


@dataclass(frozen=True, eq=False)
class PredictionsFile:
    """A file of answers.

    Attributes:
        path: The file.
        lines: Its answers, in its order, which is none: verl sorts them by names drawn at random.
        broken: Numbers of the lines that are no JSON object.
    """

    path: Path
    lines: list[Line]
    broken: list[int]


def read_predictions(path: Path) -> PredictionsFile:
    """Read a dump.

    Args:
        path: The file, or a folder that holds only one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The folder holds none or several, no line can be read, or a line lacks what says which row it is.
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
                lines.append(_line(entry, number, path))
    if not lines:
        raise ValueError(f"{path}: expected a line of JSON for each answer, got {len(broken)} lines that are none")
    return PredictionsFile(path, lines, broken)


def _file(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected a dump of verl's validation, got no such file")
    if not path.is_dir():
        return path
    files = sorted(path.glob("*.jsonl"))
    if len(files) != 1:
        raise ValueError(f"{path}: expected a folder with one dump (STEP.jsonl), got {contents(path)}; name the file")
    return files[0]


def _object(text: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _line(entry: dict[str, Any], number: int, path: Path) -> Line:
    where = f"{path} line {number}"
    wrong = [key for key in KEYS if not isinstance(entry.get(key), str)]
    if wrong:
        raise ValueError(
            f"{where}: expected text in the keys {', '.join(KEYS)}, got none in {', '.join(wrong)}; they are"
            " written by verl's validation with reward.reward_manager.name=vision_r1"
        )
    return Line(
        number=number,
        text=entry["output"],
        prompt=entry["input"],
        frame=_frame(entry["frame"], where),
        ground_truth=entry["gts"],
        target=_target(entry["gts"], where),
        clipped=bool(entry.get("clipped")),
        step=entry["step"] if isinstance(entry.get("step"), int) else 0,
        values={key: float(value) for key, value in entry.items() if isinstance(value, int | float)},
        **{name: entry[name] for name in ("data_source", "image_id", "question", "subject", "image")},
    )


def _target(text: str, where: str) -> Target:
    try:
        return Target.from_json(text)
    except ValueError as error:
        raise ValueError(f"{where}: gts: {error}") from error


def _frame(text: str, where: str) -> Size:
    size = read_size(text)
    if size is None:
        raise ValueError(f"{where}: frame: expected WIDTHxHEIGHT, got {text!r}")
    return size
