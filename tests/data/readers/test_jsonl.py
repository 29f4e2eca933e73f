"""Custom JSON Lines become questions of all four tasks; every error names the file and the line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from verl_vision_r1.data.readers import jsonl
from verl_vision_r1.data.readers.jsonl import find, read_own
from verl_vision_r1.data.readers.problems import fail
from verl_vision_r1.data.readers.samples import Sample

Line = dict[str, Any]

CAT: Line = {"image": "a.jpg", "boxes": [[1, 2, 11.5, 12]], "labels": ["cat"]}
GROUNDING: Line = {"image": "a.jpg", "task": "grounding", "expression": "the cat", "boxes": [[1, 2, 11, 12]]}
CLASS: Line = {"image": "a.jpg", "task": "classification", "label": "siamese"}
COUNT: Line = {"image": "a.jpg", "task": "counting", "label": "cat", "count": 3}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write lines, and two images: one next to the file, one in `images`."""

    def run(*lines: Line | str, name: str = "pets.jsonl") -> Path:
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg")
        Image.new("RGB", (60, 20)).save(tmp_path / "images" / "b.png")
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
        return tmp_path / name

    return run


@pytest.fixture
def read(write: Callable[..., Path]) -> Callable[..., list[Sample]]:
    def run(*lines: Line | str, on_problem: Any = fail) -> list[Sample]:
        return list(read_own(write(*lines), on_problem))

    return run


def test_detection_asks_about_all_labels_of_the_file(read: Callable[..., list[Sample]], tmp_path: Path) -> None:
    first, second = read(CAT, "", {"image": "b.png", "boxes": [[0, 0, 60.5, 20]], "labels": ["ant"]})
    assert (first.image, first.image_id) == (tmp_path / "a.jpg", "a.jpg")
    assert (second.image, second.image_id) == (tmp_path / "images" / "b.png", "images/b.png")
    assert (first.question, first.subject, first.prompt, first.uncertain) == ("categories", "", None, frozenset())
    assert (first.target.boxes.tolist(), first.target.labels) == ([[1, 2, 11.5, 12]], ("cat",))
    assert (first.target.categories, second.target.categories) == (("ant", "cat"), ("ant", "cat"))
    assert (first.target.width, first.target.height) == (40, 30)
    assert second.target.boxes.tolist() == [[0, 0, 60, 20]]


def test_categories_can_be_given(read: Callable[..., list[Sample]]) -> None:
    (sample,) = read({"image": "a.jpg", "boxes": [], "labels": [], "categories": ["dog", "bird"]})
    assert (sample.target.categories, len(sample.target.boxes)) == (("dog", "bird"), 0)


def test_grounding_asks_about_its_expression(read: Callable[..., list[Sample]]) -> None:
    (sample,) = read(GROUNDING)
    assert (sample.question, sample.subject, sample.target.task) == ("expression", "the cat", "grounding")
    assert (sample.target.labels, sample.target.boxes.tolist()) == (("the cat",), [[1, 2, 11, 12]])


def test_classes_and_counts_have_no_boxes(read: Callable[..., list[Sample]]) -> None:
    named, closed, count = read(CLASS, CLASS | {"image": "b.png", "categories": ["siamese", "manx"]}, COUNT)
    assert (named.question, named.target.task, named.target.labels) == ("class", "classification", ("siamese",))
    assert (named.target.categories, closed.target.categories) == ((), ("siamese", "manx"))
    assert (count.question, count.subject, count.target.task, count.target.count) == ("count", "cat", "counting", 3)


@pytest.mark.parametrize("line", [CAT, GROUNDING, CLASS, COUNT])
def test_a_custom_prompt_is_kept(read: Callable[..., list[Sample]], line: Line) -> None:
    (sample,) = read(line | {"prompt": "Where is Tom?", "image_id": 7, "width": 80, "height": 70})
    assert (sample.question, sample.prompt, sample.image_id) == ("own", "Where is Tom?", "7")
    assert (sample.target.task, sample.target.width, sample.target.height) == (line.get("task", "detection"), 80, 70)


def test_questions_about_one_image_share_its_name(read: Callable[..., list[Sample]]) -> None:
    assert [sample.image_id for sample in read(CAT | {"image_id": "tom"}, GROUNDING, CLASS)] == ["tom"] * 3


def test_the_documented_lines_are_read(read: Callable[..., list[Sample]]) -> None:
    lines = [line.strip() for line in (jsonl.__doc__ or "").splitlines() if line.strip().startswith("{")]
    samples = read(*(line.replace("110, 220", "30, 25") for line in lines))
    questions = ["categories", "categories", "expression", "class", "count", "points"]
    assert [sample.question for sample in samples] == questions


def without(line: Line, key: str) -> Line:
    return {name: value for name, value in line.items() if name != key}


ERRORS: list[tuple[Line | str, str]] = [
    ("{", "expected a JSON object, got b'{"),
    ("[" * 100_000, r"expected a JSON object, got b'\[\["),
    ("[1]", r"expected a JSON object, got b'\[1\]"),
    (CAT | {"bboxes": [], "lable": "x"}, "expected only the keys image, .* for detection, got also bboxes, lable"),
    (CAT | {"expression": "x"}, "expected only the keys .* for detection, got also expression"),
    (GROUNDING | {"labels": ["x"]}, "expected only the keys .* for grounding, got also labels"),
    (CAT | {"task": "segmentation"}, "expected 'task' to be one of detection, grounding, .* got 'segmentation'"),
    (CAT | {"task": ["detection"]}, "expected 'task' to be one of"),
    (without(CAT, "image"), "expected 'image' to be text, got None"),
    (CAT | {"image": "../a.jpg"}, "expected the path of an image within the dataset's folder, got '../a.jpg'"),
    (CAT | {"image": "x" * 300}, "got no such file"),
    (without(CAT, "boxes"), "expected 'boxes' to be a list, got"),
    (without(CAT, "labels"), "expected 'labels' to be a list, got"),
    (CAT | {"labels": []}, "expected one label for each box, got 1 boxes and 0 labels"),
    (CAT | {"labels": [3]}, r"expected 'labels' to be a list of names, got \[3\]"),
    (CAT | {"categories": "cat"}, "expected 'categories' to be a list, got"),
    (CAT | {"categories": []}, "expected categories, or labels in at least one line of the file, got neither"),
    (CAT | {"categories": ["dog"]}, r"boxes\[0\]: expected one of the categories \['dog'\], got 'cat'"),
    (CAT | {"boxes": [[1, 2, 3]]}, r"boxes\[0\]: expected a box \[x1, y1, x2, y2\] of four numbers, got \[1, 2, 3\]"),
    (CAT | {"boxes": [{"x1": 1}]}, r"boxes\[0\]: expected a box \[x1, y1, x2, y2\] of four numbers, got {'x1': 1}"),
    (CAT | {"boxes": [[5, 2, 5, 4]]}, r"boxes\[0\]: expected x1 < x2"),
    (CAT | {"boxes": [[5, 2, 50, 4]]}, r"boxes\[0\]: expected a box inside 40x30 pixels"),
    (CAT | {"boxes": [[5, 2, float("nan"), 4]]}, "of four numbers, got .*nan"),
    (CAT | {"width": 40}, "expected 'height' to be a whole number, got None"),
    (CAT | {"width": 40, "height": "tall"}, "expected 'height' to be a whole number, got 'tall'"),
    (CAT | {"image_id": None}, "expected 'image_id' to be text or a whole number, got None"),
    (CAT | {"image_id": "b"}, "expected one image_id for each image, got 'b' for .*a.jpg and another"),
    (CAT | {"prompt": " "}, "expected 'prompt' to be text, got"),
    (CAT | {"prompt": "<image>Where?"}, "expected a prompt without <image>, .* got '<image>Where"),
    (without(GROUNDING, "expression"), "expected 'expression' to be text, got"),
    (GROUNDING | {"boxes": [[5, 2, 5, 4]]}, r"boxes\[0\]: expected x1 < x2"),
    (CLASS | {"label": ""}, "expected 'label' to be text, got"),
    (CLASS | {"categories": ["manx"]}, "expected one of the categories, got 'siamese'"),
    (without(COUNT, "count"), "count: expected a whole number of objects.*, got None"),
    (COUNT | {"count": -1}, "count: expected a whole number of objects.*, got -1"),
    (COUNT | {"count": [1]}, r"count: expected a whole number of objects.*, got \[1\]"),
]


@pytest.mark.parametrize(("line", "message"), ERRORS)
def test_an_error_is_named(read: Callable[..., list[Sample]], line: Line | str, message: str) -> None:
    before = {"image": "a.jpg", "image_id": "a", "task": "grounding", "expression": "x", "boxes": []}
    with pytest.raises((ValueError, OSError), match=r"pets\.jsonl line 3") as caught:
        read(before, "", line)
    assert caught.match(message)


def test_the_same_question_twice_is_named(read: Callable[..., list[Sample]]) -> None:
    with pytest.raises(ValueError, match="line 2: expected one line for each question about an image, got the same"):
        read(CAT, CAT | {"boxes": [[3, 4, 9, 9]]})


def test_images_are_opened(read: Callable[..., list[Sample]], tmp_path: Path) -> None:
    (tmp_path / "c.jpg").write_text("no image")
    with pytest.raises(ValueError, match=r"line 1: .*c\.jpg: expected an image, got a file that does not decode"):
        read(CAT | {"image": "c.jpg"})
    with pytest.raises(FileNotFoundError, match=r"line 1: expected the image gone\.jpg in .*images, got no such file"):
        read(CAT | {"image": "gone.jpg"})


def test_bad_items_can_be_skipped(read: Callable[..., list[Sample]]) -> None:
    problems: list[Exception] = []
    bad = {"boxes": [[9, 9, 9, 9], [1, 2, 11, 12], [1, 2, 3, 4]], "labels": ["dog", "cat", "cow"]}
    samples = read(
        CAT | bad | {"categories": ["cat", "dog"]},
        CAT | bad | {"categories": ["cat", "dog"], "prompt": "Where?"},
        GROUNDING | {"boxes": bad["boxes"]},
        "{",
        CLASS,
        on_problem=problems.append,
    )
    assert [sample.question for sample in samples] == ["categories", "class"]
    assert (samples[0].target.labels, samples[0].uncertain) == (("cat",), {"dog", ""})
    places = [str(problem).split(":")[0].split("pets.jsonl ")[1] for problem in problems]
    assert places == ["line 1 boxes[0]", "line 1 boxes[2]", "line 2 boxes[0]", "line 3 boxes[0]", "line 4"]


@pytest.mark.parametrize("text", ["", "\n", "image,label\na.jpg,cat", "[1]"])
def test_another_file_is_named(read: Callable[..., list[Sample]], text: str) -> None:
    with pytest.raises(ValueError, match=r"pets\.jsonl: expected a JSON object on each line, got no such"):
        read(text, on_problem=lambda problem: None)


def test_a_byte_order_mark_is_accepted(read: Callable[..., list[Sample]]) -> None:
    assert len(read("\ufeff" + json.dumps(CAT))) == 1


def test_files_are_splits_by_name(write: Callable[..., Path], tmp_path: Path) -> None:
    alone = write(CAT)
    assert list(find(str(alone))) == list(find(str(tmp_path))) == ["all"]
    assert len(list(find(str(alone))["all"](fail, tmp_path / "unused"))) == 1
    alone.unlink()
    write(CAT, name="train.jsonl")
    assert list(find(str(tmp_path))) == ["train"]
    write(CLASS, name="val.jsonl")
    splits = find(str(tmp_path))
    questions = {split: [sample.question for sample in read(fail, tmp_path)] for split, read in splits.items()}
    assert questions == {"train": ["categories"], "val": ["class"]}


def test_other_places_are_named(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone: expected the folder of a dataset, got no such folder"):
        find(str(tmp_path / "gone"))
    with pytest.raises(ValueError, match=r"expected train\.jsonl, .* got a folder that contains no files"):
        find(str(tmp_path))
    write(CAT, name="train.jsonl")
    write(CAT, name="valid.jsonl")
    with pytest.raises(ValueError, match=r"expected train\.jsonl, .* got a folder that contains .*valid\.jsonl"):
        find(str(tmp_path))
    with pytest.raises(ValueError, match=r"expected a folder, or a file that ends in \.jsonl, got '\.jpg'"):
        find(str(tmp_path / "a.jpg"))
