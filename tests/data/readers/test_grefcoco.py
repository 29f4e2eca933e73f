"""Every sentence of gRefCOCO is a question about no box, one box or several."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.prepare import prepare
from verl_vision_r1.data.readers.grefcoco import find
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Sample

NAMES = ("COCO_train2014_000000000007.jpg", "COCO_train2014_000000000008.jpg")
Change = Callable[[Any, Any], Any]


def reference(number: int, image: int, split: str, targets: Any, *sentences: str) -> dict[str, Any]:
    """A reference in the published form."""
    none = targets == [-1]
    return {
        "ref_id": number,
        "image_id": image,
        "split": split,
        "file_name": f"COCO_train2014_{image:012d}.jpg",
        "ann_id": targets,
        "category_id": [-1] if none else [1] * len(targets) if isinstance(targets, list) else 1,
        "no_target": none,
        "sent_ids": list(range(len(sentences))),
        "sentences": [
            {"sent_id": index, "sent": sent, "tokens": sent.split(), "raw": sent.upper()}
            for index, sent in enumerate(sentences)
        ],
    }


def write(folder: Path, change: Change = lambda references, instances: None, pickled: bool = False) -> Path:
    """A folder in the published form."""
    (folder / "train2014").mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        Image.new("RGB", (40, 30)).save(folder / "train2014" / name)
    references = [
        reference(0, 7, "train", [100, 101], "the two ladies", "both"),
        reference(1, 7, "train", [-1], " a dog on the bench "),
        reference(2, 8, "train", 102, "left dog"),
        reference(3, 8, "testA", [102], "dog"),
        reference(4, 8, "testA", [-1], "cat"),
    ]
    images = [{"id": 7 + index, "file_name": name, "width": 40, "height": 30} for index, name in enumerate(NAMES)]
    annotations = [
        {"id": 100 + index, "image_id": image, "category_id": 1, "bbox": [1.5 + index, 2, 10, 20.25]}
        for index, image in enumerate((7, 7, 8))
    ]
    instances = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    change(references, instances)
    if pickled:
        (folder / "grefs(unc).p").write_bytes(pickle.dumps(references, protocol=0))
    else:
        (folder / "grefs(unc).json").write_text(json.dumps(references))
    (folder / "instances.json").write_text(json.dumps(instances))
    return folder


def read(folder: Path, split: str = "train", on_problem: OnProblem = fail) -> list[Sample]:
    return list(find(str(folder))[split](on_problem, folder))


def test_the_file_name_of_a_reference_is_not_that_of_its_image(tmp_path: Path) -> None:
    """RefCOCO's references, which gRefCOCO includes, name a crop; the published converter drops its number."""

    def rename(references: Any, instances: Any) -> None:
        for entry in references:
            entry["file_name"] = entry["file_name"].replace(".jpg", "_16.jpg")

    assert [sample.image.name for sample in read(write(tmp_path, rename))] == [NAMES[0]] * 3 + [NAMES[1]]


@pytest.mark.parametrize("pickled", [False, True])
def test_a_sentence_has_no_box_one_or_several(tmp_path: Path, pickled: bool) -> None:
    samples = read(write(tmp_path, pickled=pickled))
    assert [sample.subject for sample in samples] == ["the two ladies", "both", "a dog on the bench", "left dog"]
    assert [sample.target.boxes.tolist() for sample in samples] == [
        [[1.5, 2, 11.5, 22.25], [2.5, 2, 12.5, 22.25]],
        [[1.5, 2, 11.5, 22.25], [2.5, 2, 12.5, 22.25]],
        [],
        [[3.5, 2, 13.5, 22.25]],
    ]
    first, _, negative, _ = samples
    assert (first.question, first.target.task, first.target.labels) == (
        "expression",
        "grounding",
        (first.subject,) * 2,
    )
    assert (negative.question, negative.target.is_negative, negative.image_id) == (
        "expression",
        True,
        "COCO_train2014_000000000007",
    )
    assert negative.image == tmp_path / "train2014" / NAMES[0]


def test_the_splits_are_those_of_the_references(tmp_path: Path) -> None:
    assert list(find(str(write(tmp_path)))) == ["train", "testA"]
    assert [sample.subject for sample in read(tmp_path, "testA")] == ["dog", "cat"]


def test_a_file_without_the_flag_is_read_by_its_ids(tmp_path: Path) -> None:
    samples = read(write(tmp_path, lambda references, _: [reference.pop("no_target") for reference in references]))
    assert [len(sample.target.boxes) for sample in samples] == [2, 2, 0, 1]


def test_the_account_counts_negative_samples(tmp_path: Path) -> None:
    folder = write(tmp_path / "grefcoco")
    prepared = prepare([Source("grefcoco", str(folder), split="train")], tmp_path / "out", Writing())
    account = prepared.accounts[0]
    assert (account.samples, account.negatives, account.annotations) == ({"train": 4}, 1, {"used": 4})


def test_an_attribute_of_the_only_object_is_changed(tmp_path: Path) -> None:
    def change(references: Any, instances: Any) -> None:
        references[2]["sentences"][0]["sent"] = "left man"

    folder = write(tmp_path / "grefcoco", change)
    source = Source("grefcoco", str(folder), split="train", negatives=1, hard_negatives="attributes")
    account = prepare([source], tmp_path / "out", Writing()).accounts[0]
    rows = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    assert "the right man" in {row["extra_info"]["subject"] for row in rows}
    assert (account.negatives, account.hard_negatives) == (2, 1)


@pytest.mark.parametrize(
    ("change", "message", "left"),
    [
        (
            lambda references, _: references[1].update(no_target=False),
            r"entry 1: expected 'ann_id' to be \[-1\] if",
            3,
        ),
        (lambda references, _: references[0].update(no_target=True), r"entry 0: expected 'ann_id' to be \[-1\] if", 2),
        (lambda references, _: references[0].update(ann_id=[]), r"entry 0: .* got \[\] and False", 2),
        (
            lambda references, _: references[0].update(ann_id=[100, -1]),
            "entry 0: expected 'ann_id' to be one of the 3",
            2,
        ),
        (lambda references, _: references[0].update(ann_id=[100, 102]), "expected an annotation of its image 7", 2),
        (lambda references, _: references[0].update(ann_id=None), "expected 'ann_id' to be a whole number or text", 2),
        (lambda references, _: references[1].update(image_id=9), "entry 1: expected 'image_id' to be one of the 2", 3),
        (lambda references, _: references[1].update(sentences=[]), "entry 1: expected at least one sentence", 3),
        (lambda references, _: references[1]["sentences"][0].update(sent=" "), "expected 'sent' to be text", 3),
        (lambda _, instances: instances["annotations"][1].update(bbox=[1, 2, 3]), "expected a box", 2),
    ],
)
def test_a_bad_reference_is_named_and_skipped(tmp_path: Path, change: Change, message: str, left: int) -> None:
    folder = write(tmp_path, change)
    with pytest.raises(ValueError, match=message):
        read(folder)
    problems: list[Exception] = []
    assert len(read(folder, on_problem=problems.append)) == left
    assert problems


def test_another_layout_is_named(tmp_path: Path) -> None:
    (tmp_path / "grefs(unc).json").write_text("[]")
    with pytest.raises(ValueError, match=r"expected grefs\(unc\)\.json with instances\.json, got a folder"):
        find(str(tmp_path))
    (tmp_path / "instances.json").write_text("{}")
    with pytest.raises(ValueError, match="expected references with a 'split', got none"):
        find(str(tmp_path))
    (tmp_path / "grefs(unc).json").write_text("{}")
    with pytest.raises(ValueError, match="expected a list of references"):
        find(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="got no such folder"):
        find(str(tmp_path / "gone"))
