"""A dataset of others opens nothing outside its folder, writes nothing outside the output, and fills no memory."""

import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from small_sets import all_of, coco_document, rows, taken, write_coco, write_image, write_lines
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.convert import convert
from verl_vision_r1.data.mix import read_mix

SECRET = b"\x89PNG secret"


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection fails the test."""

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError(f"expected no connection, got one to {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def encoded() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def saved(folder: Path) -> Path:
    images = [{"bytes": encoded(), "path": None}]
    dataset = datasets.Dataset.from_dict({"image": images}, datasets.Features({"image": datasets.Image()}))
    datasets.DatasetDict({"train": dataset}).save_to_disk(str(folder))
    return folder


def published(folder: Path, **images: Any) -> Path:
    """A parquet file as the Hub serves it, whose metadata declares every given column as an image."""
    names = ["problem", "solution", *images]
    kinds = {name: {"_type": "Image"} if name in images else {"dtype": "string", "_type": "Value"} for name in names}
    problem = "Detect all objects belonging to the category 'cat' in the image."
    solution = "<answer>[{'Position': [0, 0, 500, 500], 'Confidence': 1}]</answer>"
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns = {name: pa.array([value], image) for name, value in images.items()}
    table = pa.table({"problem": [problem], "solution": [solution], **columns})
    metadata = {"huggingface": json.dumps({"info": {"features": kinds}})}
    folder.mkdir()
    pq.write_table(table.replace_schema_metadata(metadata), folder / "train.parquet")
    return folder


@pytest.mark.parametrize("path", ["http://example.com/a.jpg", "/etc/hostname", "../secret.png"])
def test_no_image_column_is_decoded(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.png").write_bytes(SECRET)
    named, embedded = {"bytes": None, "path": path}, {"bytes": encoded(), "path": path}
    source = published(tmp_path / "set", image=embedded, mask=named)
    assert all_of(source, tmp_path / "out", "virft").annotations == {"used": 1}
    with pytest.raises(ValueError, match="row 0: expected the bytes of an image, got"):
        taken(published(tmp_path / "none", image=named), tmp_path / "other", "virft")
    written = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert written
    assert not any(SECRET in file.read_bytes() for file in written)


@pytest.mark.parametrize("name", ["../../../esc", "/tmp/esc", "a/b", "..", "", 3])
def test_names_of_splits_are_names(tmp_path: Path, name: Any) -> None:
    source = saved(tmp_path / "deep" / "set")
    (source / "dataset_dict.json").write_text(json.dumps({"splits": ["train", name]}))
    before = {path for path in tmp_path.rglob("*")}
    with pytest.raises(ValueError, match=r"dataset_dict\.json: splits: expected a plain name, got"):
        taken(source, tmp_path / "out", "virft")
    assert {path for path in tmp_path.rglob("*")} == before


def test_names_of_data_files_are_names(tmp_path: Path) -> None:
    file = saved(tmp_path / "set") / "train" / "state.json"
    state = json.loads(file.read_text())
    state["_data_files"][0]["filename"] = "../other/data.arrow"
    file.write_text(json.dumps(state))
    with pytest.raises(
        ValueError, match=r"state\.json: _data_files: expected a plain name, got '\.\./other/data\.arrow'"
    ):
        taken(tmp_path / "set", tmp_path / "out", "virft")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return write_image(tmp_path / "outside" / "photo.jpg")


def link_file(source: Path, outside: Path) -> None:
    (source / "images" / "003.jpg").unlink()
    (source / "images" / "003.jpg").symlink_to(outside)


def link_folder(source: Path, outside: Path) -> None:
    for index in range(5):
        (source / "images" / f"{index:03d}.jpg").rename(outside.with_name(f"{index:03d}.jpg"))
    (source / "images").rmdir()
    (source / "images").symlink_to(outside.parent)


@pytest.mark.parametrize("embed", [False, True])
@pytest.mark.parametrize(("link", "left"), [(link_file, 4), (link_folder, 0)])
def test_a_link_out_of_the_dataset_is_a_defect(
    tmp_path: Path, outside: Path, embed: bool, link: Callable[[Path, Path], None], left: int
) -> None:
    source = write_coco(tmp_path / "coco", coco_document())
    link(source, outside)
    message = (
        r"images(/003\.jpg)?: expected a file or folder in .*coco, got a symbolic link to .*outside.*--follow-sym"
    )
    with pytest.raises(ValueError, match=message + ".*Defects: 1"):
        taken(source, tmp_path / "out", embed=embed)
    if left:
        account = all_of(source, tmp_path / "out", strict=False, embed=embed)
        reason = "image linked from outside the dataset's folder"
        assert account.annotations == {"used": left, reason: 5 - left}
    followed = all_of(source, tmp_path / "followed", follow_symlinks=True, embed=embed)
    assert followed.annotations == {"used": 5}


def test_links_within_the_dataset_and_to_it_are_no_defects(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "coco", coco_document(), images="photos")
    (source / "images").symlink_to(source / "photos")
    (tmp_path / "link").symlink_to(source)
    assert all_of(tmp_path / "link", tmp_path / "out").annotations == {"used": 5}


def test_an_address_or_a_pipe_in_place_of_an_image_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("http://example.com/a.jpg", "pipe.jpg"):
        write_lines(tmp_path / "a.jsonl", {"image": name, "task": "counting", "label": "cat", "count": 1})
        with pytest.raises((ValueError, FileNotFoundError), match="line 1: expected the image"):
            taken(tmp_path, tmp_path / "out", "jsonl")


def pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("coco", "annotations/instances.json"),
        ("voc", "annotations/a.xml"),
        ("jsonl", "a.jsonl"),
        ("swift", "train.jsonl"),
        ("odvg", "train.json"),
        ("vlm_r1", "train.json"),
        ("clevr", "a.jsonl"),
    ],
)
def test_a_pipe_in_place_of_annotations_is_refused(tmp_path: Path, name: str, file: str) -> None:
    pipe(tmp_path / "set" / file)
    (tmp_path / "set" / "images").mkdir()
    with pytest.raises(ValueError, match="expected a regular file, got a folder, a pipe or a device"):
        taken(tmp_path / "set", tmp_path / "out", name)


@pytest.mark.parametrize(
    "command",
    [
        ["prepare", "mix", "--out", "out", "--source"],
        ["prepare", "coco", "--source", ".", "--ask", "category", "--out", "out", "--category-list"],
        ["conformance"],
        ["score", "x", "--target", '{"boxes": [], "labels": [], "width": 9, "height": 9}', "--preset"],
        ["evaluate", "--annotations", "a.json", "--protocol", "plain", "--out", "out"],
    ],
)
def test_a_pipe_in_place_of_a_file_is_refused(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_coco(tmp_path, coco_document()))
    result = CliRunner().invoke(app, [*command, str(pipe(tmp_path / "pipe.yaml"))])
    assert result.exit_code == 1
    assert "expected a regular file, got a folder, a pipe or a device" in result.stderr


@pytest.mark.parametrize(
    "name", ["../../outside/photo.jpg", "{}", "a/../../../outside/photo.jpg", "..\\..\\outside\\photo.jpg"]
)
def test_a_path_out_of_the_dataset_is_a_defect(tmp_path: Path, outside: Path, name: str) -> None:
    document = coco_document()
    document["images"][0]["file_name"] = name.format(outside)
    write_coco(tmp_path / "coco", document)
    with pytest.raises(ValueError, match="image 0: expected the path of an image within the dataset's folder, got"):
        taken(tmp_path / "coco", tmp_path / "out", follow_symlinks=True)


def test_annotation_files_may_be_links(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "coco", coco_document())
    file = source / "annotations" / "instances.json"
    file.symlink_to(file.rename(tmp_path / "elsewhere.json"))
    assert all_of(source, tmp_path / "out").annotations == {"used": 5}


def test_no_file_but_an_image_is_packed_into_converted_samples(tmp_path: Path) -> None:
    taken(write_coco(tmp_path / "coco", coco_document()), tmp_path / "out", val_fraction=1)
    (tmp_path / "secret").write_bytes(SECRET)
    samples = pq.read_table(tmp_path / "out" / "val.parquet").to_pylist()
    samples[3]["images"][0]["image"] = str(tmp_path / "secret")
    pq.write_table(pa.Table.from_pylist(samples), tmp_path / "out" / "val.parquet")
    with pytest.raises(ValueError, match=r"expected an image, got '.*secret', which is none"):
        convert(tmp_path / "out" / "val.parquet", "easyr1", tmp_path / "easyr1.parquet")
    assert not (tmp_path / "easyr1.parquet").exists()


def test_a_link_in_place_of_an_output_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    source, out, victim = write_coco(tmp_path / "coco", coco_document()), tmp_path / "out", tmp_path / "victim"
    victim.write_text("mine")
    out.mkdir()
    for name in ("train.parquet", "val.parquet", "defects.txt", f".val.parquet.{os.getpid()}"):
        (out / name).symlink_to(victim)
    taken(source, out)
    source = write_coco(tmp_path / "coco", coco_document([{"image_id": 0, "category_id": 7, "bbox": [1, 1, 0, 0]}]))
    with pytest.raises(ValueError, match="Defects: 1"):
        taken(source, out)
    assert victim.read_text() == "mine"
    assert len(rows(out)) == 1


def test_control_characters_of_a_dataset_reach_neither_terminal_nor_list(tmp_path: Path) -> None:
    escape = "\x1b[31m\x07\n"
    document = coco_document()
    document["images"][1]["file_name"] = f"{escape}.jpg"
    document["categories"][0]["name"] = f"[/]{escape}cat"
    source, out = write_coco(tmp_path / "coco", document), tmp_path / "out"
    arguments = ["prepare", "coco", "--source", str(source), "--out", str(out), "--val-fraction", "1"]
    for more in ([], ["--skip-bad"], ["--skip-bad", "--json"]):
        result = CliRunner().invoke(app, [*arguments, *more])
        assert not {"\x1b", "\x07"} & set(result.output)
    assert (out / "defects.txt").read_text().count("\n") == 1
    result = CliRunner().invoke(app, ["validate", str(out)])
    assert (result.exit_code, {"\x1b", "\x07"} & set(result.output)) == (0, set())


MIX = """
a0: &a0 [x, x, x, x, x, x, x, x, x]
a1: &a1 [*a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0]
a2: &a2 [*a1, *a1, *a1, *a1, *a1, *a1, *a1, *a1, *a1]
parts: [{name: coco, source: [*a2, *a2, *a2, *a2, *a2, *a2, *a2]}]
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MIX, r"mix\.yaml: expected the key parts with a list of datasets, got \{'a0': "),
        (MIX.partition("parts")[0].replace("a2: &a2", "parts: &a2"), "expected the key parts with a list"),
        ("parts: [{name: coco, source: [1, 2]}]", r"parts\[0\]: source: expected str, got \[1, 2\]"),
        ("parts: [{name: coco, source: x, clip: 'yes'}]", r"parts\[0\]: clip: expected bool, got 'yes'"),
        ("parts: [{name: coco, source: x, max_samples: true}]", r"max_samples: expected int \| None, got True"),
        ("parts: [{name: coco, source: x, difficulty_range: [0]}]", r"difficulty_range: expected tuple.*, got \[0\]"),
        ("parts: [{name: coco, source: x, selection: {}}]", r"got also \['selection'\]"),
    ],
)
def test_a_mix_of_others_is_checked(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mix.yaml").write_text(text)
    with pytest.raises(ValueError, match=message) as found:
        read_mix(tmp_path / "mix.yaml")
    assert len(str(found.value)) < 900
