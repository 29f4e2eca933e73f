"""COCO boxes become `xyxy`, crowds are skipped, and every error names the file and the annotation or image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1.data.readers.coco import read_coco
from verl_vision_r1.data.readers.samples import Sample

Change = Callable[[Any], Any]


def read(source: Path, **options: Any) -> list[Sample]:
    return list(read_coco(source / "annotations" / "instances.json", source / "images", **options))


def first_box(*values: Any) -> Change:
    return lambda document: document["annotations"][0].update(bbox=list(values))


def test_boxes_become_corners(coco: Callable[..., Path]) -> None:
    source = coco()
    samples = read(source)
    assert [sample.image_id for sample in samples] == ["000", "001", "002", "003", "004"]
    assert samples[0].image == source / "images" / "000.jpg"
    assert samples[0].target.boxes.tolist() == [[1.5, 2, 11.5, 22.25]]
    assert samples[0].target.labels == ("dog",)
    assert samples[0].target.categories == ("cat", "dog")
    assert (samples[0].target.width, samples[0].target.height, bool(samples[0].uncertain)) == (40, 30, False)


def test_a_box_is_clipped_at_the_border(coco: Callable[..., Path]) -> None:
    assert read(coco(first_box(-0.5, 0, 41, 31)))[0].target.boxes.tolist() == [[0, 0, 40, 30]]


def test_a_crowd_is_skipped_and_its_image_is_no_negative_sample(coco: Callable[..., Path]) -> None:
    def change(document: Any) -> None:
        document["annotations"][0]["iscrowd"] = 1
        del document["annotations"][1]

    crowd, negative, *_ = read(coco(change))
    assert (len(crowd.target.boxes), crowd.uncertain) == (0, {"dog"})
    assert (len(negative.target.boxes), negative.uncertain) == (0, set())


ERRORS: list[tuple[Change, str]] = [
    (
        lambda d: d.pop("categories"),
        r"expected 'categories' to be a non-empty list .* in JSON with keys \['annotations', 'im",
    ),
    (lambda d: d.update(images=[]), "expected 'images' to be a non-empty list of objects"),
    (lambda d: d["images"][1].pop("width"), "image 1: expected 'width' to be a whole number, got"),
    (
        lambda d: d["images"][1].update(width=0),
        r"image 1: expected width and height from 1 to 1000000, got \[0, 30\]",
    ),
    (lambda d: d["images"][1].update(id=0), "image 0: expected a unique id and a unique file name"),
    (lambda d: d["images"][1].update(file_name="000.jpg"), "image 1: expected a unique id and a unique file name"),
    (lambda d: d["categories"][1].update(name="cat"), "category 7: expected a unique id and a unique name"),
    (lambda d: d["annotations"][0].update(category_id=4), "annotation 10 of image 0: expected category_id to be one"),
    (lambda d: d["annotations"][0].update(image_id=99), "annotation 10: expected the id of one of 5 images, got 99"),
    (lambda d: d["annotations"][0].pop("image_id"), "annotation 10: expected 'image_id' to be a whole number"),
    (
        lambda d: d["annotations"][0].pop("bbox"),
        r"10 of image 0: expected a box .* of four numbers, got None",
    ),
    (first_box(1, 2, 3), r"expected a box \[x, y, width, height\] of four numbers, got \[1, 2, 3\]"),
    (
        first_box(5, 5, -3, 4),
        r"10 of image 0: expected x1 < x2 and y1 < y2, got \[5\.0, 5\.0, 2\.0, 9\.0\]",
    ),
    (first_box(5, 5, 0, 4), "expected x1 < x2"),
    (first_box(40.5, 5, 0.4, 4), "expected x1 < x2"),
    (first_box(5, 5, 36.5, 4), r"expected a box inside 40x30 pixels, got \[5\.0, 5\.0, 41\.5, 9\.0\]"),
    (first_box(5, 5, float("nan"), 4), "of four numbers, got .*nan"),
    (first_box(5, 5, float("inf"), 4), "of four numbers, got .*inf"),
]


@pytest.mark.parametrize(("change", "message"), ERRORS)
def test_an_error_is_named(coco: Callable[..., Path], change: Change, message: str) -> None:
    with pytest.raises(ValueError, match=r"instances\.json") as caught:
        read(coco(change))
    assert caught.match(message)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "expected COCO JSON, got a file that is not"), ("[]", "got None in JSON with list")]
)
def test_another_file_is_named(coco: Callable[..., Path], text: str, message: str) -> None:
    source = coco()
    (source / "annotations" / "instances.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read(source)


def test_a_missing_file_is_named(coco: Callable[..., Path]) -> None:
    source = coco()
    (source / "images" / "001.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"instances\.json image 1: expected the image 001\.jpg in .*images"):
        read(source)
    (source / "annotations" / "instances.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"instances\.json"):
        read(source)


def test_bad_items_can_be_skipped(coco: Callable[..., Path]) -> None:
    def change(document: Any) -> None:
        document["annotations"][0]["bbox"] = [5, 5, 0, 0]
        document["annotations"][1]["image_id"] = 99
        document["images"][2]["file_name"] = "gone.jpg"

    problems: list[Exception] = []
    samples = read(coco(change), on_problem=problems.append)
    assert [sample.image_id for sample in samples] == ["000", "001", "003", "004"]
    assert [len(sample.target.boxes) for sample in samples] == [0, 0, 1, 1]
    assert (len(problems), bool(samples[0].uncertain)) == (3, True)
