"""CLEVR samples keep their prompt, PixMo-Count samples have a label; every error names the file and the entry."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from verl_vision_r1.data.readers.counting import find, read_clevr
from verl_vision_r1.data.readers.problems import fail
from verl_vision_r1.data.readers.samples import Sample

ANSWER_FORMAT = """
Output the thinking process in <think> </think> and final answer in <answer> </answer> tags. \
The output answer format should be as follows:
<think> ... </think> <answer>number</answer>
Please strictly follow the format."""


def read(source: Path, split: str) -> list[Sample]:
    return list(find(str(source))[split](fail, source))


def clevr(folder: Path, *questions: Any, split: str = "train") -> Path:
    (folder / "questions").mkdir(parents=True, exist_ok=True)
    (folder / "images" / split).mkdir(parents=True, exist_ok=True)
    for index in range(2):
        Image.new("RGB", (48, 32)).save(folder / "images" / split / f"CLEVR_{split}_{index:06d}.png")
    document = {"info": {"split": split}, "questions": list(questions)}
    (folder / "questions" / f"CLEVR_{split}_questions.json").write_text(json.dumps(document))
    return folder


def asked(question: Any, answer: Any, index: int = 0, **more: Any) -> dict[str, Any]:
    program = [{"inputs": [], "function": "scene", "value_inputs": []}]
    name = f"CLEVR_train_{index:06d}.png"
    return {"image_filename": name, "question": question, "answer": answer, "program": program, **more}


def test_clevr_keeps_only_questions_for_a_number(tmp_path: Path) -> None:
    source = clevr(
        tmp_path,
        asked("How many red cubes are there?", "3"),
        asked("What color is the cube?", "red"),
        asked("There is a ball; how many things are left of it?", "0"),
        asked("What number of small balls are there?", "10", 1),
        asked("Are there as many cubes as balls?", "yes"),
        asked("How many cubes are there?", "a few"),
        asked("Which figure is on the cube?", "5"),
    )
    samples = read(source, "train")
    assert [sample.prompt for sample in samples] == [
        "How many red cubes are there?" + ANSWER_FORMAT,
        "There is a ball; how many things are left of it?" + ANSWER_FORMAT,
        "What number of small balls are there?" + ANSWER_FORMAT,
    ]
    assert [sample.target.count for sample in samples] == [3, 0, 10]
    assert [sample.image_id for sample in samples] == [
        "CLEVR_train_000000",
        "CLEVR_train_000000",
        "CLEVR_train_000001",
    ]
    assert samples[2].image == source / "images" / "train" / "CLEVR_train_000001.png"
    assert {(sample.question, sample.subject, sample.target.task) for sample in samples} == {("own", "", "counting")}
    assert (samples[0].target.width, samples[0].target.height, len(samples[0].target.boxes)) == (48, 32, 0)


def test_clevr_has_the_splits_that_exist(tmp_path: Path) -> None:
    clevr(tmp_path)
    assert list(find(str(tmp_path))) == ["train"]
    clevr(tmp_path, asked("How many?", "1") | {"image_filename": "CLEVR_val_000001.png"}, split="val")
    assert list(find(str(tmp_path))) == ["train", "val"]
    assert read(tmp_path, "val")[0].image.parent.name == "val"


CLEVR_ERRORS = [
    ({"question": "How many?", "answer": "1"}, "question 0: expected 'image_filename' to be text, got None"),
    (asked(5, "1"), "question 0: expected 'question' to be text"),
    (asked("How many?", None), "question 0: expected 'answer' to be text"),
    (asked("How many?", "1", 7), r"question 0: expected the image CLEVR_train_000007\.png in .*, got no such file"),
    (asked("How many?", "1") | {"image_filename": "../a.png"}, "question 0: expected the path of an image within"),
    (asked("How many?", "1") | {"image_filename": "a" * 300}, "got no such file"),
    ("How many?", "question 0: expected an object, got 'How many"),
]


@pytest.mark.parametrize(("question", "message"), CLEVR_ERRORS)
def test_an_error_of_clevr_is_named_and_can_be_skipped(tmp_path: Path, question: Any, message: str) -> None:
    source = clevr(tmp_path, question, asked("How many?", "2"))
    problems: list[Exception] = []
    samples = list(find(str(source))["train"](problems.append, source))
    assert [sample.target.count for sample in samples] == [2]
    assert len(problems) == 1
    with pytest.raises((ValueError, OSError), match=message):
        raise problems[0]


def test_a_broken_image_of_clevr_is_named(tmp_path: Path) -> None:
    source = clevr(tmp_path, asked("How many?", "2"))
    (source / "images" / "train" / "CLEVR_train_000000.png").write_text("no image")
    with pytest.raises(ValueError, match=r"CLEVR_train_000000\.png: expected an image, got a file that does not"):
        read(source, "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected CLEVR JSON, got a file that is not JSON"),
        ("[]", r"expected CLEVR JSON with a list 'questions', got \[\]"),
        ('{"questions": {}}', "expected CLEVR JSON with a list 'questions', got"),
    ],
)
def test_another_file_than_clevr_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "CLEVR_train_questions.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"CLEVR_train_questions\.json: {message}"):
        list(read_clevr(path, tmp_path))


def pixmo(folder: Path, *rows: Any, name: str = "counts.jsonl") -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(folder / "images" / "a b.jpg")
    Image.new("RGB", (20, 10)).save(folder / "images" / "00ff.jpg")
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def row(**fields: Any) -> dict[str, Any]:
    return {"image": "images/a b.jpg", "label": "people", "count": 4, **fields}


@pytest.mark.parametrize("name", ["counts.jsonl", "counts.parquet"])
def test_pixmo_asks_for_a_count_of_a_label(tmp_path: Path, name: str) -> None:
    source = pixmo(tmp_path, row(), row(label="red cars", count=0, points=[{"x": 1.5, "y": 2.5}]), name=name)
    first, second = read(source, "all")
    assert (first.question, first.subject, first.prompt) == ("count", "people", None)
    assert (first.target.task, first.target.count, len(first.target.boxes)) == ("counting", 4, 0)
    assert (first.target.width, first.target.height) == (40, 30)
    assert (first.image, first.image_id) == (source / "images" / "a b.jpg", "images/a b.jpg")
    assert (second.subject, second.target.count, second.image_id) == ("red cars", 0, first.image_id)


@pytest.mark.parametrize(
    ("published", "name"),
    [
        ({"image_url": "https://example.com/1/a%20b.jpg?size=large#top", "image_sha256": "abc"}, "a b.jpg"),
        ({"image_url": "https://example.com/1/a b.jpg", "image_sha256": "00ff"}, "00ff.jpg"),
        ({"image_url": "https://example.com/", "image_sha256": "00ff"}, "00ff.jpg"),
        ({"image": None, "image_url": "https://example.com/a b.jpg"}, "a b.jpg"),
    ],
)
@pytest.mark.parametrize("table", ["data/train-00000-of-00001.parquet", "train.jsonl"])
def test_pixmo_finds_the_image_of_a_url(tmp_path: Path, published: dict[str, Any], name: str, table: str) -> None:
    source = pixmo(tmp_path, {"label": "people", "count": 4, **published}, name=table)
    assert [sample.image.name for sample in read(source, "train")] == [name]


def test_the_split_is_in_the_name_of_the_file(tmp_path: Path) -> None:
    names = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "validation.jsonl", "test.jsonl"]
    for index, name in enumerate([*names, "valley.jsonl", ".train.jsonl"]):
        pixmo(tmp_path, row(count=index), name=name)
    read_splits = {split: [sample.target.count for sample in read(tmp_path, split)] for split in find(str(tmp_path))}
    assert read_splits == {"train": [0, 1], "val": [2], "test": [3], "all": [4]}


PIXMO_ERRORS = [
    (row(label=" "), "line 1: expected 'label' to be text, got"),
    (row(count="4"), "line 1: expected 'count' to be a whole number, got '4'"),
    (row(count=True), "line 1: expected 'count' to be a whole number, got True"),
    (row(count=-1), "line 1: expected 'count' to be a whole number, got -1"),
    (row(count=None), "line 1: expected 'count' to be a whole number, got None"),
    (row(image=3), "line 1: expected the path 'image' or the URL 'image_url', got"),
    (row(image="/a.jpg"), "line 1: expected the path of an image within the dataset's folder, got '/a.jpg'"),
    (
        row(image=None, image_url="https://example.com/%2e%2e/x"),
        "line 1: expected the image x in .*, got no such file",
    ),
    (row(image=None, image_url="https://example.com/..%2fa"), "line 1: expected the path of an image within"),
    (row(image="counts.jsonl"), r"counts\.jsonl: expected an image, got a file that does not decode"),
    (["people", 4], r"line 1: expected a JSON object"),
]


@pytest.mark.parametrize(("bad", "message"), PIXMO_ERRORS)
def test_an_error_of_pixmo_is_named_and_can_be_skipped(tmp_path: Path, bad: Any, message: str) -> None:
    source = pixmo(tmp_path, bad, row(count=2))
    problems: list[Exception] = []
    samples = list(find(str(source))["all"](problems.append, source))
    assert [sample.target.count for sample in samples] == [2]
    assert len(problems) == 1
    with pytest.raises((ValueError, OSError), match=message):
        raise problems[0]


def test_another_table_is_named(tmp_path: Path) -> None:
    pixmo(tmp_path, {"image": "a.jpg", "label": "people"}, name="train.parquet")
    with pytest.raises(
        ValueError, match=r"train\.parquet: expected the columns 'label' and 'count', got \['image', 'l"
    ):
        read(tmp_path, "train")
    (tmp_path / "train.parquet").write_text("no table")
    with pytest.raises(ValueError, match=r"train\.parquet: expected a parquet file, got one that cannot be read"):
        read(tmp_path, "train")
    (tmp_path / "test.jsonl").write_text(json.dumps(row()) + '\n{"label"')
    with pytest.raises(ValueError, match=r"test\.jsonl line 2: expected a JSON object, got"):
        read(tmp_path, "test")


def test_another_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(
        ValueError, match=r"expected CLEVR .* or PixMo-Count .*, got a folder that contains notes\.txt"
    ):
        find(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="gone: expected the folder of a dataset"):
        find(str(tmp_path / "gone"))
