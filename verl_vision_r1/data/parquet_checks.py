"""What makes a row right, and a file of rows: its keys, their types and what must agree between them."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from verl_vision_r1.data.progress import progress
from verl_vision_r1.prompts import PLACEHOLDERS, QUESTIONS, Prompts
from verl_vision_r1.targets import TASKS, Target

COLUMNS = ("data_source", "prompt", "images", "ability", "reward_model", "extra_info")
BATCH = 256
"""Rows read at a time; more of them only take more memory."""


def validate_row(row: Mapping[str, Any], where: str) -> Target:
    """Check a row that was read back.

    Args:
        row: One row as plain Python values. Further keys are allowed.
        where: What every message begins with, such as "train.parquet row 17".

    Returns:
        The ground truth of the row.

    Raises:
        ValueError: A key is missing or of another type, the prompt does not hold one `<image>` for each image, or the
            ground truth is wrong.
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
    """Check a file that somebody wants to train on. No image is decoded.

    Args:
        path: A `.parquet` file, or a `.jsonl` file with one row to a line.
        tasks: The tasks that a row may have: those that the run's rewards have rules for.
        prompts: The words that the run asks its questions in; a row's question must be one of them.

    Returns:
        The number of rows.

    Raises:
        FileNotFoundError, ValueError: As `checked_rows`.
    """
    return sum(1 for _ in checked_rows(path, tasks, prompts))


def checked_rows(
    path: Path, tasks: Collection[str] = TASKS, prompts: Prompts | None = None, *, images: bool = True
) -> Iterator[tuple[dict[str, Any], Target]]:
    """The rows of a file, each checked as it comes, with its ground truth. Arguments are those of `check_rows`.

    `images` is whether the image files must be here: who only compares answers with them needs none.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty, cannot be read, lacks columns, or a row is wrong or names an image that does
            not exist. Rows are counted from 0, lines from 1.
    """
    if path.suffix not in READERS:
        raise ValueError(f"{path}: expected a file that ends in {' or '.join(READERS)}, got {path.suffix!r}")
    if not path.stat().st_size:
        raise ValueError(f"{path}: expected rows, got an empty file (0 bytes)")
    count = 0
    for where, row in progress(READERS[path.suffix](path), desc=path.name, unit="row"):
        target = validate_row(row, where)
        if target.task not in tasks:
            raise ValueError(
                f"{where}: expected a task that vision_r1.reward has rules for ({', '.join(tasks)}), got {target.task}"
            )
        _check_question(row, prompts, where)
        for image in row["images"] if images else ():
            if "image" in image and not Path(image["image"]).is_file():
                raise ValueError(f"{where}: expected an image file, got {image['image']}, which does not exist")
        count += 1
        yield row, target
    if not count:
        raise ValueError(f"{path}: expected at least one row, got none")


def _check_question(row: Mapping[str, Any], prompts: Prompts | None, where: str) -> None:
    question = row["extra_info"].get("question") or "own"
    if question not in QUESTIONS:
        raise ValueError(f"{where}: extra_info: question: expected one of {', '.join(QUESTIONS)}, got {question!r}")
    if prompts is not None and prompts.templates and question != "own" and question not in prompts.templates:
        raise ValueError(
            f"{where}: expected a question that vision_r1.prompt has words for ({', '.join(prompts.templates)}), got"
            f" {question}; prepare the rows with another --ask, or choose another vision_r1/prompt"
        )


def _field(entry: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    if key not in entry:
        raise ValueError(f"{where}: expected the key {key!r}, got only {sorted(entry)}")
    if not isinstance(entry[key], kind):
        raise ValueError(f"{where}: {key}: expected {kind.__name__}, got {entry[key]!r:.120}")
    return entry[key]


def _entries(row: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    entries = _field(row, key, list, where)
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{where}: {key}: expected at least one entry, each with named fields, got {entries!r:.120}")
    return list(entries)


def _check_image(image: Mapping[str, Any], where: str) -> None:
    if "bytes" in image:
        # verl decodes whatever stands under this key, an empty value too.
        _field(image, "bytes", bytes, where)
    else:
        _field(image, "image", str, where)
    # Without these bounds the workers resize to other pixels than those the answer is measured in.
    low, high = (_field(image, key, int, where) for key in ("min_pixels", "max_pixels"))
    if not 0 < low <= high:
        raise ValueError(f"{where}: expected 0 < min_pixels <= max_pixels, got {low} and {high}")


def _check_prompt(messages: list[dict[str, Any]], images: int, where: str) -> None:
    for index, message in enumerate(messages):
        _field(message, "role", str, f"{where}: prompt[{index}]")
    text = "".join(_field(message, "content", str, f"{where}: prompt") for message in messages)
    for mark, expected in zip(PLACEHOLDERS, (images, 0, 0), strict=True):
        if text.count(mark) != expected:
            raise ValueError(f"{where}: prompt: expected {expected} {mark}, got {text.count(mark)} in {text!r:.120}")


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
        raise ValueError(f"{path}: expected the columns {list(COLUMNS)}, got {names} (missing {missing})")


def _read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path} line {number}: expected JSON, got {line!r:.80}: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path} line {number}: expected a JSON object, got {line!r:.80}")
            yield f"{path} line {number}", row


READERS = {".parquet": _read_parquet, ".jsonl": _read_json_lines}
