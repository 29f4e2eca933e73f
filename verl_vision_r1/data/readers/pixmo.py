"""PixMo's tables, for its readers: parquet files or JSON Lines, whose images are elsewhere."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from verl_vision_r1.data.readers.classification import ENDINGS
from verl_vision_r1.data.readers.entries import Entry, json_lines
from verl_vision_r1.data.readers.problems import OnProblem
from verl_vision_r1.data.readers.samples import Sample, Splits, find_image
from verl_vision_r1.shown import shown

KEYS: Final = ("image", "image_url", "image_sha256", "label")
"""The columns that all tables of PixMo have; custom files may have the path of an image, `image`."""
SUFFIXES: Final = (".parquet", ".jsonl")

ReadTable = Callable[..., Iterator[Sample]]
"""(file, folder of the dataset, on_problem=...) -> samples."""


def splits_of(folder: Path, read: ReadTable) -> Splits:
    """The tables `*.parquet` and `*.jsonl` in a folder or in its `data/`, by split; empty if there are none.

    A file whose name starts with "train", "val", "validation" or "test" belongs to that split, any other to "all".
    """
    files: dict[str, list[Path]] = {}
    for path in (path for place in (folder, folder / "data") for path in sorted(place.glob("[!.]*"))):
        if path.suffix in SUFFIXES:
            named = re.match("(train|val|test)(idation)?(?![a-z])", path.name)
            files.setdefault(named[1] if named else "all", []).append(path)

    def reader(paths: list[Path]) -> Callable[[OnProblem, Path], Iterator[Sample]]:
        return lambda on_problem, _: (sample for path in paths for sample in read(path, folder, on_problem=on_problem))

    return {split: reader(paths) for split, paths in files.items()}


def rows_of(path: Path, value: str, on_problem: OnProblem) -> Iterator[tuple[str, Entry]]:
    """The rows of a table, each with its place for error messages.

    Args:
        path: A `.parquet` or `.jsonl` file.
        value: The column of this table besides `KEYS`.
        on_problem: Called with the error of each invalid line of JSON Lines.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file has another format, or lacks a column.
    """
    if path.suffix == ".jsonl":
        yield from json_lines(path, on_problem)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = [name for name in (*KEYS, value) if name in file.schema_arrow.names]
        if not {"label", value} <= set(columns):
            raise ValueError(f"{path}: expected the columns 'label' and {value!r}, got {file.schema_arrow.names}")
        rows = (row for batch in file.iter_batches(1024, columns=columns) for row in batch.to_pylist())
        for index, row in enumerate(rows):
            yield f"{path} row {index}", row
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: expected a parquet file, got one that cannot be read: {error}") from error


def image_of(row: Entry, folder: Path, where: str) -> Path:
    """The image of a row, in the folder of the dataset or in its `images/`.

    Raises:
        FileNotFoundError: The image does not exist.
        ValueError: The row has neither a path nor a URL.
    """
    return find_image([folder / "images", folder], _image_names(row, where), where)


def _image_names(row: Entry, where: str) -> list[str]:
    """The names that the image may have, in order of preference."""
    if isinstance(row.get("image"), str):
        return [row["image"]]
    url, digest = row.get("image_url"), row.get("image_sha256")
    if not isinstance(url, str):
        raise ValueError(f"{where}: expected the path 'image' or the URL 'image_url', got {shown(row)}")
    # The digest first: many URLs end in the same name.
    named = [digest, *(digest + ending for ending in ENDINGS)] if isinstance(digest, str) and digest else []
    base = re.split("[?#]", url)[0].rsplit("/", 1)[-1]
    return [*named, *dict.fromkeys(name for name in (base, unquote(base)) if name)]
