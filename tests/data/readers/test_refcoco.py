"""Every sentence of RefCOCO is a question about one box, and no pickle can execute code."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.refcoco import find
from verl_vision_r1.data.readers.references import load_references
from verl_vision_r1.data.readers.samples import Sample

NAMES = ("COCO_train2014_000000000007.jpg", "COCO_train2014_000000000008.jpg")

Change = Callable[[Any, Any], Any]


def write_images(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        Image.new("RGB", (40, 30)).save(folder / name)


def reference(number: int, image_id: int, split: str, *sentences: str) -> dict[str, Any]:
    return {
        "ref_id": number,
        "ann_id": 100 + number,
        "image_id": image_id,
        "category_id": 1,
        "file_name": f"COCO_train2014_{image_id:012d}_{number}.jpg",
        "split": split,
        "sent_ids": list(range(len(sentences))),
        "sentences": [{"sent_id": index, "sent": sent, "raw": sent.upper()} for index, sent in enumerate(sentences)],
    }


def write(folder: Path, change: Change = lambda references, instances: None, division: str = "unc") -> Path:
    write_images(folder / "train2014")
    references = [
        reference(0, 7, "train", " the lady with the blue shirt ", "lady"),
        reference(1, 7, "train", "man"),
        reference(2, 8, "testA", "left dog"),
    ]
    instances = {
        "images": [
            {"id": 7 + index, "file_name": name, "width": 40, "height": 30} for index, name in enumerate(NAMES)
        ],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": 100 + number, "image_id": image_id, "bbox": [1.5 + number, 2, 10, 20.25]}
            for number, image_id in enumerate((7, 7, 8))
        ],
    }
    change(references, instances)
    # Python 2 wrote the published files, with such protocols.
    (folder / f"refs({division}).p").write_bytes(pickle.dumps(references, protocol=0))
    (folder / "instances.json").write_text(json.dumps(instances))
    return folder


def read(folder: Path, split: str = "train", on_problem: OnProblem = fail) -> list[Sample]:
    return list(find(str(folder))[split](on_problem, folder))


def test_every_sentence_is_a_question(tmp_path: Path) -> None:
    first, second, third = read(write(tmp_path))
    assert first.image == tmp_path / "train2014" / NAMES[0]
    assert [sample.image_id for sample in (first, second, third)] == ["COCO_train2014_000000000007"] * 3
    assert [sample.subject for sample in (first, second, third)] == ["the lady with the blue shirt", "lady", "man"]
    assert (first.question, first.target.task, first.target.labels) == ("expression", "grounding", (first.subject,))
    assert (first.target.width, first.target.height, first.target.categories) == (40, 30, ())
    assert first.target.boxes.tolist() == second.target.boxes.tolist() == [[1.5, 2, 11.5, 22.25]]
    assert third.target.boxes.tolist() == [[2.5, 2, 12.5, 22.25]]


def test_the_splits_are_those_of_the_references(tmp_path: Path) -> None:
    assert list(find(str(write(tmp_path)))) == ["train", "testA"]
    assert [sample.subject for sample in read(tmp_path, "testA")] == ["left dog"]
    write(tmp_path, lambda references, _: references[0].update(split="trainval"))
    assert list(find(str(tmp_path))) == ["train", "testA", "trainval"]


def test_the_best_division_is_read(tmp_path: Path) -> None:
    for division, split in (("google", "g"), ("umd", "m"), ("unc", "u")):
        write(tmp_path, lambda references, _, split=split: references[2].update(split=split), division)
        assert list(find(str(tmp_path))) == ["train", split]


@pytest.mark.parametrize(
    "place", ["refcoco/images", "refcoco/images/train2014", "train2014", "images/mscoco/images/train2014"]
)
def test_images_may_be_in_other_folders(tmp_path: Path, place: str) -> None:
    folder = write(tmp_path / "refcoco")
    for name in NAMES:
        (folder / "train2014" / name).unlink()
    write_images(tmp_path / place)
    assert read(folder)[0].image == tmp_path / place / NAMES[0]


def test_text_of_python_2_is_text(tmp_path: Path) -> None:
    # What Python 2 wrote for [{'split': 'caf\xe9'}], whose text is bytes.
    (tmp_path / "a.p").write_bytes(b"(lp0\n(dp1\nS'split'\np2\nS'caf\\xe9'\np3\nsa.")
    assert load_references(tmp_path / "a.p") == [{"split": "caf\xe9"}]


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_execute_code_is_rejected(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps([{"split": "train", "sentences": Malicious(tmp_path / "broken in")}], protocol)
    folder = write(tmp_path)
    (folder / "refs(unc).p").write_bytes(content)
    with pytest.raises(ValueError, match=r"refs\(unc\)\.p: expected a pickle of plain lists .* names \w+\.mkdir"):
        find(str(folder))
    assert not (tmp_path / "broken in").exists()
    pickle.loads(content)
    assert (tmp_path / "broken in").exists()


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\x80\x04]", b"(lp0\n(dp1\ns.", b"c__builtin__\neval\n.", b"Vx\n."]
)
def test_another_pickle_is_named(tmp_path: Path, content: bytes) -> None:
    (write(tmp_path) / "refs(unc).p").write_bytes(content)
    with pytest.raises(ValueError, match=r"refs\(unc\)\.p: expected a (pickle of plain lists|list of dictionaries)"):
        find(str(tmp_path))


ERRORS: list[tuple[Change, str]] = [
    (lambda r, _: r[0]["sentences"][0].update(sent="  "), "unc.*entry 0: expected 'sent' to be text, got '  '"),
    (lambda r, _: r[0]["sentences"][0].pop("sent"), "entry 0: expected 'sent' to be text, got None"),
    (lambda r, _: r[0]["sentences"].append("x"), "entry 0: expected a sentence with 'sent', got 'x'"),
    (lambda r, _: r[0].update(sentences=[]), r"entry 0: expected at least one sentence, got \[\]"),
    (lambda r, _: r[0].pop("sentences"), "entry 0: expected 'sentences' to be a list, got None"),
    (lambda r, _: r[1].pop("split"), "entry 1: expected 'split' to be text, got None"),
    (lambda r, _: r[1].update(split=["train"]), "entry 1: expected 'split' to be text"),
    (lambda r, _: r[1].update(ann_id=5), "entry 1: expected 'ann_id' to be one of the 3 in instances.json, got 5"),
    (lambda r, _: r[1].update(ann_id=[5]), "entry 1: expected 'ann_id' to be a whole number"),
    (lambda r, _: r[1].update(image_id=9), "entry 1: expected 'image_id' to be one of the 2 in instances.json, got 9"),
    (lambda r, _: r[1].update(image_id=8), "entry 1: expected an annotation of its image 8, got one of image 7"),
    (lambda _, i: i["annotations"][0].update(bbox=[1, 2, 0, 4]), "entry 0: expected x1 < x2 and y1 < y2"),
    (lambda _, i: i["annotations"][0].pop("bbox"), r"entry 0: expected a box \[x, y, width, height\] of four"),
    (lambda _, i: i["images"][0].pop("width"), "entry 0: expected 'width' to be a whole number, got None"),
    (
        lambda _, i: i["images"][0].update(file_name="../a.jpg"),
        r"expected the path of an image within .* '\.\./a\.jpg'",
    ),
    (lambda _, i: i["images"][0].update(file_name="a.jpg"), r"entry 0: expected the image a\.jpg in"),
    (lambda _, i: i.pop("images"), r"instances\.json: expected 'images' to be a non-empty list of objects"),
]


@pytest.mark.parametrize(("change", "message"), ERRORS)
def test_an_error_is_named(tmp_path: Path, change: Change, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(write(tmp_path, change))


def test_bad_sentences_can_be_skipped(tmp_path: Path) -> None:
    def change(references: Any, _: Any) -> None:
        references[0]["sentences"][0]["sent"] = ""
        references[1]["ann_id"] = 5

    problems: list[Exception] = []
    assert [sample.subject for sample in read(write(tmp_path, change), on_problem=problems.append)] == ["lady"]
    assert len(problems) == 2


LINE = {"image": f"train2014/{NAMES[0]}", "sent": "lady ", "bbox": [1.5, 2, 11.5, 22.25], "height": 30, "width": 40}


def write_lines(folder: Path, name: str, *lines: Any) -> Path:
    write_images(folder / "train2014")
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines or (LINE,)]
    (folder / name).write_text("\n".join(texts) + "\n\n")
    return folder


def test_a_line_is_a_question(tmp_path: Path) -> None:
    (sample,) = read(write_lines(tmp_path, "refcoco_testA.jsonl"), "testA")
    assert (sample.image, sample.image_id) == (tmp_path / LINE["image"], NAMES[0].removesuffix(".jpg"))
    assert (sample.question, sample.subject, sample.target.task) == ("expression", "lady", "grounding")
    assert (sample.target.boxes.tolist(), sample.target.labels) == ([LINE["bbox"]], ("lady",))
    assert (sample.target.width, sample.target.height, sample.collection) == (40, 30, "")


@pytest.mark.parametrize("name", [f"data/coco/train2014/{NAMES[0]}", NAMES[0]])
def test_a_line_may_name_another_folder(tmp_path: Path, name: str) -> None:
    folder = write_lines(tmp_path, "refcoco_val.jsonl", LINE | {"image": name})
    assert read(folder, "val")[0].image == tmp_path / "train2014" / NAMES[0]


def test_file_names_have_the_split_and_the_collection(tmp_path: Path) -> None:
    for name in ("refcocog_test", "refcoco_val", "refcoco+_testB", "refcoco+_val", "expressions"):
        write_lines(tmp_path, f"{name}.jsonl", LINE | {"sent": name})
    assert list(find(str(tmp_path))) == ["val", "testB", "test"]
    samples = read(tmp_path, "val")
    assert {(sample.subject, sample.collection) for sample in samples} == {
        ("refcoco_val", "refcoco"),
        ("refcoco+_val", "refcoco+"),
    }


LINE_ERRORS: list[tuple[Any, str]] = [
    ("{", r"refcoco_val\.jsonl line 2: expected a JSON object, got b'{"),
    ("[1]", r"line 2: expected a JSON object, got b'\[1\]"),
    ("[" * 100_000, "line 2: expected a JSON object"),
    (LINE | {"sent": " "}, "line 2: expected 'sent' to be text, got ' '"),
    (LINE | {"sent": None}, "line 2: expected 'sent' to be text, got None"),
    (LINE | {"bbox": [1, 2, 3]}, r"line 2: expected a box \[x1, y1, x2, y2\] of four numbers, got \[1, 2, 3\]"),
    (LINE | {"bbox": [11, 2, 1, 3]}, "line 2: expected x1 < x2"),
    (LINE | {"width": 0}, r"line 2: expected width and height from 1 to 1000000, got \[0, 30\]"),
    (LINE | {"image": 3}, "line 2: expected 'image' to be text, got 3"),
    (LINE | {"image": ""}, "line 2: expected the image"),
    (LINE | {"image": "/etc/passwd"}, "line 2: expected the path of an image within the dataset's folder"),
]


@pytest.mark.parametrize(("line", "message"), LINE_ERRORS)
def test_a_bad_line_is_named_and_skipped(tmp_path: Path, line: Any, message: str) -> None:
    write_images(tmp_path / "other")
    folder = write_lines(tmp_path, "refcoco_val.jsonl", LINE, line, LINE)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(folder, "val")
    problems: list[Exception] = []
    assert len(read(folder, "val", problems.append)) == 2
    assert len(problems) == 1


def test_lines_of_another_kind_are_named(tmp_path: Path) -> None:
    folder = write_lines(tmp_path, "refcoco_val.jsonl", "<xml>")
    problems: list[Exception] = []
    with pytest.raises(ValueError, match=r"refcoco_val\.jsonl: expected a JSON object on each line"):
        read(folder, "val", problems.append)


def test_another_layout_is_named(tmp_path: Path) -> None:
    (tmp_path / "refs(unc).p").touch()
    with pytest.raises(ValueError, match=r"expected refs\(unc\)\.p, .* got a folder that contains refs\(unc\)\.p"):
        find(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="got no such folder"):
        find(str(tmp_path / "gone"))
