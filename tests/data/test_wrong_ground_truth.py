"""The ground truth is right: no test split in training, no prompt about skipped boxes, units and repeats noticed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_sets import DOGS, all_of, box, coco_document, rows, taken, targets, write_coco, write_lines, write_voc

from verl_vision_r1.data.readers.samples import Splits
from verl_vision_r1.data.readers.voc import find as find_voc


def parts(**lists: str) -> Callable[[Path], Path]:
    def write(source: Path) -> Path:
        for stem in "abcd":
            write_voc(source / "Annotations", source / "JPEGImages", stem)
        (source / "ImageSets" / "Main").mkdir(parents=True)
        for name, stems in lists.items():
            (source / "ImageSets" / "Main" / f"{name}.txt").write_text("\n".join(stems) + "\n")
        return source

    return write


def used(out: Path) -> dict[str, str]:
    found = {
        path.stem: {row["extra_info"]["image_id"] for row in rows(out, path.stem)} for path in out.glob("*.parquet")
    }
    return {name: "".join(sorted(images)) for name, images in found.items()}


def test_a_test_split_is_never_trained_on(tmp_path: Path) -> None:
    source = parts(trainval="ab", test="cd")(tmp_path / "voc")
    prepared = taken(source, tmp_path / "out", "voc", val_fraction=0.5)
    assert sorted("".join(used(tmp_path / "out").values())) == ["a", "b"]
    assert set(used(tmp_path / "out")) == {"train", "val"}
    assert prepared.accounts[0].notes == ("splits that are not read: test (--split reads one of them)",)
    taken(source, tmp_path / "test", "voc", split="test")
    assert used(tmp_path / "test") == {"test": "cd"}


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"train": "ab", "val": "c", "trainval": "abc", "test": "d"}, {"train": "ab", "val": "c"}),
        ({"trainval": "abc", "val": "c"}, {"train": "ab", "val": "c"}),
        ({"train": "ab", "test": "cd"}, {"train": "a", "val": "b"}),
    ],
)
def test_the_lists_are_the_splits(tmp_path: Path, lists: dict[str, str], expected: dict[str, str]) -> None:
    taken(parts(**lists)(tmp_path / "voc"), tmp_path / "out", "voc", val_fraction=0.5, seed=1)
    found = used(tmp_path / "out")
    assert found == expected or {name: len(images) for name, images in found.items()} == {"train": 1, "val": 1}
    assert not {"d"} & set("".join(found.values()))


@pytest.mark.parametrize("lists", [{"test": "ab"}, {"val": "ab"}, {"test": "a", "val": "b"}])
def test_a_dataset_without_a_split_to_train_on_is_refused(tmp_path: Path, lists: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"expected a split to train on \(train, trainval, all\), got only .*--split"):
        taken(parts(**lists)(tmp_path / "voc"), tmp_path / "out", "voc")
    assert not (tmp_path / "out").exists()


SKIPPED = [
    box(0, 3, 5, 5, 10, 10),
    box(0, 3, 30, 5, 30, 10),  # Over the border.
    box(1, 3, 5, 5, 10, 10),
    box(1, 7, 5, 5, 10, 10, iscrowd=1),
    box(2, 7, 5, 5, 10, 10),
    box(3, 9, 5, 5, 10, 10),  # Of no known category.
]


def test_no_prompt_asks_for_a_category_with_a_skipped_box_or_a_crowd(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "coco", coco_document(SKIPPED))
    account = all_of(source, tmp_path / "out", strict=False)
    found = targets(tmp_path / "out")
    # Image 0 has another cat, image 1 a crowd of dogs; of image 3 nothing is certain, and 4 has no box.
    assert {name: (target["categories"], target["labels"]) for name, target in found.items()} == {
        "001": (["cat"], ["cat"]),
        "002": (["cat", "dog"], ["dog"]),
    }
    assert account.left_out == {"no boxes": 2, "every category with a crowd or a skipped box": 1}
    assert account.annotations == {
        "used": 2,
        "box outside the image": 1,
        "category with a crowd or a skipped box": 1,
        "crowd": 1,
        "defective annotation": 1,
    }


@pytest.mark.parametrize("ask", ["category", "count", "referring", "class"])
def test_no_question_of_another_kind_asks_for_it_either(tmp_path: Path, ask: str) -> None:
    source = write_coco(tmp_path / "coco", coco_document([*SKIPPED, box(2, 7, 25, 5, 4, 4)]))
    all_of(source, tmp_path / "out", strict=False, ask=ask, negatives=10)
    asked = {(row["extra_info"]["image_id"], row["extra_info"]["subject"]) for row in rows(tmp_path / "out")}
    assert not {image for image, _ in asked} & {"003"}
    assert not asked & {("000", "cat"), ("001", "dog")}


FRACTIONS = [[0.1, 0.2, 0.4, 0.5], [0.0, 0.0, 1.0, 1.0]]


def jsonl_set(source: Path, *boxes: Any) -> Path:
    write_coco(source / "of", coco_document())
    lines = [{"image": f"{index:03d}.jpg", "boxes": [at], "labels": ["cat"]} for index, at in enumerate(boxes)]
    return write_lines(source / "of" / "images" / "a.jsonl", *lines).parent


@pytest.mark.parametrize("strict", [True, False])
def test_boxes_given_as_fractions_are_noticed(tmp_path: Path, strict: bool) -> None:
    with pytest.raises(
        ValueError, match=r"expected boxes in pixels, got 2 of 3 smaller than a pixel, such as"
    ) as found:
        taken(jsonl_set(tmp_path, *FRACTIONS, [1, 1, 9, 9]), tmp_path / "out", "jsonl", strict=strict)
    # Both readings of the first box, in an image of 40x30.
    assert "0.3x0.3 if these are pixels, 12x9 if they are fractions" in str(found.value)
    boxes = [box(index, 3, *at) for index, at in enumerate([[0.1, 0.2, 0.3, 0.3]] * 3)]
    with pytest.raises(ValueError, match="expected boxes in pixels, got 3 of 3 smaller than a pixel"):
        taken(write_coco(tmp_path / "coco", coco_document(boxes)), tmp_path / "out")


def test_a_few_tiny_boxes_are_accepted(tmp_path: Path) -> None:
    # A box of one pixel is none of these, wherever it is.
    source = jsonl_set(tmp_path, [5, 5, 6, 6], [0, 0, 1, 1.5], [9, 9, 20, 20])
    assert all_of(source, tmp_path / "out", "jsonl").annotations == {"used": 3}


@pytest.mark.parametrize(
    ("one", "other"), [("Cat", "cat"), ("traffic light", "Traffic_Light"), ("caf\u00e9", "cafe\u0301")]
)
def test_categories_that_no_reward_tells_apart_are_refused(tmp_path: Path, one: str, other: str) -> None:
    categories = [{"id": 3, "name": one}, {"id": 7, "name": other}]
    source = write_coco(tmp_path / "coco", coco_document(categories=categories))
    for strict in (True, False):
        with pytest.raises(ValueError, match="coco: expected categories that differ in more than case, blanks, '_'"):
            taken(source, tmp_path / "out", strict=strict)


def test_a_box_that_occurs_twice_is_a_defect_or_is_removed(tmp_path: Path) -> None:
    twice = [*DOGS, DOGS[0], box(1, 3, *DOGS[1]["bbox"])]
    source = write_coco(tmp_path / "coco", coco_document(twice))
    message = r"000\.jpg \('000'\): expected each box once, got \[1.5, 2.0, 11.5, 22.25\] of 'dog' again; --drop-dup"
    with pytest.raises(ValueError, match=message):
        taken(source, tmp_path / "out")
    for options, defects in (({"drop_duplicates": True}, 0), ({"strict": False}, 1)):
        prepared = taken(source, tmp_path / "out", val_fraction=1, **options)
        assert prepared.defects == defects
        # Another category may have the same box.
        assert prepared.accounts[0].annotations == {"used": 6, "duplicate box": 1}
        assert [len(target["labels"]) for _, target in sorted(targets(tmp_path / "out").items())] == [1, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("coco", lambda source: write_coco(source, coco_document([*DOGS, box(0, 3, 30, 20, 15, 18)]))),
        (
            "voc",
            lambda source: (
                write_voc(source / "annotations", source / "images", "a", ("cat", 31, 21, 45, 38)) or source
            ),
        ),
    ],
)
def test_boxes_over_the_border_are_clipped_on_request(
    tmp_path: Path, name: str, write: Callable[[Path], Path]
) -> None:
    source = write(tmp_path / "source")
    with pytest.raises(ValueError, match="expected a box inside 40x30 pixels"):
        taken(source, tmp_path / "out", name, val_fraction=1)
    account = all_of(source, tmp_path / "out", name, clip=True)
    assert (account.clipped, set(account.annotations)) == (1, {"used"})
    assert [30, 20, 40, 30] in [found for target in targets(tmp_path / "out").values() for found in target["boxes"]]


def test_a_box_outside_its_image_cannot_be_clipped(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "coco", coco_document([*DOGS, box(0, 3, 50, 40, 5, 5)]))
    with pytest.raises(ValueError, match="expected x1 < x2 and y1 < y2"):
        taken(source, tmp_path / "out", clip=True)
    assert all_of(source, tmp_path / "out", clip=True, strict=False).annotations == {"used": 5, "box without area": 1}


def test_voc_names_all_its_splits(tmp_path: Path) -> None:
    splits: Splits = find_voc(str(parts(trainval="ab", test="cd")(tmp_path / "voc")))
    assert set(splits) == {"trainval", "test"}
