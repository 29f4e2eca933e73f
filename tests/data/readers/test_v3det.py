"""V3Det is COCO, but a sample asks only for categories in its image, and two categories may share a name."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from verl_vision_r1.data.questions import negatives
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.data.readers.v3det import find

Change = Callable[[Any], Any]
TRAIN = "v3det_2023_v1_train.json"


def box(number: int, image: int, category: int, **changes: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "bbox": [1, 2, 10, 20], "iscrowd": 0} | changes


def write(source: Path, change: Change = lambda document: None, name: str = f"annotations/{TRAIN}") -> Path:
    """Three images: a wolf and two mice of two categories, nothing, a crowd of wolves."""
    for index in range(3):
        image = source / "images" / "n00001" / f"{index}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(image)
    document = {
        "images": [
            {"id": index, "file_name": f"images/n00001/{index}.jpg", "width": 40, "height": 30} for index in range(3)
        ],
        "categories": [
            {"id": index + 1, "name": name, "cat_info": []}
            for index, name in enumerate(["wolf", "mouse", "entity", "mouse"])
        ],
        "annotations": [box(7, 0, 1), box(8, 0, 2), box(9, 0, 4, bbox=[5, 5, 10, 10]), box(10, 2, 1, iscrowd=1)],
    }
    change(document)
    (source / name).parent.mkdir(exist_ok=True)
    (source / name).write_text(json.dumps(document))
    return source


def read(source: Path, split: str = "train", problems: list[Exception] | None = None) -> list[Sample]:
    def fail(problem: Exception) -> None:
        raise problem

    return list(find(str(source))[split](fail if problems is None else problems.append, source))


def test_categories_are_those_in_the_image(tmp_path: Path) -> None:
    first, nothing, crowd = read(write(tmp_path))
    assert (first.image, first.image_id) == (tmp_path / "images/n00001/0.jpg", "images/n00001/0")
    assert first.target.labels == ("wolf", "mouse", "mouse")
    assert first.target.boxes.tolist() == [[1, 2, 11, 22], [1, 2, 11, 22], [5, 5, 15, 15]]
    assert (first.target.categories, first.uncertain, first.question) == (("mouse", "wolf"), set(), "categories")
    assert (nothing.target.categories, nothing.uncertain) == ((), {""})
    assert (crowd.target.categories, crowd.uncertain) == ((), {"", "wolf"})


@pytest.mark.parametrize("how", ["categories", "category", "count"])
def test_there_are_no_negative_samples(tmp_path: Path, how: str) -> None:
    assert negatives(read(write(tmp_path)), how, 10, random.Random(0)) == []


@pytest.mark.parametrize("place", ["annotations/", ""])
def test_splits(tmp_path: Path, place: str) -> None:
    write(tmp_path, name=f"{place}{TRAIN}")
    assert set(find(str(tmp_path))) == {"train"}
    write(tmp_path, lambda document: document["annotations"].pop(0), f"{place}v3det_2023_v1_val.json")
    (tmp_path / place / "v3det_2023_v1_category_tree.json").write_text("{}")
    assert set(find(str(tmp_path))) == {"train", "val"}
    assert [len(sample.target.boxes) for sample in read(tmp_path)] == [3, 0, 0]
    assert [len(sample.target.boxes) for sample in read(tmp_path, "val")] == [2, 0, 0]


def test_another_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the folder of a dataset"):
        find(str(tmp_path / "gone"))
    (tmp_path / "images").mkdir()
    with pytest.raises(
        ValueError, match=r"expected V3Det \(annotations/v3det_2023_v1_train\.json .* contains images/"
    ):
        find(str(tmp_path))


ERRORS: list[tuple[Change, str]] = [
    (lambda d: d.pop("categories"), "expected 'categories' to be a non-empty list of objects"),
    (lambda d: d["categories"][1].update(id=1), "category 1: expected a unique id and a name"),
    (lambda d: d["categories"][1].update(name=" "), "category 2: expected a unique id and a name"),
    (lambda d: d["categories"][1].pop("name"), "category 2: expected 'name' to be text"),
    (lambda d: d["categories"][1].update(id=2.5), "category 2.5: expected 'id' to be a whole number"),
    (lambda d: d["images"][1].update(id=0), "image 0: expected a unique id and a unique file name"),
    (
        lambda d: d["annotations"][0].update(category_id=9),
        "annotation 7 of image 0: expected category_id .* the 4 cat",
    ),
    (lambda d: d["annotations"][0].update(image_id=9), "annotation 7: expected the id of one of 3 images, got 9"),
    (lambda d: d["annotations"][0].update(bbox=[5, 5, 0, 0]), "annotation 7 of image 0: expected x1 < x2"),
]


@pytest.mark.parametrize(("change", "message"), ERRORS)
def test_an_error_is_named(tmp_path: Path, change: Change, message: str) -> None:
    with pytest.raises(ValueError, match=r"v3det_2023_v1_train\.json") as caught:
        read(write(tmp_path, change))
    assert caught.match(message)


def test_bad_items_can_be_skipped(tmp_path: Path) -> None:
    def change(document: Any) -> None:
        document["annotations"][0]["bbox"] = [5, 5, 0, 0]
        document["images"][1]["file_name"] = "images/n00001/gone.jpg"

    problems: list[Exception] = []
    first, crowd = read(write(tmp_path, change), problems=problems)
    assert (first.target.labels, first.target.categories, first.uncertain) == (
        ("mouse", "mouse"),
        ("mouse",),
        {"wolf"},
    )
    assert len(crowd.target.boxes) == 0
    assert list(map(isinstance, problems, (ValueError, FileNotFoundError))) == [True, True]
    assert "train.json image 1: expected the image images/n00001/gone.jpg" in str(problems[1])
