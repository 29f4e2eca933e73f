"""LVIS samples ask only for completely annotated categories; segmentations are not kept in memory."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from verl_vision_r1.data.readers.coco import load
from verl_vision_r1.data.readers.lvis import find, read_lvis
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Sample

URL = "http://images.cocodataset.org/{}"
NAMES = {1: "stop_sign", 2: "apple", 3: "horse_buggy", 4: "zebra"}

Change = Callable[[Any], Any]


def annotation(number: int, image_id: int, category_id: int, *box: float) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(box),
        "segmentation": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]],
    }


def image(number: int, name: str, absent: list[int], not_exhaustive: list[int]) -> dict[str, Any]:
    return {
        "id": number,
        "coco_url": URL.format(name),
        "width": 40,
        "height": 30,
        "neg_category_ids": absent,
        "not_exhaustive_category_ids": not_exhaustive,
    }


def write(folder: Path, change: Change = lambda document: None, name: str = "lvis_v1_val.json") -> Path:
    for place in ("train2017/0001.jpg", "val2017/0002.jpg", "val2017/0003.jpg"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(folder / place)
    document: dict[str, Any] = {
        "images": [
            image(1, "train2017/0001.jpg", [4, 2], [3]),
            image(2, "val2017/0002.jpg", [1], []),
            image(3, "val2017/0003.jpg", [], [3]),
        ],
        "categories": [{"id": key, "name": name} for key, name in NAMES.items()],
        "annotations": [
            annotation(10, 1, 1, 1.5, 2, 10, 20.25),
            annotation(11, 1, 3, 5, 5, 10, 10),
            annotation(12, 1, 1, 20, 2, 21, 8),
            annotation(13, 3, 3, 5, 5, 10, 10),
        ],
    }
    change(document)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(document))
    return folder


def read(folder: Path, on_problem: OnProblem = fail) -> list[Sample]:
    return list(find(str(folder))["val"](on_problem, folder))


def test_only_completely_annotated_categories_are_asked_for(tmp_path: Path) -> None:
    first, second = read(write(tmp_path))
    assert (first.image, first.image_id) == (tmp_path / "train2017" / "0001.jpg", "0001")
    assert first.target.boxes.tolist() == [[1.5, 2, 11.5, 22.25], [20, 2, 40, 10]]
    assert first.target.labels == ("stop_sign", "stop_sign")
    assert first.target.categories == ("apple", "stop_sign", "zebra")
    assert (first.uncertain, first.question, first.target.task) == ({"horse_buggy"}, "categories", "detection")
    assert (len(second.target.boxes), second.target.categories, second.uncertain) == (0, ("stop_sign",), set())


def test_an_image_without_completely_annotated_categories_is_skipped(tmp_path: Path) -> None:
    problems: list[Exception] = []
    assert [sample.image_id for sample in read(write(tmp_path), problems.append)] == ["0001", "0002"]
    assert problems == []


def test_splits_and_folders(tmp_path: Path) -> None:
    write(tmp_path, name="annotations/lvis_v1_train.json")
    assert list(find(str(tmp_path))) == ["train"]
    write(tmp_path, name="annotations/lvis_v1_val.json")
    assert list(find(str(tmp_path))) == ["train", "val"]
    (tmp_path / "images").mkdir()
    for name in ("train2017", "val2017"):
        (tmp_path / name).rename(tmp_path / "images" / name)
    assert read(tmp_path)[1].image == tmp_path / "images" / "val2017" / "0002.jpg"


def test_another_layout_is_named(tmp_path: Path) -> None:
    (tmp_path / "lvis_v1_val.json.zip").touch()
    with pytest.raises(
        ValueError, match=r"expected LVIS annotations .* got a folder that contains lvis_v1_val\.json\.zip"
    ):
        find(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="got no such folder"):
        find(str(tmp_path / "gone"))


@pytest.mark.parametrize("name", ["val2017/0002.jpg", "0002.jpg"])
def test_a_file_name_may_replace_the_url(tmp_path: Path, name: str) -> None:
    def change(document: Any) -> None:
        del document["images"][1]["coco_url"]
        document["images"][1]["file_name"] = name

    assert read(write(tmp_path, change))[1].image == tmp_path / "val2017" / "0002.jpg"


def test_segmentations_are_not_kept(tmp_path: Path) -> None:
    segmentation = [[float(number) for number in range(20_000)]]

    def change(document: Any) -> None:
        for entry in document["annotations"]:
            entry["segmentation"] = segmentation

    path = write(tmp_path, change) / "lvis_v1_val.json"
    tracemalloc.start()
    document = load(path)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100_000 < path.stat().st_size
    assert all("segmentation" not in entry and len(entry["bbox"]) == 4 for entry in document["annotations"])


def test_a_category_with_a_bad_box_is_uncertain(tmp_path: Path) -> None:
    problems: list[Exception] = []
    sample = read(write(tmp_path, lambda d: d["annotations"][0].update(bbox=[5, 5, 0, 4])), problems.append)[0]
    assert (sample.target.categories, len(sample.target.boxes)) == (("apple", "zebra"), 0)
    assert (sample.uncertain, len(problems)) == ({"horse_buggy", "stop_sign"}, 1)


def test_a_category_both_present_and_absent_is_uncertain(tmp_path: Path) -> None:
    problems: list[Exception] = []
    sample = read(write(tmp_path, lambda d: d["annotations"][0].update(category_id=2)), problems.append)[0]
    assert (sample.target.categories, sample.target.labels) == (("stop_sign", "zebra"), ("stop_sign",))
    assert sample.uncertain == {"apple", "horse_buggy"}


ERRORS: list[tuple[Change, str]] = [
    (lambda d: d["annotations"][0].update(bbox=[5, 5, 0, 4]), "image 1 annotation 10: expected x1 < x2 and y1 < y2"),
    (lambda d: d["annotations"][0].update(bbox=[5, 5, 10**400, 4.5]), r"annotation 10: expected a box \[x, y, width"),
    (lambda d: d["annotations"][0].update(bbox=[5, 5, 10]), r"expected a box .* of four numbers, got \[5, 5, 10\]"),
    (
        lambda d: d["annotations"][0].update(bbox=[5, 5, float("nan"), 1]),
        "expected a box .* of four numbers, got .*nan",
    ),
    (lambda d: d["annotations"][0].update(bbox=[5, 5, 50, 4]), "annotation 10: expected a box inside 40x30 pixels"),
    (lambda d: d["annotations"][0].pop("bbox"), "annotation 10: expected a box .* of four numbers, got None"),
    (lambda d: d["annotations"][0].update(category_id=[4]), r"expected category_id to be one of .*, got \[4\]"),
    (
        lambda d: d["annotations"][0].update(category_id=2),
        "expected no category of .* 'neg_category_ids', got 'apple'",
    ),
    (lambda d: d["annotations"][0].update(image_id=9), "annotation 10: expected the id of one of 3 images, got 9"),
    (
        lambda d: d["annotations"][0].pop("image_id"),
        "annotation 10: expected 'image_id' to be a whole number",
    ),
    (lambda d: d["images"][0].update(neg_category_ids=[99]), "image 1: expected the ids of categories .*, got 99"),
    (lambda d: d["images"][0].pop("neg_category_ids"), "image 1: expected 'neg_category_ids' to be a list"),
    (
        lambda d: d["images"][0].pop("not_exhaustive_category_ids"),
        "'not_exhaustive_category_ids' to be a list",
    ),
    (lambda d: d["images"][0].update(width="wide"), "image 1: expected 'width' to be a whole number, got 'wide'"),
    (lambda d: d["images"][0].update(height=True), "image 1: expected 'height' to be a whole number, got True"),
    (
        lambda d: d["images"][0].update(width=0),
        r"image 1: expected width and height from 1 to 1000000, got \[0, 30\]",
    ),
    (lambda d: d["images"][0].update(width=10**400), "image 1: expected width and height from 1 to 1000000"),
    (lambda d: d["images"][2].pop("coco_url"), "image 3: expected 'coco_url' to be text, got None"),
    (lambda d: d["images"][1].update(id=1), "image 1: expected a unique id and a unique file name"),
    (
        lambda d: d["images"][1].update(coco_url="http://x/val2017/0001.jpg"),
        "expected a unique id and a unique file name",
    ),
    (lambda d: d["images"][0].update(coco_url="http://x/../0001.jpg"), r"expected the path .* got '\.\./0001\.jpg'"),
    (
        lambda d: d["categories"][1].update(name="zebra"),
        "category 4: expected a unique id and a unique name",
    ),
    (lambda d: d.pop("categories"), "expected 'categories' to be a non-empty list of objects, got None"),
    (lambda d: d["images"].append(3), "expected 'images' to be a non-empty list of objects"),
]


@pytest.mark.parametrize(("change", "message"), ERRORS)
def test_an_error_is_named(tmp_path: Path, change: Change, message: str) -> None:
    with pytest.raises(ValueError, match=r"lvis_v1_val\.json") as caught:
        read(write(tmp_path, change))
    assert caught.match(message)


def test_a_bad_image_does_not_affect_the_others(tmp_path: Path) -> None:
    problems: list[Exception] = []
    folder = write(tmp_path, lambda d: d["images"][1].pop("width"))
    (folder / "train2017" / "0001.jpg").unlink()
    assert read(folder, problems.append) == []
    assert [type(problem) for problem in problems] == [FileNotFoundError, ValueError]
    assert "image 1: expected the image train2017/0001.jpg in" in str(problems[0])


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\x00"])
def test_another_file_is_named(tmp_path: Path, text: str) -> None:
    path = write(tmp_path) / "lvis_v1_val.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"lvis_v1_val\.json: expected COCO JSON, got a file that is not JSON"):
        list(read_lvis(path, tmp_path))


def test_a_list_is_named(tmp_path: Path) -> None:
    path = write(tmp_path) / "lvis_v1_val.json"
    path.write_text("[]")
    with pytest.raises(
        ValueError, match=r"expected 'images' to be a non-empty list of objects, got None in JSON with list"
    ):
        list(read_lvis(path, tmp_path))
