"""Every annotation of a dataset is in exactly one line of its account: used, or left out and why."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from budget import budget
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from random_sets import CROWD, GOOD, NAMES, WRITERS, Object
from small_sets import (
    all_of,
    box,
    coco_document,
    rows,
    taken,
    targets,
    write_coco,
    write_image,
    write_json,
    write_lines,
    write_voc,
)
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.account import USED

LIMITED = "over max_images or hard_fraction"
KINDS = st.sampled_from([GOOD, GOOD, GOOD, *range(1, CROWD + 1)])
OBJECTS = st.lists(
    st.builds(Object, st.integers(0, 4), st.sampled_from(NAMES), KINDS, st.integers(0, 9)), max_size=12
).map(lambda found: [Object(0, "cat", place=20), *found])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "ask": st.sampled_from(["categories", "category", "count", "referring", "class"]),
        "clip": st.booleans(),
        "crowd_as_box": st.booleans(),
        "drop_duplicates": st.booleans(),
        "max_boxes": st.integers(1, 3),
        "max_images": st.integers(1, 3),
        "hard_fraction": st.just(0.0),
        "negatives": st.floats(0, 2),
        "keep_empty": st.booleans(),
        "seed": st.integers(0, 9),
    },
).map(lambda found: {**found, "negatives": 0.0} if found.get("keep_empty") else found)


@pytest.mark.parametrize("case", WRITERS)
@budget(40, suppress_health_check=[HealthCheck.too_slow])
@given(objects=OBJECTS, lost=st.booleans(), options=OPTIONS)
def test_each_annotation_is_counted_once(
    case: str, objects: list[Object], lost: bool, options: dict[str, Any]
) -> None:
    name, write = WRITERS[case]
    with tempfile.TemporaryDirectory() as folder:
        count = write(Path(folder, "set"), objects, lost)
        try:
            account = all_of(
                Path(folder, "set"), Path(folder, "out"), name, strict=False, image_check="header", **options
            )
        except ValueError as error:
            # The message of an account without samples has the same sum.
            assert "expected at least one sample for val.parquet, got none" in str(error)  # noqa: PT017
            return
        assert sum(account.annotations.values()) == count, account
        if options.get("ask", "categories") in ("categories", "category") and "jsonl" not in case:
            assert account.annotations.get(USED, 0) == account.boxes == _boxes(Path(folder, "out"))


def _boxes(out: Path) -> int:
    return sum(len(json.loads(row["reward_model"]["ground_truth"])["boxes"]) for row in rows(out))


@pytest.mark.parametrize(
    ("options", "annotations"),
    [
        ({}, {"used": 6}),
        ({"max_boxes": 2}, {"used": 3, "more than 2 boxes": 3}),
        ({"ask": "category"}, {"used": 6}),
        ({"ask": "category", "max_boxes_per_sample": 1}, {"used": 2, "more than 1 boxes in a sample": 4}),
        ({"ask": "class"}, {"used": 3, "no question about it": 3}),
        ({"ask": "referring"}, {"used": 4, "no question about it": 2}),
        ({"max_images": 1, "min_boxes": 2, "seed": 1}, {"used": 2, "fewer than 2 boxes": 1, LIMITED: 3}),
        ({"keep_empty": True}, {"used": 6}),
    ],
)
def test_what_is_left_out_has_a_reason(tmp_path: Path, options: dict[str, Any], annotations: Any) -> None:
    boxes = [
        *(box(0, 3, 1, 1, 5, 5), box(0, 3, 30, 15, 9, 9), box(0, 7, 1, 20, 5, 5)),
        *(box(1, 7, 1, 1, 5, 5), box(1, 7, 10, 1, 5, 5)),
        box(2, 3, 1, 1, 9, 9),
    ]
    account = all_of(write_coco(tmp_path / "coco", coco_document(boxes)), tmp_path / "out", **options)
    assert account.annotations == annotations


def test_an_image_without_boxes_is_counted_or_kept(tmp_path: Path) -> None:
    document = coco_document([box(0, 3, 1, 1, 5, 5)])
    source = write_coco(tmp_path / "coco", document)
    account = all_of(source, tmp_path / "out")
    assert (account.left_out, account.annotations) == ({"no boxes": 4}, {"used": 1})
    all_of(source, tmp_path / "out", keep_empty=True)
    assert sorted(map(len, (target["boxes"] for target in targets(tmp_path / "out").values()))) == [0, 0, 0, 0, 1]


def test_the_annotations_of_a_dataset_without_boxes_are_its_questions(tmp_path: Path) -> None:
    for index in range(3):
        write_image(tmp_path / "clevr" / "images" / "train" / f"{index}.png")
    question = {"question": "How many cubes are there?", "answer": "3"}
    questions = [{**question, "image_filename": f"{index}.png"} for index in range(4)]
    questions += [{"question": "Is it red?", "answer": "yes", "image_filename": "0.png"}]
    write_json(tmp_path / "clevr" / "questions" / "CLEVR_train_questions.json", {"questions": questions})
    assert all_of(tmp_path / "clevr", tmp_path / "out", "clevr", strict=False).annotations == {
        "used": 3,
        "question for something else than a number": 1,
        "question missing its image, or defective": 1,
    }
    for name in ("cat/0.jpg", "cat/1.jpg", "dog/0.jpg"):
        write_image(tmp_path / "classes" / name)
    (tmp_path / "classes" / "cat" / "1.jpg").write_bytes(b"no image")
    assert all_of(tmp_path / "classes", tmp_path / "out", "imagefolder", strict=False).annotations == {
        "used": 2,
        "image missing or defective": 1,
    }
    write_lines(tmp_path / "pixmo" / "train.jsonl", *({"image": "a.jpg", "label": "x", "count": n} for n in (1, "2")))
    write_image(tmp_path / "pixmo" / "a.jpg")
    assert all_of(tmp_path / "pixmo", tmp_path / "out", "pixmo_count", strict=False).annotations == {
        "used": 1,
        "row missing its image, or defective": 1,
    }


def test_the_command_ends_with_the_account(tmp_path: Path) -> None:
    boxes = [*(box(index, 7, 1, 2, 10, 12) for index in range(5)), box(0, 3, 1, 1, 9, 9, iscrowd=1)]
    source = write_coco(tmp_path / "coco", coco_document(boxes))
    arguments = ["prepare", "coco", "--source", str(source), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    place = lines.index(["annotations", "6"])
    assert lines[place + 1 : place + 3] == [["used", "5"], ["crowd", "1"]]
    assert "instances.json: 1 crowds left out: cat 1" in result.stdout


def test_images_in_train_and_in_val_are_named(tmp_path: Path) -> None:
    for stem in ("a", "b", "c"):
        write_voc(tmp_path / "voc" / "Annotations", tmp_path / "voc" / "JPEGImages", stem)
    lists = tmp_path / "voc" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("b\nc\n")
    (notes,) = (account.notes for account in taken(tmp_path / "voc", tmp_path / "out", "voc").accounts)
    assert [note.split(", such as")[0] for note in notes] == ["images in train and in val: 1"]
    (lists / "val.txt").write_text("c\n")
    assert taken(tmp_path / "voc", tmp_path / "out", "voc").accounts[0].notes == ()


def test_one_image_alone_is_explained(tmp_path: Path) -> None:
    document = coco_document([box(0, 3, 1, 1, 5, 5)])
    document["images"] = document["images"][:1]
    source = write_coco(tmp_path / "coco", document)
    with pytest.raises(
        ValueError, match=r"at least one sample for train\.parquet, got none\. coco .* has images: 1"
    ) as it:
        taken(source, tmp_path / "out")
    assert str(it.value).endswith("--val-fraction 1 puts it into val.parquet alone")
    assert taken(source, tmp_path / "out", val_fraction=1).samples == {"val": 1}


def test_everything_left_out_is_explained(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "coco", coco_document([box(0, 3, 1, 1, 0, 5), box(1, 3, 1, 1, 5, 5, iscrowd=1)]))
    with pytest.raises(
        ValueError, match=r"at least one sample for train\.parquet and val\.parquet, got none"
    ) as found:
        taken(source, tmp_path / "out", strict=False)
    message = str(found.value)
    assert "Account(" not in message
    assert "has images: 5, no boxes: 5, annotations: box without area: 1, annotations: crowd: 1" in message


def test_a_split_of_an_undivided_dataset_is_explained(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "coco", coco_document())
    with pytest.raises(
        ValueError, match="is not divided into splits, got 'val'; --val-fraction 1 puts all of it into"
    ):
        taken(source, tmp_path / "out", split="val")
