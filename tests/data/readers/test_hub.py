"""Datasets of `datasets` load from every location, and their embedded images are written unchanged."""

import io
import os
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from verl_vision_r1.data.readers.hub import ImageStore, expect_columns, load, store_image

FEATURES = datasets.Features({"image": datasets.Image(), "problem": datasets.Value("string")})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def encoded(red: int = 0, form: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    buffer, image = io.BytesIO(), Image.new("RGB", size, (red, 0, 0))
    image.save(buffer, form, **({"save_all": True, "append_images": [image]} if form == "MPO" else {}))
    return buffer.getvalue()


def table(*reds: int) -> datasets.Dataset:
    images = [{"bytes": encoded(red), "path": None} for red in reds]
    return datasets.Dataset.from_dict({"image": images, "problem": ["?"] * len(reds)}, features=FEATURES)


def held(dataset: Any) -> list[bytes]:
    return [row["image"]["bytes"] for row in dataset]


def test_a_saved_dataset_without_splits_is_all(tmp_path: Path) -> None:
    table(1, 2).save_to_disk(str(tmp_path / "saved"))
    splits = load(str(tmp_path / "saved"))
    assert {split: held(dataset) for split, dataset in splits.items()} == {"all": [encoded(1), encoded(2)]}


def test_saved_splits_keep_their_names(tmp_path: Path) -> None:
    splits = datasets.DatasetDict({"train": table(1), "validation": table(2), "testA": table(3)})
    splits.save_to_disk(str(tmp_path / "saved"))
    found = {split: held(dataset) for split, dataset in load(str(tmp_path / "saved")).items()}
    assert found == {"train": [encoded(1)], "val": [encoded(2)], "testA": [encoded(3)]}


@pytest.mark.parametrize("folder", ["plain", "data", "odd [1] name"])
def test_parquet_files_are_splits_by_name(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    for red, name in enumerate(["train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"]):
        table(red).to_parquet(str(tmp_path / folder / f"{name}.parquet"))
    source = tmp_path if folder == "data" else tmp_path / folder
    found = {split: held(dataset) for split, dataset in load(str(source)).items()}
    assert found == {"train": [encoded(0), encoded(1)], "val": [encoded(2)]}


def test_numbered_parquet_files_are_one_split(tmp_path: Path) -> None:
    for red in range(2):
        table(red).to_parquet(str(tmp_path / f"000{red}.parquet"))
    assert {split: held(dataset) for split, dataset in load(str(tmp_path)).items()} == {
        "all": [encoded(0), encoded(1)]
    }


def test_other_places_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(
        ValueError, match=r"expected a dataset saved by `save_to_disk` .* got a folder that contains notes\.txt"
    ):
        load(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="gone: expected the folder of a dataset, or its name on the Hub, got"):
        load(str(tmp_path / "gone"))
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="expected files that `datasets` can read, got: "):
        load(str(tmp_path))


@pytest.mark.parametrize("file", ["dataset_info.json", "data-00000-of-00001.arrow"])
def test_a_damaged_dataset_is_named(tmp_path: Path, file: str) -> None:
    table(1).save_to_disk(str(tmp_path))
    (tmp_path / file).write_text("{")
    with pytest.raises(ValueError, match="expected files that `datasets` can read, got: "):
        load(str(tmp_path))


def test_a_column_of_something_else_is_no_image(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"image": [1, 2]}).save_to_disk(str(tmp_path))
    with pytest.raises(ValueError, match="expected images in the column 'image', got "):
        load(str(tmp_path))


def test_other_names_are_loaded_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str) -> datasets.DatasetDict:
        asked.append(name)
        return datasets.DatasetDict({"train": table(1)})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert list(load("owner/some-set")) == ["train"]
    assert asked == ["owner/some-set"]


def test_a_hub_out_of_reach_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str) -> None:
        raise ConnectionError(f"Couldn't reach {name!r} on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(
        FileNotFoundError, match=r"owner/set: .* no such folder, and from the Hub: Couldn't reach .*hf d"
    ):
        load("owner/set")


def test_missing_columns_are_named() -> None:
    expect_columns("here", {"train": table(1)}, "rows", ["problem", "image"])
    with pytest.raises(
        ValueError, match="here: expected rows with the columns image, answer, got image, problem in 'tr"
    ):
        expect_columns("here", {"train": table(1)}, "rows", ["image", "answer"])


@pytest.mark.parametrize(("form", "ending"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("MPO", ".jpg")])
def test_an_image_is_written_unchanged(tmp_path: Path, form: str, ending: str) -> None:
    path = store_image({"bytes": encoded(form=form), "path": "/elsewhere/x.tif"}, tmp_path / "new", "train-000001")
    assert path == tmp_path / "new" / f"train-000001{ending}"
    assert path.read_bytes() == encoded(form=form)


def test_an_image_is_written_once_and_repaired(tmp_path: Path) -> None:
    entry = {"bytes": encoded(), "path": None}
    path = store_image(entry, tmp_path, "a")
    os.utime(path, ns=(5, 5))
    store_image(entry, tmp_path, "a")
    assert path.stat().st_mtime_ns == 5
    for other in (encoded()[:-9], encoded()[:-1] + b"?"):
        path.write_bytes(other)
        store_image(entry, tmp_path, "a")
        assert path.read_bytes() == encoded()


def test_an_interrupted_run_leaves_no_half_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*paths: Path) -> None:
        raise KeyboardInterrupt

    def write_half(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        stop()

    for owner, name, replacement in ((os, "replace", stop), (Path, "write_bytes", write_half)):
        monkeypatch.setattr(owner, name, replacement)
        with pytest.raises(KeyboardInterrupt):
            store_image({"bytes": encoded(), "path": None}, tmp_path, "a")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (None, "x row 1: expected the bytes of an image, got None"),
        ({"bytes": None, "path": "/etc/hostname"}, "x row 1: expected the bytes of an image, got .*hostname"),
        ({"bytes": b"", "path": None}, "x row 1: expected the bytes of an image"),
        ({"bytes": b"no image", "path": None}, "x row 1: expected an image, got 8 other bytes"),
        ({"bytes": encoded(form="BMP"), "path": None}, "x row 1: expected an image in one of the formats .* got BMP"),
    ],
)
def test_other_content_than_an_image_is_named(tmp_path: Path, entry: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        store_image(entry, tmp_path, "a", "x row 1")
    assert list(tmp_path.iterdir()) == []


def test_the_same_image_is_stored_once(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, "owner/set", "train")
    stored = [store.add({"bytes": encoded(red), "path": None}, index, "x") for index, red in enumerate([1, 2, 1])]
    assert [name for _, name in stored] == ["train-000000", "train-000001", "train-000000"]
    assert stored[0] == stored[2]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


def test_repeated_names_of_the_dataset_become_unique(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, "owner/set", "train")
    added = [(1, "7"), (2, "7"), (1, "8"), (3, "")]
    names = [store.add({"bytes": encoded(red)}, index, "x", name)[1] for index, (red, name) in enumerate(added)]
    assert names == ["7", "7-train-000001", "7", "train-000003"]


def test_two_datasets_do_not_share_files(tmp_path: Path) -> None:
    paths = {ImageStore(tmp_path, name, "train").add({"bytes": encoded()}, 0, "x")[0] for name in ("a/set", "b/set")}
    assert len(paths) == 2
    assert ImageStore(tmp_path, "a/set", "train").add({"bytes": encoded()}, 0, "x")[0] in paths
