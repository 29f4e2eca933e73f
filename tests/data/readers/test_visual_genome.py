"""Regions of one phrase are one question with several boxes; an expression without boxes is a negative sample."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.data.readers.visual_genome import find

URL = "https://cs.stanford.edu/people/rak248/VG_100K{}.jpg"

Change = Callable[[Any, Any], Any]


def region(phrase: str, x: float, y: float, width: float, height: float) -> dict[str, Any]:
    return {"region_id": 1, "image_id": 1, "phrase": phrase, "x": x, "y": y, "width": width, "height": height}


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (400, 300)).save(path)


def write(folder: Path, change: Change = lambda regions, images: None) -> Path:
    write_image(folder / "VG_100K_2" / "1.jpg")
    write_image(folder / "VG_100K" / "2.jpg")
    regions = [
        {
            "id": 1,
            "regions": [
                region("A red  car.", 0, 0, 100, 100),
                region("the clock", 10, 20, 30, 40),
                region(" a red car", 200, 0, 100, 100),
                region("a red car", 0, 0, 100, 99),
            ],
        },
        {"id": 2, "regions": [region("a red car", 300.5, 200, 100, 100)]},
    ]
    images = [
        {"image_id": 1, "width": 400, "height": 300, "url": URL.format("_2/1")},
        {"image_id": 2, "width": 400, "height": 300, "url": URL.format("/2")},
    ]
    change(regions, images)
    (folder / "region_descriptions.json").write_text(json.dumps(regions))
    (folder / "image_data.json").write_text(json.dumps(images, indent=1))
    return folder


def read(folder: Path, on_problem: OnProblem = fail) -> list[Sample]:
    return list(find(str(folder))["all"](on_problem, folder))


def test_regions_of_one_phrase_are_one_question(tmp_path: Path) -> None:
    cars, clock, car = read(write(tmp_path))
    assert [sample.subject for sample in (cars, clock, car)] == ["A red car", "the clock", "a red car"]
    assert (cars.question, cars.target.task, cars.target.labels) == ("expression", "grounding", ("A red car",) * 2)
    # The third region is the first one, annotated twice.
    assert cars.target.boxes.tolist() == [[0, 0, 100, 100], [200, 0, 300, 100]]
    assert clock.target.boxes.tolist() == [[10, 20, 40, 60]]
    assert car.target.boxes.tolist() == [[300.5, 200, 400, 300]]
    assert [sample.image_id for sample in (cars, clock, car)] == ["1", "1", "2"]
    assert (cars.image, car.image) == (tmp_path / "VG_100K_2" / "1.jpg", tmp_path / "VG_100K" / "2.jpg")
    assert (cars.target.width, cars.target.height, list(find(str(tmp_path)))) == (400, 300, ["all"])


@pytest.mark.parametrize(("width", "boxes"), [(90, 2), (91, 1)])
def test_an_overlap_above_nine_tenths_is_one_object(tmp_path: Path, width: int, boxes: int) -> None:
    same = [region("car", 0, 0, 100, 100), region("car", 0, 0, width, 100)]
    samples = read(write(tmp_path, lambda regions, _: regions[0].update(regions=same)))
    assert len(samples[0].target.boxes) == boxes


def test_images_may_be_in_a_folder_images(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("VG_100K", "VG_100K_2"):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / "images" / name)
    assert read(tmp_path)[0].image == tmp_path / "images" / "VG_100K_2" / "1.jpg"


def test_a_phrase_with_a_bad_box_is_skipped_as_a_whole(tmp_path: Path) -> None:
    problems: list[Exception] = []
    folder = write(tmp_path, lambda regions, _: regions[0]["regions"][2].update(width=0))
    assert [sample.subject for sample in read(folder, problems.append)] == ["the clock", "a red car"]
    assert len(problems) == 1


ERRORS: list[tuple[Change, str]] = [
    (lambda r, _: r[0]["regions"][1].update(width=0), "entry 0 region 1: expected x1 < x2"),
    (lambda r, _: r[0]["regions"][1].update(x=-5), "entry 0 region 1: expected a box inside 400x300 pixels"),
    (lambda r, _: r[0]["regions"][1].pop("x"), r"entry 0 region 1: expected a box .* got \[None, 20, 30, 40\]"),
    (lambda r, _: r[0]["regions"][1].update(phrase=" . "), "entry 0 region 1: expected 'phrase' to be text, got ''"),
    (lambda r, _: r[0]["regions"][1].pop("phrase"), "entry 0 region 1: expected 'phrase' to be text, got None"),
    (lambda r, _: r[0]["regions"].insert(1, 3), "entry 0 region 1: expected a JSON object, got 3"),
    (lambda r, _: r[0].pop("regions"), "entry 0: expected 'regions' to be a list, got None"),
    (lambda r, _: r[0].update(id=9), "entry 0: expected the id of an image in image_data.json, each once, got 9"),
    (lambda r, _: r[1].update(id=1), "entry 1: expected the id of an image in image_data.json, each once, got 1"),
    (lambda r, _: r[0].update(id=[1]), r"entry 0: expected 'id' to be a whole number or text, got \[1\]"),
    (lambda r, _: r.append("x"), "region_descriptions.json entry 2: expected a JSON object, got 'x'"),
    (lambda _, i: i[1].update(image_id=1), "image_data.json entry 1: expected a unique image_id, got 1"),
    (
        lambda _, i: i[0].pop("image_id"),
        "image_data.json entry 0: expected 'image_id' to be a whole number or text, got None",
    ),
    (lambda _, i: i[0].update(width=0), r"entry 0: expected width and height from 1 to 1000000, got \[0, 300\]"),
    (lambda _, i: i[0].pop("url"), "entry 0: expected 'url' to be text, got None"),
    (lambda _, i: i[0].update(url="http://x/../1.jpg"), "entry 0: expected the path of an image within"),
    (lambda _, i: i[0].update(url="http://x/VG_100K/9.jpg"), r"entry 0: expected the image VG_100K/9\.jpg in"),
]


@pytest.mark.parametrize(("change", "message"), ERRORS)
def test_an_error_is_named_and_the_rest_is_read(tmp_path: Path, change: Change, message: str) -> None:
    folder = write(tmp_path, change)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(folder)
    problems: list[Exception] = []
    assert read(folder, problems.append)
    assert any(message.partition(":")[0] in str(problem) for problem in problems)


def test_an_older_name_of_the_id(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, lambda regions, _: regions[0].update(image_id=regions[0].pop("id"))))) == 3


@pytest.mark.parametrize(
    "text", ["{}", "", "[", "[{}", "[{},]", "[{} {}]", "[] []", '[{"id": 1}] [2]', "[]", "[" * 100_000, "\udcff"]
)
def test_another_file_is_named(tmp_path: Path, text: str) -> None:
    folder = write(tmp_path)
    (folder / "region_descriptions.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"region_descriptions\.json: expected (a|one) (JSON )?list"):
        read(folder, lambda problem: None)


LINES: list[Any] = [
    {"image": "a.jpg", "expression": " red cars ", "boxes": [[0, 0, 9, 9], [10, 20, 110, 80.5]]},
    {"image": "a.jpg", "expression": "a zebra", "boxes": []},
    {"image": "sub/b.jpg", "expression": "red cars", "boxes": [[0, 0, 400.5, 9]]},
]


def write_expressions(folder: Path, change: Callable[[Any], Any] = lambda lines: None, lined: bool = True) -> Path:
    for name in ("a.jpg", "a.png", "images/sub/b.jpg"):
        write_image(folder / name)
    lines = [line | {"width": 400, "height": 300} for line in LINES]
    change(lines)
    if lined:
        (folder / "expressions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        (folder / "expressions.json").write_text(json.dumps(lines))
    return folder


@pytest.mark.parametrize("lined", [True, False])
def test_custom_expressions(tmp_path: Path, lined: bool) -> None:
    cars, zebra, others = read(write_expressions(tmp_path, lined=lined))
    assert (cars.question, cars.subject, cars.target.task) == ("expression", "red cars", "grounding")
    assert cars.target.boxes.tolist() == [[0, 0, 9, 9], [10, 20, 110, 80.5]]
    assert cars.target.labels == ("red cars", "red cars")
    assert (zebra.subject, zebra.target.task, zebra.target.boxes.shape) == ("a zebra", "grounding", (0, 4))
    assert others.target.boxes.tolist() == [[0, 0, 400, 9]]
    assert [sample.image_id for sample in (cars, zebra, others)] == ["a", "a", "sub/b"]
    assert (cars.image, others.image) == (tmp_path / "a.jpg", tmp_path / "images" / "sub" / "b.jpg")


LINE_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"boxes": None}, "line 2: expected 'boxes' to be a list, got None"),
    ({"boxes": [3]}, r"line 2: expected a box \[x1, y1, x2, y2\] of four numbers, got 3"),
    ({"boxes": [[0, 0, 9, 9], [9, 0, 9, 9]]}, "line 2: expected x1 < x2"),
    ({"expression": " "}, "line 2: expected 'expression' to be text, got ' '"),
    ({"expression": "red cars"}, "line 2: expected each expression once per image, got 'red cars' again"),
    ({"width": 1.5}, "line 2: expected 'width' to be a whole number, got 1.5"),
    ({"image": ["a.jpg"]}, r"line 2: expected 'image' to be text, got \['a.jpg'\]"),
    ({"image": "c.jpg"}, r"line 2: expected the image c\.jpg in"),
    ({"image": ""}, "line 2: expected the image"),
]


@pytest.mark.parametrize(("fields", "message"), LINE_ERRORS)
def test_a_bad_expression_is_named_and_skipped(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    folder = write_expressions(tmp_path, lambda lines: lines[1].update(fields))
    with pytest.raises((ValueError, FileNotFoundError), match=r"expressions\.jsonl") as caught:
        read(folder)
    assert caught.match(message)
    problems: list[Exception] = []
    assert [sample.image_id for sample in read(folder, problems.append)] == ["a", "sub/b"]
    assert len(problems) == 1


def test_another_layout_is_named(tmp_path: Path) -> None:
    (tmp_path / "region_descriptions.json").touch()
    with pytest.raises(ValueError, match=r"with image_data\.json, or .* that contains region_descriptions\.json$"):
        find(str(tmp_path))
    (tmp_path / "image_data.json").touch()
    (tmp_path / "expressions.json").touch()
    with pytest.raises(ValueError, match=r"expected region_descriptions\.json with image_data\.json, or one of"):
        find(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="got no such folder"):
        find(str(tmp_path / "gone"))
