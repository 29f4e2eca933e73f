"""PixMo-Points in its published form: squares around points in percent; every error names the file and the row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from verl_vision_r1.data.readers.pixmo_points import SIDE, find, squares
from verl_vision_r1.data.readers.problems import fail
from verl_vision_r1.data.readers.samples import Sample

ROW = {
    "image_url": "https://example.com/crowd.jpg",
    "image_sha256": "5d41",
    "points": [{"x": 10.0, "y": 50.0}, {"x": 60.5, "y": 0.0}],
    "count": 2,
    "label": "people",
    "collection_method": "pointing",
}


def read(folder: Path, split: str = "all") -> list[Sample]:
    return list(find(str(folder))[split](fail, folder))


def written(folder: Path, *lines: dict[str, Any], name: str = "own.jsonl", image: str = "crowd.jpg") -> Path:
    (folder / "images").mkdir(exist_ok=True)
    Image.new("RGB", (200, 100)).save(folder / "images" / image, format="JPEG")
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.parametrize("image", ["crowd.jpg", "5d41", "5d41.jpg"])
def test_points_become_squares(tmp_path: Path, image: str) -> None:
    (sample,) = read(written(tmp_path, ROW, image=image))
    half = SIDE * 100 / 2
    assert sample.target.boxes.tolist() == [
        [20 - half, 50 - half, 20 + half, 50 + half],
        [121 - half, 0, 121 + half, pytest.approx(half, abs=1)],
    ]
    assert (sample.question, sample.subject, sample.target.task) == ("points", "people", "pointing")
    assert (sample.target.labels, sample.target.categories) == (("people", "people"), ("people",))


def test_the_published_parquet_file(tmp_path: Path) -> None:
    written(tmp_path, ROW)
    (tmp_path / "own.jsonl").unlink()
    (tmp_path / "data").mkdir()
    pq.write_table(
        pa.Table.from_pylist([ROW, {**ROW, "points": []}]), tmp_path / "data" / "train-00000-of-00001.parquet"
    )
    first, negative = read(tmp_path, "train")
    assert (len(first.target.boxes), len(negative.target.boxes), negative.target.categories) == (2, 0, ("people",))


def test_squares_do_not_overlap_and_have_area() -> None:
    points = np.random.default_rng(0).uniform(0, 1, size=(40, 2)) * (400, 300)
    boxes = squares(points, (400, 300))
    assert ((boxes[:, :2] < boxes[:, 2:]) & (boxes[:, :2] <= points) & (points <= boxes[:, 2:])).all()
    sides = np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - np.maximum(boxes[:, None, :2], boxes[:, :2])
    large = boxes[:, 2] - boxes[:, 0] > 2.1
    overlap = np.maximum(sides, 0).prod(axis=2)[np.ix_(large, large)]
    assert np.allclose(overlap, np.diag(np.diag(overlap)))


def test_the_same_point_twice_is_one(tmp_path: Path) -> None:
    (sample,) = read(written(tmp_path, {**ROW, "points": [{"x": 10, "y": 50}] * 2}))
    assert len(sample.target.boxes) == 1


def test_a_point_outside_its_image_is_moved_to_the_border(tmp_path: Path) -> None:
    """As Molmo's data loader does (`clip_points`)."""
    rows = ({**ROW, "points": [point]} for point in ({"x": 100.4, "y": -3}, {"x": 100, "y": 0}))
    outside, border = read(written(tmp_path, *rows))
    assert outside.target.boxes.tolist() == border.target.boxes.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": None}, "line 1: expected 'points' to be a list of {'x': ..., 'y': ...} in percent, got None"),
        ({"points": [{"x": 1}]}, "line 1: expected 'points'"),
        ({"points": [{"x": 1e9, "y": 0}]}, "line 1: expected 'points'"),
        ({"points": [{"x": float("nan"), "y": 0}]}, "line 1: expected 'points'"),
        ({"points": [{"x": True, "y": 0}]}, "line 1: expected 'points'"),
        ({"points": [[1, 2]]}, "line 1: expected 'points'"),
        ({"label": ""}, "line 1: expected 'label'"),
        ({"image_url": None, "image_sha256": None}, "line 1: expected the path 'image' or the URL"),
        ({"image_url": "https://example.com/gone.jpg", "image_sha256": None}, "expected the image gone.jpg"),
    ],
)
def test_a_defective_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message.replace("(", r"\(").replace("...", r"\.\.\.")):
        read(written(tmp_path, {**ROW, **change}))


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected PixMo-Points \(\*.parquet or \*.jsonl\)"):
        find(str(tmp_path))
    pq.write_table(pa.Table.from_pylist([{"label": "x"}]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="expected the columns 'label' and 'points', got"):
        read(tmp_path)
    (tmp_path / "a.parquet").write_text("no table")
    with pytest.raises(ValueError, match="expected a parquet file, got one that cannot be read"):
        read(tmp_path)
