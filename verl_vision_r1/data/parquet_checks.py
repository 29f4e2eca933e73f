"""Validation of samples and of the files that contain them: keys, types and consistency."""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.readers.entries import json_lines
from verl_vision_r1.documents import is_regular_file
from verl_vision_r1.prompts import PLACEHOLDERS, QUESTIONS, Prompts
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import TASKS, Target

COLUMNS = ("data_source", "prompt", "images", "ability", "reward_model", "extra_info")
BATCH = 256
"""Rows per read; larger batches only need more memory."""


def validate_row(row: Mapping[str, Any], where: str) -> Target:
    """Validate one sample.

    Args:
        row: The sample as plain Python values. Further keys are allowed.
        where: Location for error messages, such as "train.parquet row 17".

    Returns:
        The ground truth.

    Raises:
        ValueError: A key is missing or has another type, the prompt does not contain one `<image>` per image, or the
            ground truth is invalid.
    """
    for key in ("data_source", "ability"):
        _field(row, key, str, where)
    images = _entries(row, "images", where)
    _check_prompt(_entries(row, "prompt", where), len(images), where)
    for index, image in enumerate(images):
        _check_image(image, f"{where}: images[{index}]")
    extra = _field(row, "extra_info", dict, where)
    for key, kind in (("split", str), ("index", int), ("image_id", str)):
        _field(extra, key, kind, f"{where}: extra_info")
    ground_truth = _field(_field(row, "reward_model", dict, where), "ground_truth", str, f"{where}: reward_model")
    try:
        return Target.from_json(ground_truth)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def check_rows(path: Path, tasks: Collection[str] = TASKS, prompts: Prompts | None = None) -> int:
    """Validate all samples of a file. No image is decoded.

    Args:
        path: A `.parquet` file, or a `.jsonl` file with one sample per line.
        tasks: The tasks of the run's reward configuration; samples of other tasks are errors.
        prompts: The run's prompt templates; samples whose question has no template are errors.

    Returns:
        The number of samples.

    Raises:
        FileNotFoundError, ValueError: As `checked_rows`.
    """
    return sum(1 for _ in checked_rows(path, tasks, prompts))


def checked_rows(
    path: Path, tasks: Collection[str] = TASKS, prompts: Prompts | None = None, *, images: bool = True
) -> Iterator[tuple[dict[str, Any], Target]]:
    """Validate the samples of a file one by one, and yield each with its ground truth. Arguments as in `check_rows`.

    `images` is whether the image files must exist; an evaluation does not need them.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is empty or unreadable, or lacks columns; or a sample is invalid, or its image does not
            exist. Messages count the rows of a parquet file from 0, the lines of a `.jsonl` file from 1.
    """
    if path.suffix not in READERS:
        raise ValueError(f"{path}: expected a file that ends in {' or '.join(READERS)}, got {path.suffix!r}")
    if path.exists() and not is_regular_file(path):
        raise ValueError(f"{path}: expected a file of samples, got something else")
    if not path.stat().st_size:
        raise ValueError(f"{path}: expected samples, got an empty file (0 bytes)")
    count = 0
    for where, row in progress(READERS[path.suffix](path), desc=path.name, unit="row"):
        target = validate_row(row, where)
        if target.task not in tasks:
            raise ValueError(
                f"{where}: expected a task that vision_r1.reward configures ({', '.join(tasks)}), got {target.task}"
            )
        _check_question(row, prompts, where)
        for image in row["images"] if images else ():
            if "image" in image and not is_regular_file(Path(image["image"])):
                raise ValueError(f"{where}: expected an image file, got {image['image']}, which does not exist")
        count += 1
        yield row, target
    if not count:
        raise ValueError(f"{path}: expected at least one sample, got none")


def _check_question(row: Mapping[str, Any], prompts: Prompts | None, where: str) -> None:
    question = row["extra_info"].get("question") or "own"
    if not isinstance(question, str) or question not in QUESTIONS:
        raise ValueError(
            f"{where}: extra_info: question: expected one of {', '.join(QUESTIONS)}, got {shown(question)}"
        )
    if prompts is not None and prompts.templates and question != "own" and question not in prompts.templates:
        raise ValueError(
            f"{where}: expected a question with a template in vision_r1.prompt ({', '.join(prompts.templates)}), got"
            f" {question}; prepare the samples with another --ask, or choose another vision_r1/prompt"
        )


def _field(entry: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    if key not in entry:
        raise ValueError(f"{where}: expected the key {key!r}, got only {shown(sorted(map(str, entry)))}")
    if not isinstance(entry[key], kind):
        raise ValueError(f"{where}: {key}: expected {kind.__name__}, got {shown(entry[key])}")
    return entry[key]


def _entries(row: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    entries = _field(row, key, list, where)
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{where}: {key}: expected at least one entry, each with named fields, got {shown(entries)}")
    return list(entries)


def _check_image(image: Mapping[str, Any], where: str) -> None:
    if "bytes" in image:
        # If this key exists, verl decodes its value, even an empty one.
        _field(image, "bytes", bytes, where)
    else:
        _field(image, "image", str, where)
    # Without these bounds the workers resize to another size than the reward assumes.
    low, high = (_field(image, key, int, where) for key in ("min_pixels", "max_pixels"))
    if not 0 < low <= high:
        raise ValueError(f"{where}: expected 0 < min_pixels <= max_pixels, got {low} and {high}")


def _check_prompt(messages: list[dict[str, Any]], images: int, where: str) -> None:
    for index, message in enumerate(messages):
        _field(message, "role", str, f"{where}: prompt[{index}]")
    text = "".join(_field(message, "content", str, f"{where}: prompt") for message in messages)
    for placeholder, expected in zip(PLACEHOLDERS, (images, 0, 0), strict=True):
        if (count := text.count(placeholder)) != expected:
            raise ValueError(f"{where}: prompt: expected {expected} {placeholder}, got {count} in {shown(text)}")


def _read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
        _check_columns(file.schema_arrow.names, path)
        rows = (
            row
            for batch in file.iter_batches(BATCH, columns=list(COLUMNS), use_threads=False)
            for row in batch.to_pylist()
        )
        for index, row in enumerate(rows):
            yield f"{path} row {index}", row
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: expected a parquet file, got one that cannot be read: {error}") from error


def _check_columns(names: list[str], path: Path) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise ValueError(f"{path}: expected the columns {list(COLUMNS)}, got {shown(names)} (missing {missing})")


READERS: Final[Mapping[str, Callable[[Path], Iterator[tuple[str, dict[str, Any]]]]]] = {
    ".parquet": _read_parquet,
    ".jsonl": json_lines,
}
"""Readers of sample files by extension. Each yields (location for error messages, sample)."""
