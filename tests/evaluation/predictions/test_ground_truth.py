"""Ground truth from COCO files and from samples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.evaluation.predictions.arrays import Looked
from verl_vision_r1.evaluation.predictions.ground_truth import (
    ground_truth_of_samples,
    part_of,
    read_coco_ground_truth,
    with_files,
)


def coco(tmp_path: Path, **changes: Any) -> Path:
    document = {
        "images": [
            {"id": 9, "file_name": "b/two.jpg", "width": 100, "height": 80},
            {"id": 3, "file_name": "one.jpg", "width": 100, "height": 80},
        ],
        "categories": [{"id": 7, "name": "dog"}, {"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 1, "bbox": [10, 20, 30, 40], "area": 700.5, "iscrowd": 0},
            {"id": 2, "image_id": 3, "category_id": 7, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({**document, **changes}))
    return path


def test_images_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    truth = read_coco_ground_truth(coco(tmp_path))
    assert (truth.images, truth.categories) == (("one", "b/two"), ("dog", "cat"))
    assert (truth.image.tolist(), truth.category.tolist()) == ([1, 0], [1, 0])
    assert truth.boxes.tolist() == [[10, 20, 40, 60], [0, 0, 5, 5]]
    assert (truth.areas.tolist(), truth.crowd.tolist()) == ([700.5, 25], [False, True])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"image_id": 4}, "annotation 5: expected image_id among the 2 ids of the file, got 4"),
        ({"category_id": 4}, "annotation 5: expected category_id among the 2 ids of the file, got 4"),
        ({"bbox": [1, 2, 3]}, "annotation 5: expected"),
        ({"area": "large"}, "annotation 5: expected 'area' to be a number of at least 0, got 'large'"),
        ({"area": float("nan")}, "annotation 5: expected 'area'"),
        ({"area": 10**400}, "annotation 5: expected 'area'"),
        ({"iscrowd": "2"}, "annotation 5: expected 'iscrowd' to be 0 or 1, got '2'"),
        ({"bbox": [5, 5, -2, 3]}, "annotation 5: expected .* with sides of at least 0"),
    ],
)
def test_an_invalid_entry_is_refused(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    valid = {"id": 5, "image_id": 3, "category_id": 7, "bbox": [0, 0, 5, 5]}
    with pytest.raises(ValueError, match=message):
        read_coco_ground_truth(coco(tmp_path, annotations=[{**valid, **entry}]))


def test_a_category_that_only_heads_others_is_none(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
        {"id": 7, "name": "dog", "supercategory": "pets"},
    ]
    truth = read_coco_ground_truth(coco(tmp_path, categories=categories))
    assert truth.categories == ("cat", "dog")
    assert truth.category.tolist() == [0, 1]


def test_a_heading_and_a_class_of_one_name_are_one_category(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "dog", "supercategory": "none"}, {"id": 7, "name": "dog", "supercategory": "dog"}]
    truth = read_coco_ground_truth(coco(tmp_path, categories=categories))
    assert (truth.categories, truth.category.tolist()) == (("dog",), [0, 0])


def test_images_have_the_names_that_prepare_gives_them(tmp_path: Path) -> None:
    images = [
        {"id": "9", "file_name": "1.jpg", "width": "100", "height": 80.0},
        {"id": 3.0, "file_name": "1.png"},
        {"id": 4, "file_name": "two.png", "width": 100, "height": 80},
    ]
    truth = read_coco_ground_truth(coco(tmp_path, images=images))
    assert truth.images == ("1.png", "two", "1.jpg")
    assert truth.sizes == (None, (100, 80), (100, 80))
    assert part_of(truth, ["1.png"]).sizes == (None,)


def test_categories_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "cat"}, {"id": 7, "name": "Cat"}]
    with pytest.raises(ValueError, match=r"expected categories that differ in more than case.* got 'cat' and 'Cat'"):
        read_coco_ground_truth(coco(tmp_path, categories=categories))


def test_corners_are_refused_as_boxes(tmp_path: Path) -> None:
    boxes = [[60 + index, 50, 90, 70] for index in range(6)]
    entries = [{"id": i, "image_id": "3", "category_id": "7", "bbox": box} for i, box in enumerate(boxes)]
    with pytest.raises(ValueError, match=r"got 6 of 6 that fit only as \[x1, y1, x2, y2\]"):
        read_coco_ground_truth(coco(tmp_path, annotations=entries))


def target(labels: list[str], categories: list[str], start: float = 0) -> Target:
    boxes = [[start + 10 * index, 0, start + 10 * index + 5, 5] for index in range(len(labels))]
    return Target(boxes, labels, width=200, height=50, categories=categories)


def test_questions_about_one_category_are_merged_by_image() -> None:
    samples = [
        ("b", "category", target(["cat", "cat"], ["cat"]), "b.jpg"),
        ("a", "category", target([], ["dog"]), "a.jpg"),
        ("b", "category", target(["dog"], ["dog"], 50), "b.jpg"),
        ("b", "category", target(["dog"], ["dog"], 50), "b.jpg"),
    ]
    truth = ground_truth_of_samples(samples)
    assert (truth.images, truth.files, truth.categories) == (("a", "b"), ("a.jpg", "b.jpg"), ("dog", "cat"))
    assert truth.image.tolist() == [1, 1, 1]
    assert [truth.categories[index] for index in truth.category] == ["cat", "cat", "dog"]
    assert truth.areas.tolist() == [25, 25, 25]


def test_a_question_about_all_categories_replaces_the_others() -> None:
    both = target(["cat", "dog"], ["cat", "dog", "emu"])
    truth = ground_truth_of_samples([("a", "category", target(["cat"], ["cat"]), ""), ("a", "categories", both, "")])
    assert (len(truth.boxes), truth.categories) == (2, ("cat", "dog", "emu"))


def test_a_subset_of_the_images(tmp_path: Path) -> None:
    truth = with_files(read_coco_ground_truth(coco(tmp_path)), {"b/two": "/x/two.jpg"})
    part = part_of(truth, {"b/two"})
    assert (part.images, part.files, part.image.tolist()) == (("b/two",), ("/x/two.jpg",), [0])
    assert part.boxes.tolist() == [[10, 20, 40, 60]]
    assert part_of(truth, truth.images).images == truth.images
    assert not len(part_of(truth, ()).boxes)
    assert np.array_equal(part.areas, [700.5])


def lvis(tmp_path: Path, frequencies: tuple[str | None, ...] = ("c", "r"), **image: Any) -> Path:
    lists = {"neg_category_ids": [7], "not_exhaustive_category_ids": [1]}
    return coco(
        tmp_path,
        images=[
            {"id": 9, "coco_url": "http://x/val2017/two.jpg", "width": 100, "height": 80, **lists, **image},
            {
                "id": 3,
                "coco_url": "http://x/train2017/one.jpg",
                "width": 100,
                "height": 80,
                **{key: [] for key in lists},
            },
        ],
        categories=[
            {"id": number, "name": name} | ({"frequency": letter} if letter else {})
            for (number, name), letter in zip([(7, "dog"), (1, "cat")], frequencies, strict=True)
        ],
    )


def test_an_lvis_file_has_frequencies_and_lists(tmp_path: Path) -> None:
    truth = read_coco_ground_truth(lvis(tmp_path))
    assert (truth.images, truth.frequencies) == (("one", "two"), ("c", "r"))
    assert truth.looked == Looked(absent=((), (0,)), incomplete=((), (1,)))
    assert part_of(truth, ["two"]).looked == Looked(absent=((0,),), incomplete=((1,),))
    plain = read_coco_ground_truth(coco(tmp_path))
    assert (plain.frequencies, plain.looked) == ((), None)
    assert part_of(plain, ["one"]).looked is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequencies": ("c", None)}, "category 'cat': expected 'frequency' to be one of r, c and f, .* got None"),
        ({"frequencies": ("c", "rare")}, "category 'cat': expected 'frequency' .* got 'rare'"),
        ({"neg_category_ids": [7, 8]}, "image 9: expected the ids of categories in 'neg_category_ids', got 8"),
        ({"not_exhaustive_category_ids": [[]]}, "image 9: expected the ids .* in 'not_exhaustive_category_ids', got"),
        ({"not_exhaustive_category_ids": None}, "image 9: expected 'not_exhaustive_category_ids' to be a list"),
    ],
)
def test_an_invalid_lvis_file_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_coco_ground_truth(lvis(tmp_path, **change))
