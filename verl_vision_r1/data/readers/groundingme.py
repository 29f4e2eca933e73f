"""GroundingME: a benchmark of referring expressions, a fifth of which refer to nothing in the image.

Published at https://huggingface.co/datasets/lirang04/GroundingME (arXiv 2512.17495; for research only), as
`data/test-*.parquet` with embedded images. A box is `[x1, y1, x2, y2]` in pixels. That of a rejection is not read, as
in the published evaluation (https://github.com/lirang04/GroundingME, `evaluate.py`):

    {"id": 12, "image": ..., "description": "The white mug with the chipped handle, left of the kettle",
     "bbox": [1042, 611, 1190, 742], "detection_type": "mug", "subtask_l1": "Discriminative",
     "subtask_l2": "Component", "width": 2250, "height": 1500}
    {"id": 900, "image": ..., "description": "The red mug left of the kettle", "bbox": null, "detection_type": "mug",
     "subtask_l1": "Rejection", "subtask_l2": "Appearance", "width": 2250, "height": 1500}

Each `subtask_l1` (Discriminative, Spatial, Limited, Rejection) is a collection, so that it is evaluated on its own.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from verl_vision_r1.data.readers.entries import Entry, size_of, text_of
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.hub import ImageStore
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, expression_sample, read_box

COLUMNS: Final = ("image", "description", "bbox", "subtask_l1", "width", "height")
REJECTION: Final = "Rejection"
ROWS: Final = 16
"""Rows that are read at a time: an image may have 60 megapixels."""


def find(source: str) -> Splits:
    """The files `*.parquet` of the folder or of its `data/`, all of them as the split "test".

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has no such file.
    """
    folder = expect_folder(source)
    files = sorted(folder.glob("[!.]*.parquet")) or sorted(folder.glob("data/[!.]*.parquet"))
    if not files:
        raise ValueError(
            f"{source}: expected GroundingME (data/test-*.parquet), got a folder that contains {contents(folder)}"
        )
    return {"test": _reader(files, source)}


def _reader(files: list[Path], source: str) -> Read:
    return lambda on_problem, images: read_groundingme(files, ImageStore(images, source, "test"), on_problem)


def read_groundingme(files: list[Path], images: ImageStore, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read the files, row by row.

    Args:
        files: The parquet files.
        images: Store for the embedded images.
        on_problem: Called with the error of each invalid row.

    Yields:
        One sample per row, a negative one for a rejection.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file has another format, or a row is invalid.
    """
    reading, index = Reading.of(on_problem), 0
    for path in files:
        for number, row in enumerate(_rows(path)):
            where = f"{path} row {number}"
            try:
                sample = _sample(row, index, images, where, reading)
            except ValueError as problem:
                reading.defect(problem, "defective row")
            else:
                yield sample
            index += 1


def _rows(path: Path) -> Iterator[Entry]:
    try:
        with pq.ParquetFile(path) as file:
            if missing := set(COLUMNS) - set(file.schema_arrow.names):
                raise ValueError(
                    f"{path}: expected the columns {', '.join(COLUMNS)}, got none named {', '.join(sorted(missing))}"
                )
            for batch in file.iter_batches(ROWS, columns=list(COLUMNS)):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(f"{path}: expected a parquet file, got one that cannot be read: {error}") from error


def _sample(row: Entry, index: int, images: ImageStore, where: str, reading: Reading) -> Sample:
    kind, description = text_of(row, "subtask_l1", where), text_of(row, "description", where)
    boxes = _boxes(row["bbox"], kind, size_of(row, where), where, reading)
    path, image_id = images.add(row["image"], index, where)
    if shown_size(path) != (size := size_of(row, where)):
        raise ValueError(f"{where}: expected an image of {size[0]}x{size[1]} pixels, got {shown_size(path)}")
    sample = expression_sample(path, image_id, description, boxes, size)
    return replace(sample, collection=kind.lower(), annotations=1)


def _boxes(value: Any, kind: str, size: tuple[int, int], where: str, reading: Reading) -> list[list[float]]:
    return [] if kind == REJECTION else [read_box(value, size, where, reading)]
