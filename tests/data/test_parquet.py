"""A sample is what verl reads; a file is written whole or not at all; every error names the file and the row."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from verl_vision_r1.data.parquet import Row, check_rows, make_row, validate_row, write_rows
from verl_vision_r1.targets import Target

TARGET = Target([[1, 2, 30, 20.5]], ["cat"], width=40, height=30, categories=("cat", "dog"))


def row_of(image: Path, index: int = 0) -> Row:
    return make_row(
        data_source="coco/detection",
        image=image,
        target=TARGET,
        prompt="Find.",
        image_id="000000000009",
        split="train",
        index=index,
    )


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "9.jpg"
    Image.new("RGB", (40, 30)).save(path)
    return path


def test_a_sample_is_what_verl_reads(image: Path) -> None:
    assert row_of(image) == {
        "data_source": "coco/detection",
        "prompt": [{"role": "user", "content": "<image>Find."}],
        "images": [{"image": str(image), "min_pixels": 3136, "max_pixels": 401408}],
        "ability": "detection",
        "reward_model": {"style": "rule", "ground_truth": TARGET.to_json()},
        "extra_info": {
            **{"split": "train", "index": 0, "image_id": "000000000009"},
            **{"question": "own", "subject": ""},
        },
    }


def test_samples_are_read_back_unchanged(image: Path, tmp_path: Path) -> None:
    rows = [row_of(image, index) for index in range(2500)]
    assert write_rows(tmp_path / "train.parquet", rows) == 2500
    assert pq.read_table(tmp_path / "train.parquet").to_pylist() == rows
    assert check_rows(tmp_path / "train.parquet") == 2500
    assert validate_row(rows[0], "here").boxes.tolist() == TARGET.boxes.tolist()


def test_json_lines_are_checked_like_parquet_rows(image: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row_of(image)) + "\n\n")
    assert check_rows(path) == 1  # The blank line is skipped.
    path.write_text(json.dumps(row_of(image)) + "\n{oops\n")
    with pytest.raises(ValueError, match=r"train\.jsonl line 2: expected a JSON object, got b'\{oops"):
        check_rows(path)
    path.write_text("[1]\n")
    with pytest.raises(ValueError, match=r"line 1: expected a JSON object, got b'\[1\]"):
        check_rows(path)


def test_a_failed_write_leaves_nothing(image: Path, tmp_path: Path) -> None:
    def rows() -> Iterator[Row]:
        yield from (row_of(image, index) for index in range(2000))
        raise RuntimeError("midway")

    path = tmp_path / "out" / "train.parquet"
    path.parent.mkdir()
    with pytest.raises(RuntimeError, match="midway"):
        write_rows(path, rows())
    with pytest.raises(ValueError, match=r"train\.parquet: expected at least one sample to write"):
        write_rows(path, [])
    assert list(path.parent.iterdir()) == []


def change(path: str, value: Any) -> Callable[[Any], None]:
    """A change of one value inside a row; the path is written with slashes."""

    def apply(row: Any) -> None:
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("/"))
        for part in parents:
            row = row[part]
        if value is None:
            del row[last]
        else:
            row[last] = value

    return apply


ROW_ERRORS = [
    (change("images", None), r"row 17: expected the key 'images', got only \['ability', 'data_source'"),
    (change("data_source", 3), "row 17: data_source: expected str, got 3"),
    (change("images", []), "row 17: images: expected at least one entry"),
    (change("images", ["9.jpg"]), "row 17: images: expected at least one entry, each with named fields"),
    (change("images/0", {"path": "x"}), r"row 17: images\[0\]: expected the key 'image', got only \['path'\]"),
    (change("images/0/bytes", 5), r"row 17: images\[0\]: bytes: expected bytes, got 5"),
    (change("images/0/image", 5), r"row 17: images\[0\]: image: expected str, got 5"),
    (change("images/0/min_pixels", "3136"), r"images\[0\]: min_pixels: expected int, got '3136'"),
    (change("images/0/min_pixels", 10**6), "expected 0 < min_pixels <= max_pixels, got 1000000 and 401408"),
    (change("prompt/0/content", "Find."), "row 17: prompt: expected 1 <image>, got 0 in 'Find.'"),
    (change("prompt/0/content", "<image><image>"), "expected 1 <image>, got 2"),
    (change("prompt/0/content", "<image><video>"), "expected 0 <video>, got 1"),
    (change("prompt/0/role", None), r"row 17: prompt\[0\]: expected the key 'role'"),
    (change("reward_model/ground_truth", {}), "reward_model: ground_truth: expected str"),
    (change("reward_model/ground_truth", "{"), "row 17: ground_truth: expected one JSON string"),
    (change("reward_model/ground_truth", TARGET.to_json().replace("20.5", "99")), r"row 17: ground_truth.boxes\[0\]"),
    (change("extra_info/image_id", 9), "row 17: extra_info: image_id: expected str, got 9"),
]


@pytest.mark.parametrize(("fault", "message"), ROW_ERRORS)
def test_a_wrong_row_is_named(fault: Callable[[Any], None], message: str) -> None:
    row = copy.deepcopy(row_of(Path("9.jpg")))
    fault(row)
    with pytest.raises(ValueError, match=r"^train\.parquet row 17") as caught:
        validate_row(row, "train.parquet row 17")
    assert caught.match(message)


def test_a_wrong_file_is_named(image: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    with pytest.raises(FileNotFoundError, match=r"train\.parquet"):
        check_rows(path)
    path.touch()
    with pytest.raises(ValueError, match=r"train\.parquet: expected samples, got an empty file \(0 bytes\)"):
        check_rows(path)
    path.write_text("not parquet at all")
    with pytest.raises(ValueError, match="expected a parquet file, got one that cannot be read"):
        check_rows(path)
    pq.write_table(pa.table({"prompt": ["a"], "answer": ["b"]}), path)
    with pytest.raises(ValueError, match=r"got \['prompt', 'answer'\] \(missing \['data_source', 'images'"):
        check_rows(path)
    with pytest.raises(ValueError, match=r"expected a file that ends in \.parquet or \.jsonl, got '\.csv'"):
        check_rows(tmp_path / "train.csv")


def test_a_file_without_samples_or_images_is_named(image: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    write_rows(path, [row_of(image, 0), row_of(tmp_path / "gone.jpg", 1)])
    with pytest.raises(ValueError, match=r"train\.parquet row 1: expected an image file, got .*gone\.jpg, which does"):
        check_rows(path)
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(ValueError, match=r"train\.parquet: expected at least one sample, got none"):
        check_rows(path)
    write_rows(path, [row_of(image)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="cannot be read"):
        check_rows(path)
