"""Crowds are counted, headings are no categories, ids and sizes are read as people write them, corners are noticed."""

from pathlib import Path
from typing import Any

import pytest
from small_sets import DOGS, all_of, box, coco_document, rows, taken, targets, write_coco, write_image


def crowds(*values: Any) -> list[dict[str, Any]]:
    return [box(index, 7, 1, 2, 10, 9 + index, iscrowd=value) for index, value in enumerate(values)]


def test_crowds_are_counted_by_category(tmp_path: Path) -> None:
    boxes = [*crowds(1, "1", True), *crowds(0, "0", False, None), box(0, 3, 1, 1, 5, 5, iscrowd=1)]
    account = all_of(write_coco(tmp_path / "coco", coco_document(boxes)), tmp_path / "out")
    assert account.annotations["crowd"] == 4
    assert account.notes == ("instances.json: 4 crowds left out: dog 3, cat 1",)


def test_another_value_of_iscrowd_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"annotation 11 of image 1: expected 'iscrowd' to be 0 or 1, got 'maybe'"):
        taken(write_coco(tmp_path / "coco", coco_document(crowds(0, "maybe"))), tmp_path / "out")


@pytest.mark.parametrize("options", [{}, {"keep_empty": True}, {"strict": False}])
def test_a_file_of_nothing_but_crowds_is_refused_unless_they_are_boxes(tmp_path: Path, options: Any) -> None:
    source = write_coco(tmp_path / "coco", coco_document(crowds(1, 1, "1")))
    message = r"instances\.json: .* got 3 annotations, all of them crowds .*: dog 3\. CVAT writes .* --crowd-as-box"
    with pytest.raises(ValueError, match=message):
        taken(source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    account = all_of(source, tmp_path / "out", crowd_as_box=True)
    assert (account.annotations, account.notes) == ({"used": 3}, ())
    assert {tuple(target["labels"]) for target in targets(tmp_path / "out").values()} == {("dog",)}


def named(*categories: tuple[Any, str, str]) -> list[dict[str, Any]]:
    return [{"id": key, "name": name, "supercategory": above} for key, name, above in categories]


@pytest.mark.parametrize(
    ("categories", "expected", "notes"),
    [
        # Roboflow: the project is category 0, the supercategory of all classes.
        (named((0, "pieces", "none"), (3, "cat", "pieces"), (7, "dog", "pieces")), ["cat", "dog"], 1),
        (named((0, "cat", "none"), (3, "cat", "cat"), (7, "dog", "cat")), ["cat", "dog"], 1),
        # A class of its own supercategory, as "person" of COCO, is no heading.
        (named((3, "cat", "cat"), (7, "dog", "animal")), ["cat", "dog"], 0),
        # A heading with annotations is a category.
        (named((3, "cat", "dog"), (7, "dog", "none")), ["cat", "dog"], 0),
        # A class without annotations that is no heading stays.
        (named((0, "horse", "none"), (3, "cat", "none"), (7, "dog", "none")), ["horse", "cat", "dog"], 0),
    ],
)
def test_a_heading_without_annotations_is_no_category(
    tmp_path: Path, categories: Any, expected: list[str], notes: int
) -> None:
    account = all_of(write_coco(tmp_path / "coco", coco_document(categories=categories)), tmp_path / "out")
    assert {tuple(target["categories"]) for target in targets(tmp_path / "out").values()} == {tuple(expected)}
    assert len(account.notes) == notes
    assert all("only the supercategory of others: not asked for" in note for note in account.notes)


def test_a_heading_and_a_class_of_one_name_are_one_category(tmp_path: Path) -> None:
    boxes = [box(0, 7, 1, 1, 9, 9), box(0, 8, 11, 11, 9, 9)]
    categories = named((3, "cat", "none"), (7, "dog", "none"), (8, "dog", "dog"))
    all_of(write_coco(tmp_path / "coco", coco_document(boxes, categories=categories)), tmp_path / "out")
    (target,) = targets(tmp_path / "out").values()
    assert (target["categories"], target["labels"]) == (["cat", "dog"], ["dog", "dog"])


def test_negatives_are_of_real_categories(tmp_path: Path) -> None:
    categories = named((0, "z", "none"), (3, "cat", "z"), (7, "dog", "z"))
    source = write_coco(tmp_path / "coco", coco_document(categories=categories))
    all_of(source, tmp_path / "out", ask="category", negatives=1)
    assert {row["extra_info"]["subject"] for row in rows(tmp_path / "out")} == {"cat", "dog"}


CORNERS = [(1, 2, 11, 12), (20, 5, 39, 29), (3, 3, 30, 9)]


def test_corners_in_place_of_sides_are_noticed_by_the_area(tmp_path: Path) -> None:
    boxes = [box(0, 7, *at, area=(at[2] - at[0]) * (at[3] - at[1])) for at in CORNERS]
    source = write_coco(tmp_path / "coco", coco_document(boxes))
    message = r"expected boxes \[x, y, width, height\], got 3 of 3 that fit only as \[x1, y1, x2, y2\], such as \[1\.0"
    with pytest.raises(ValueError, match=message) as found:
        taken(source, tmp_path / "out", strict=False)
    assert "by the former its area is 132, by the latter 100, and its 'area' is 100" in str(found.value)


def test_corners_in_place_of_sides_are_noticed_by_the_border(tmp_path: Path) -> None:
    boxes = [box(index, 7, 25, 15 + index, 38, 29) for index in range(5)]
    with pytest.raises(ValueError, match=r"got 5 of 5 that fit only as \[x1, y1, x2, y2\]"):
        taken(write_coco(tmp_path / "coco", coco_document(boxes)), tmp_path / "out")
    # Four boxes prove nothing: each may just be over the border.
    with pytest.raises(ValueError, match="expected a box inside 40x30 pixels"):
        taken(write_coco(tmp_path / "few", coco_document(boxes[:4])), tmp_path / "out")


def test_the_area_of_a_mask_contradicts_nothing(tmp_path: Path) -> None:
    boxes = [box(index, 7, 5, 5, 20 + index, 20, area=170.5) for index in range(5)]
    account = all_of(write_coco(tmp_path / "coco", coco_document(boxes)), tmp_path / "out")
    assert account.annotations == {"used": 5}


def test_ids_and_sizes_are_read_as_tools_write_them(tmp_path: Path) -> None:
    document = coco_document([box("0", 7.0, 1, 2, 10, 12), box(1.0, "7", 1, 2, 10, 12), box("x", 3, 1, 2, 10, 12)])
    document["images"][0].update(id="0", width=40.0, height="30")
    document["images"][1].update(width=None, height=None)
    document["images"][2].update(id="x")
    del document["images"][2]["width"], document["images"][2]["height"]
    all_of(write_coco(tmp_path / "coco", document), tmp_path / "out")
    found = targets(tmp_path / "out")
    assert [target["labels"] for _, target in sorted(found.items())] == [["dog"], ["dog"], ["cat"]]
    assert {(target["width"], target["height"]) for target in found.values()} == {(40, 30)}


def test_the_name_of_a_category_may_be_a_number(tmp_path: Path) -> None:
    document = coco_document(categories=[{"id": 3, "name": 3}, {"id": 7, "name": 7}])
    all_of(write_coco(tmp_path / "coco", document), tmp_path / "out")
    assert {tuple(target["labels"]) for target in targets(tmp_path / "out").values()} == {("7",)}


def test_corners_are_noticed_where_ids_are_text(tmp_path: Path) -> None:
    boxes = [box(str(index), "7", 20, 15, 39, 29) for index in range(5)]
    with pytest.raises(ValueError, match="got 5 of 5 that fit only as"):
        taken(write_coco(tmp_path / "coco", coco_document(boxes)), tmp_path / "out")


@pytest.mark.parametrize(
    ("key", "value"), [("id", [1]), ("id", 1.5), ("id", True), ("width", 40.5), ("width", "wide")]
)
def test_anything_else_is_named(tmp_path: Path, key: str, value: Any) -> None:
    document = coco_document()
    document["images"][1][key] = value
    with pytest.raises(ValueError, match=rf"instances\.json image .*expected '{key}' to be a whole number"):
        taken(write_coco(tmp_path / "coco", document), tmp_path / "out")


def test_an_id_as_number_and_as_text_is_one_id(tmp_path: Path) -> None:
    document = coco_document()
    document["images"][1]["id"] = "0"
    with pytest.raises(ValueError, match="image '0': expected a unique id and a unique file name"):
        taken(write_coco(tmp_path / "coco", document), tmp_path / "out")


def test_images_that_differ_in_their_extension_keep_their_names_apart(tmp_path: Path) -> None:
    document = coco_document(DOGS)
    document["images"][1]["file_name"] = "000.png"
    source = write_coco(tmp_path / "coco", document)
    write_image(source / "images" / "000.png")
    account = all_of(source, tmp_path / "out")
    assert sorted(targets(tmp_path / "out")) == ["000.jpg", "000.png", "002", "003", "004"]
    assert account.annotations == {"used": 5}
