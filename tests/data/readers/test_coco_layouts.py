"""COCO files are found where Roboflow, Label Studio, CVAT and people put them; files that are not read are named."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from small_sets import all_of, coco_document, rows, taken, targets, write_coco, write_image, write_images, write_json

from verl_vision_r1.data.readers.coco_layouts import find

ROBOFLOW = "_annotations.coco.json"


def images_of(out: Path, *files: str) -> set[str]:
    return {row["images"][0]["image"] for file in files for row in rows(out, file)}


def test_a_roboflow_export(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        write_coco(tmp_path / "set" / part, coco_document(), ROBOFLOW, images=".")
    assert set(find(str(tmp_path / "set"))) == {"train", "val", "test"}
    prepared = taken(tmp_path / "set", tmp_path / "out")
    assert prepared.samples == {"train": 5, "val": 5}
    assert {Path(image).parent.name for image in images_of(tmp_path / "out", "val")} == {"valid"}
    assert prepared.accounts[0].notes == ("splits that are not read: test (--split reads one of them)",)


def test_one_part_of_a_roboflow_export(tmp_path: Path) -> None:
    write_coco(tmp_path / "train", coco_document(), ROBOFLOW, images=".")
    assert all_of(tmp_path / "train", tmp_path / "out").annotations == {"used": 5}


@pytest.mark.parametrize(
    "prefix", ["images/", "images\\", "..\\..\\media\\upload\\1\\", "/data/media/upload/1/", "C:\\Users\\me\\images\\"]
)
def test_a_label_studio_export(tmp_path: Path, prefix: str) -> None:
    document = coco_document()
    for entry in document["images"]:
        entry["file_name"] = prefix + entry["file_name"]
    write_json(tmp_path / "set" / "result.json", document)
    write_images(tmp_path / "set" / "images")
    # A file outside the folder is never opened, even if it exists.
    write_image(tmp_path / "media" / "upload" / "1" / "000.jpg", (9, 9))
    all_of(tmp_path / "set", tmp_path / "out")
    assert {Path(image).parent for image in images_of(tmp_path / "out", "val")} == {tmp_path / "set" / "images"}


def test_two_paths_of_another_machine_that_end_alike_are_refused(tmp_path: Path) -> None:
    document = coco_document()
    for entry, name in zip(document["images"], ("/a/000.jpg", "/b/000.jpg"), strict=False):
        entry["file_name"] = name
    write_json(tmp_path / "set" / "result.json", document)
    write_images(tmp_path / "set" / "images")
    with pytest.raises(ValueError, match=r"result\.json image 1: expected another image than 0, got .*000\.jpg again"):
        taken(tmp_path / "set", tmp_path / "out")


def test_files_that_are_not_read_are_named(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "set", coco_document(), "annotations/instances_default.json")
    write_json(source / "annotations" / "val_instances_default.json", coco_document())
    note = f"not read: annotations/val_instances_default.json (1 of {source})"
    assert all_of(source, tmp_path / "out").notes == (note,)


def test_parts_of_cvat_have_capital_letters(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "set", coco_document(), "annotations/instances_Train.json")
    write_json(source / "annotations" / "instances_Validation.json", coco_document())
    assert set(find(str(source))) == {"train", "val"}


@pytest.mark.parametrize("folder", ["anywhere", "train2017"])
def test_an_annotation_file_elsewhere(tmp_path: Path, folder: str) -> None:
    document = coco_document()
    for entry in document["images"]:
        entry["file_name"] = "train2017/" + entry["file_name"]
    file = write_json(tmp_path / "labels" / "boxes.json", document)
    write_images(tmp_path / folder / ("train2017" if folder == "anywhere" else "."))
    for options in ({"annotations": file}, {"source": str(file)}):
        taken(options.pop("source", ""), tmp_path / "out", images=tmp_path / folder, **options)
        assert {Path(image).parent.name for image in images_of(tmp_path / "out", "train", "val")} == {"train2017"}


@pytest.mark.parametrize("name", ["annotations/instances_train.json", "boxes.json", "train/_annotations.coco.json"])
def test_an_annotation_file_may_be_the_source(tmp_path: Path, name: str) -> None:
    source = write_coco(tmp_path / "set", coco_document(), name, images="train" if "train/" in name else "images")
    assert all_of(source / name, tmp_path / "out").annotations == {"used": 5}
    assert sorted(targets(tmp_path / "out")) == ["000", "001", "002", "003", "004"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected one of --source and --annotations, got neither"),
        (
            {"source": "set", "annotations": Path("a.json")},
            "expected one of --source and --annotations, got 'set' and",
        ),
        ({"annotations": Path("gone.json")}, r"gone\.json: expected a COCO file, got no such file"),
        ({"source": "set", "images": Path("set")}, "images: expected --annotations FILE, or a file as --source, got"),
        (
            {"annotations": Path("a.json"), "name": "yolo"},
            "annotations: expected one of the datasets coco, lvis, .*yolo",
        ),
    ],
)
def test_a_wrong_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_coco(tmp_path / "set", coco_document())
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        taken(options.pop("source", ""), tmp_path / "out", **options)


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.touch()
    with pytest.raises(ValueError, match=r"boxes\.csv: expected a folder, or a COCO file that ends in \.json"):
        taken(file, tmp_path / "out")


@pytest.mark.parametrize("name", ["lvis", "v3det"])
def test_other_files_in_the_format_may_be_elsewhere_too(tmp_path: Path, name: str) -> None:
    document = coco_document()
    for entry in document["images"]:
        entry.update(neg_category_ids=[3], not_exhaustive_category_ids=[])
    file = write_json(tmp_path / "labels" / "boxes.json", document)
    write_images(tmp_path / "photos")
    account = all_of("", tmp_path / "out", name, annotations=file, images=tmp_path / "photos")
    assert account.annotations == {"used": 5}


def test_a_folder_without_annotations_is_named(tmp_path: Path) -> None:
    shutil.copytree(write_coco(tmp_path / "set", coco_document()) / "images", tmp_path / "other" / "images")
    with pytest.raises(
        ValueError, match="that contains images/; name a file elsewhere by --annotations FILE --images"
    ):
        find(str(tmp_path / "other"))
