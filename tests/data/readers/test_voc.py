"""VOC pixels, counted from 1 with both corners inside, become `xyxy` from 0; every error names the file and object."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.data.readers.voc import read_voc


def read(source: Path, **options: Any) -> list[Sample]:
    return list(read_voc(source / "Annotations", source / "JPEGImages", **options))


@pytest.mark.parametrize(
    ("corners", "box"),
    [
        ((1, 1, 40, 30), [0, 0, 40, 30]),
        ((3, 4, 12, 20), [2, 3, 12, 20]),
        ((0, 0, 40, 30), [0, 0, 40, 30]),
        (("7.5", 1, 41, 5), [6.5, 0, 40, 5]),
        ((9, 9, 9, 9), [8, 8, 9, 9]),
    ],
)
def test_pixels_become_corners(voc: Callable[..., Path], corners: tuple[Any, ...], box: list[float]) -> None:
    assert read(voc(("cat", *corners)))[0].target.boxes.tolist() == [box]


def test_categories_are_those_of_all_files(voc: Callable[..., Path]) -> None:
    samples = read(voc(("dog", 1, 1, 9, 9), ("cat", 1, 1, 9, 9)))
    assert [sample.image_id for sample in samples] == ["000", "001", "002", "003", "004"]
    assert samples[0].target.labels == ("dog", "cat")
    assert {sample.target.categories for sample in samples} == {("cat", "dog")}
    assert read(voc(), categories=["fox", "dog"])[0].target.categories == ("fox", "dog")


@pytest.mark.parametrize("size", [{"width": 0, "height": 0}, None])
def test_a_missing_size_is_read_from_the_image(voc: Callable[..., Path], size: dict[str, int] | None) -> None:
    source = voc(**(size or {}))
    file = source / "Annotations" / "000.xml"
    if size is None:
        file.write_text(file.read_text().replace("size>", "length>").replace("</annotation>", "<size/></annotation>"))
    target = read(source)[0].target
    assert (target.width, target.height) == (40, 30)
    (source / "JPEGImages" / "000.jpg").write_text("no image")
    with pytest.raises(ValueError, match=r"000\.jpg: expected an image, got a file that does not decode"):
        read(source)


def test_the_image_may_be_named_like_its_annotation(voc: Callable[..., Path]) -> None:
    assert read(voc(image="renamed.jpg"))[0].image.name == "000.jpg"


ERRORS: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (("dog", 9, 9, 5, 12), {}, r"000\.xml object\[0\]: expected x1 < x2 and y1 < y2, got \[8\.0, 8\.0, 5\.0, 12\.0\]"),
    (("dog", 9, 9, 42, 12), {}, r"000\.xml object\[0\]: expected a box inside 40x30 pixels"),
    (("dog", "nan", 9, 12, 12), {}, "expected a box inside 40x30 pixels"),
    (("dog", "left", 9, 12, 12), {}, r"object\[0\]: expected a number in <bndbox/xmin>, got 'left'"),
    (("", 1, 1, 9, 9), {}, r"object\[0\]: expected <name> to be one of \['dog'\], got ''"),
    (("dog</name><bndbox/><name>", 1, 1, 9, 9), {}, r"object\[0\]: expected one <bndbox>, got 2"),
    (("dog", 1, 1, 9, 9), {"width": "wide"}, r"000\.xml: expected a number in <size/width>, got 'wide'"),
    (("dog", 1, 1, 9, 9), {"image": "001.jpg"}, r"001\.xml: expected a unique image, got .*001\.jpg, which"),
]


@pytest.mark.parametrize(("box", "changes", "message"), ERRORS)
def test_an_error_is_named(
    voc: Callable[..., Path], box: tuple[Any, ...], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(voc(box, **changes))


@pytest.mark.parametrize(
    ("text", "message"),
    [("<annotation>", r"000\.xml: expected VOC XML, got a file that is not"), ("<html/>", "root <annotation>, got")],
)
def test_another_file_is_named(voc: Callable[..., Path], text: str, message: str) -> None:
    source = voc()
    (source / "Annotations" / "000.xml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read(source)


def test_missing_files_are_named(voc: Callable[..., Path]) -> None:
    source = voc()
    (source / "JPEGImages" / "000.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"000\.xml: expected the image 000\.jpg or .* in .*JPEGImages"):
        read(source)
    with pytest.raises(FileNotFoundError, match=r"JPEGImages: expected VOC annotations \(\*\.xml\), got none"):
        list(read_voc(source / "JPEGImages"))


def test_bad_items_can_be_skipped(voc: Callable[..., Path]) -> None:
    source = voc(("dog", 9, 9, 5, 12), ("dog", 1, 1, 9, 9))
    (source / "JPEGImages" / "004.jpg").unlink()
    problems: list[Exception] = []
    samples = read(source, on_problem=problems.append)
    assert [len(sample.target.boxes) for sample in samples] == [1, 1, 1, 1]
    assert (len(problems), bool(samples[0].uncertain), bool(samples[1].uncertain)) == (2, True, False)
