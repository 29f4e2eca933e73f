"""Every row of GroundingME is a question; a rejection is a negative sample."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.prepare import prepare
from verl_vision_r1.data.readers.groundingme import find
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Sample

SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "description": pa.string(),
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "bbox": pa.list_(pa.int64()),
        "detection_type": pa.string(),
        "subtask_l1": pa.string(),
        "subtask_l2": pa.string(),
        "width": pa.int64(),
        "height": pa.int64(),
    }
)
"""The columns that the dataset card lists."""


def encoded(red: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (red, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def row(number: int, kind: str, bbox: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "description": f"The mug number {number}",
        "image": {"bytes": encoded(100 * (number // 2)), "path": f"{number}.jpg"},
        "bbox": bbox,
        "detection_type": "mug",
        "subtask_l1": kind,
        "subtask_l2": "Appearance",
        "width": 64,
        "height": 48,
    } | changes


ROWS = [
    row(0, "Discriminative", [10, 20, 30, 40]),
    row(1, "Rejection", None),
    row(2, "Spatial", [0, 0, 64, 48]),
]


def write(folder: Path, *rows: dict[str, Any], schema: pa.Schema = SCHEMA) -> Path:
    """A folder in the published form."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows or ROWS), schema=schema)
    pq.write_table(table, folder / "data" / "test-00000-of-00001.parquet")
    return folder


def read(folder: Path, on_problem: OnProblem = fail) -> list[Sample]:
    return list(find(str(folder))["test"](on_problem, folder / "images"))


def test_a_rejection_is_a_negative_sample(tmp_path: Path) -> None:
    first, rejection, last = read(write(tmp_path))
    assert (first.question, first.subject, first.target.task) == ("expression", "The mug number 0", "grounding")
    assert first.target.boxes.tolist() == [[10, 20, 30, 40]]
    assert (first.target.width, first.target.height) == (64, 48)
    assert rejection.target.is_negative
    assert last.target.boxes.tolist() == [[0, 0, 64, 48]]
    assert [sample.collection for sample in (first, rejection, last)] == ["discriminative", "rejection", "spatial"]
    # Two questions about one image have the same file.
    assert first.image == rejection.image != last.image
    assert first.image.read_bytes() == encoded(0)


def test_the_box_of_a_rejection_is_not_read(tmp_path: Path) -> None:
    """The published evaluation goes by the kind alone."""
    for box in ([0, 0, 0, 0], [1, 2, 3, 4]):
        (sample,) = read(write(tmp_path, row(1, "Rejection", box)))
        assert sample.target.is_negative


def test_each_kind_is_a_data_set(tmp_path: Path) -> None:
    source = Source("groundingme", str(write(tmp_path / "set")), split="test")
    prepared = prepare([source], tmp_path / "out", Writing())
    assert (prepared.accounts[0].negatives, prepared.samples) == (1, {"test": 3})
    sources = pq.read_table(tmp_path / "out" / "test.parquet", columns=["data_source"]).column(0).to_pylist()
    assert set(sources) == {f"groundingme/{kind}/grounding" for kind in ("discriminative", "rejection", "spatial")}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(3, "Spatial", None), r"row 1: expected a box \[x1, y1, x2, y2\] of four numbers, got None"),
        (row(3, "Spatial", [1, 2, 3]), r"expected a box \[x1, y1, x2, y2\] of four numbers"),
        (row(3, "Spatial", [30, 2, 3, 4]), "expected x1 < x2"),
        (row(3, "Spatial", [1, 2, 3, 4], description=" "), "expected 'description' to be text"),
        (row(3, "Spatial", [1, 2, 3, 4], subtask_l1=None), "expected 'subtask_l1' to be text, got None"),
        (row(3, "Spatial", [1, 2, 3, 4], width=0), "expected width and height from 1"),
        (row(3, "Spatial", [1, 2, 3, 4], width=80), "expected an image of 80x48 pixels, got"),
        (row(3, "Spatial", [1, 2, 3, 4], image=None), "expected the bytes of an image"),
        (
            row(3, "Spatial", [1, 2, 3, 4], image={"bytes": b"text", "path": ""}),
            "expected an image, got 4 other bytes",
        ),
    ],
)
def test_a_bad_row_is_named_and_skipped(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    folder = write(tmp_path, ROWS[0], bad, ROWS[2])
    with pytest.raises(ValueError, match=message):
        read(folder)
    problems: list[Exception] = []
    assert [sample.subject for sample in read(folder, problems.append)] == ["The mug number 0", "The mug number 2"]
    assert len(problems) == 1


def test_another_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected GroundingME \(data/test-\*\.parquet\), got a folder"):
        find(str(tmp_path))
    write(tmp_path, {"id": 1}, schema=pa.schema({"id": pa.int64()}))
    with pytest.raises(ValueError, match=r"expected the columns image, description, .* got none named bbox, desc"):
        read(tmp_path)
    (tmp_path / "data" / "test-00000-of-00001.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match="expected a parquet file, got one that cannot be read"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match="got no such folder"):
        find(str(tmp_path / "gone"))
