"""The datasets of ODinW are found in GLIP's folders, each a collection; missing ones are skipped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from verl_vision_r1.data.readers.odinw import SETS_13, SETS_35, find_13, find_35
from verl_vision_r1.data.readers.samples import Sample, Splits

RACCOON = SETS_13["Raccoon"]
GLIP = "annotations_without_background.json"


def write(file: Path, name: str, **changes: Any) -> None:
    """An annotation file next to one image with one box."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(file.parent / "a.jpg")
    document = {
        "images": [{"id": 0, "file_name": "a.jpg", "width": 40, "height": 30}],
        "categories": [{"id": 1, "name": name, "supercategory": "x"}],
        "annotations": [{"id": 5, "image_id": 0, "category_id": 1, "bbox": [1, 2, 10, 20], "iscrowd": 0}],
    }
    file.write_text(json.dumps(document | changes))


def read(splits: Splits, split: str, problems: list[Exception] | None = None) -> list[Sample]:
    def fail(problem: Exception) -> None:
        raise problem

    return list(splits[split](fail if problems is None else problems.append, Path("unused")))


def seen(samples: list[Sample]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(sample.collection, sample.image_id, sample.target.labels) for sample in samples]


def test_the_tables() -> None:
    assert (len(SETS_13), len(SETS_35)) == (13, 35)
    assert set(SETS_13.values()) <= set(SETS_35.values())
    assert len(set(SETS_35.values())) == 35
    assert {name for name in SETS_13 if name not in SETS_35} == {"AerialMaritimeDrone", "EgoHands"}


def test_datasets_are_collections_of_a_split(tmp_path: Path) -> None:
    write(tmp_path / RACCOON / "train" / GLIP, "raccoon")
    write(tmp_path / RACCOON / "valid" / GLIP, "raccoon")
    write(tmp_path / RACCOON / "test" / GLIP, "raccoon")
    write(tmp_path / "PascalVOC" / "train" / GLIP, "cat")
    write(tmp_path / "PascalVOC" / "valid" / GLIP, "cat")
    splits = find_13(str(tmp_path))
    assert set(splits) == {"train", "val", "test"}
    for split in ("train", "val"):
        assert seen(read(splits, split)) == [("PascalVOC", "a", ("cat",)), ("Raccoon", "a", ("raccoon",))]
    (sample,) = read(splits, "test")
    assert sample.image == tmp_path / RACCOON / "test" / "a.jpg"
    assert sample.target.boxes.tolist() == [[1, 2, 11, 22]]
    assert sample.target.categories == ("raccoon",)


def test_the_35_include_datasets_that_the_13_lack(tmp_path: Path) -> None:
    write(tmp_path / "OxfordPets" / "by-species" / "valid" / GLIP, "dog")
    write(tmp_path / "EgoHands" / "generic" / "valid" / GLIP, "hand")
    write(tmp_path / "EgoHands" / "specific" / "valid" / GLIP, "myleft")
    assert seen(read(find_13(str(tmp_path)), "val")) == [("EgoHands", "a", ("hand",))]
    splits = find_35(str(tmp_path))
    assert set(splits) == {"val"}
    assert [sample.collection for sample in read(splits, "val")] == [
        "EgoHands_generic",
        "EgoHands_specific",
        "OxfordPets_by-species",
    ]


def test_annotation_files_in_the_parent_folder(tmp_path: Path) -> None:
    write(tmp_path / "pistols" / "export" / f"val_{GLIP}", "pistol")
    splits = find_13(str(tmp_path))
    assert set(splits) == {"val"}
    assert read(splits, "val")[0].image == tmp_path / "pistols" / "export" / "a.jpg"


def test_the_file_of_roboflow_is_read_if_that_of_glip_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "pothole" / "train" / "_annotations.coco.json", "pothole")
    assert seen(read(find_13(str(tmp_path)), "train")) == [("pothole", "a", ("pothole",))]
    write(tmp_path / "pothole" / "train" / GLIP, "hole")
    assert seen(read(find_13(str(tmp_path)), "train")) == [("pothole", "a", ("hole",))]


@pytest.mark.parametrize("find", [find_13, find_35])
@pytest.mark.parametrize("source", ["Raccoon", RACCOON])
def test_the_folder_of_one_dataset(tmp_path: Path, find: Callable[[str], Splits], source: str) -> None:
    write(tmp_path / RACCOON / "valid" / GLIP, "raccoon")
    write(tmp_path / "pothole" / "valid" / GLIP, "pothole")
    assert seen(read(find(str(tmp_path / source)), "val")) == [("Raccoon", "a", ("raccoon",))]


def test_a_folder_without_any_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the folder of a dataset"):
        find_13(str(tmp_path / "gone"))
    write(tmp_path / "BCCD" / "BCCD.v3-raw.coco" / "valid" / GLIP, "RBC")
    with pytest.raises(ValueError, match=r"expected datasets of ODinW .* contains BCCD/"):
        find_13(str(tmp_path))
    assert set(find_35(str(tmp_path))) == {"val"}


def test_a_defective_box_or_dataset_is_named_and_skipped(tmp_path: Path) -> None:
    double = [{"id": 0, "name": "cat"}, {"id": 1, "name": "cat"}]
    write(tmp_path / "PascalVOC" / "valid" / GLIP, "cat", categories=double)
    wrong = [{"id": 5, "image_id": 0, "category_id": 1, "bbox": [1, 2, 0, 20]}]
    write(tmp_path / "pothole" / "valid" / GLIP, "pothole", annotations=wrong)
    write(tmp_path / RACCOON / "valid" / GLIP, "raccoon")
    splits = find_13(str(tmp_path))
    with pytest.raises(ValueError, match=r"PascalVOC/valid/.*json category 1: expected a unique id and a unique name"):
        read(splits, "val")
    problems: list[Exception] = []
    assert [len(sample.target.boxes) for sample in read(splits, "val", problems)] == [0, 1]
    assert len(problems) == 2
    assert "pothole/valid/annotations_without_background.json annotation 5 of image 0: expected x1" in str(problems[1])
