"""YOLO files of Darknet, CVAT, Label Studio and Roboflow are found; a bomb of aliases is not expanded."""

import time
from pathlib import Path

import pytest
from small_sets import all_of, rows, taken, write_image

from verl_vision_r1.data.readers.yolo_layouts import find

BOX = "1 0.5 0.5 0.25 0.4\n"
OBJ_DATA = "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def cvat(source: Path, data: str, *splits: str) -> Path:
    write(source / "obj.data", data)
    write(source / "obj.names", "cat\ndog\n")
    for split in splits:
        image = write_image(source / f"obj_{split}_data" / f"{split}.jpg")
        write(image.with_suffix(".txt"), BOX)
        write(source / f"{split}.txt", f"data/obj_{split}_data/{split}.jpg\n")
    return source


def test_a_cvat_export(tmp_path: Path) -> None:
    source = cvat(tmp_path / "set", OBJ_DATA, "train", "valid")
    assert set(find(str(source))) == {"train", "val"}
    assert taken(source, tmp_path / "out", "yolo").samples == {"train": 1, "val": 1}
    (row,) = rows(tmp_path / "out")
    assert row["extra_info"]["image_id"] == "obj_valid_data/valid.jpg"
    assert '"labels": ["dog"]' in row["reward_model"]["ground_truth"]


def test_a_cvat_export_of_one_part(tmp_path: Path) -> None:
    source = cvat(tmp_path / "set", OBJ_DATA.replace("valid = data/valid.txt\n", ""), "train")
    assert all_of(source, tmp_path / "out", "yolo").annotations == {"used": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("classes = 2\nnames = obj.names\n", "expected lines such as 'train = data/train.txt'"),
        ("train = gone.txt\nnames = obj.names\n", r"obj\.data: expected the name of a file in .*set, got 'gone\.txt'"),
        ("train = ../../train.txt\nnames = /etc/passwd\n", "expected the name of a file in .*set, got '/etc/passwd'"),
    ],
)
def test_a_wrong_configuration_of_darknet_is_named(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find(str(cvat(tmp_path / "set", data, "train")))


def test_a_list_that_names_a_missing_image_counts_its_boxes(tmp_path: Path) -> None:
    source = cvat(tmp_path / "set", "train = train.txt\n", "train")
    write(source / "train.txt", "data/obj_train_data/train.jpg\ndata/obj_train_data/gone.jpg\n")
    write(source / "data" / "obj_train_data" / "gone.txt", BOX * 2)
    account = all_of(source, tmp_path / "out", "yolo", strict=False)
    assert account.annotations == {"used": 1, "image missing or defective": 2}


def test_a_label_studio_export(tmp_path: Path) -> None:
    source = tmp_path / "set"
    write_image(source / "images" / "1a2b-photo.jpg")
    write(source / "labels" / "1a2b-photo.txt", BOX)
    write(source / "classes.txt", "cat\ndog")
    write(source / "notes.json", '{"categories": []}')
    assert all_of(source, tmp_path / "out", "yolo").annotations == {"used": 1}


@pytest.mark.parametrize("place", ["coco8.yaml", "."])
def test_a_configuration_may_have_another_name(tmp_path: Path, place: str) -> None:
    source = tmp_path / "set"
    write_image(source / "images" / "a.jpg")
    write(source / "labels" / "a.txt", BOX)
    write(source / "coco8.yaml", "train: images\nnames: [cat, dog]\n")
    assert all_of(source / place, tmp_path / "out", "yolo").annotations == {"used": 1}


def test_a_repeated_line_is_a_defect_or_is_removed(tmp_path: Path) -> None:
    source = cvat(tmp_path / "set", "train = train.txt\n", "train")
    write(source / "obj_train_data" / "train.txt", BOX * 2)
    with pytest.raises(ValueError, match=r"train\.jpg .*expected each box once"):
        taken(source, tmp_path / "out", "yolo")
    account = all_of(source, tmp_path / "out", "yolo", drop_duplicates=True)
    assert account.annotations == {"used": 1, "duplicate box": 1}


def test_a_polygon_over_the_border_is_clipped_on_request(tmp_path: Path) -> None:
    source = cvat(tmp_path / "set", "train = train.txt\n", "train")
    write_image(source / "obj_train_data" / "train.jpg", (1000, 800))
    write(source / "obj_train_data" / "train.txt", "0 0.1 0.2 1.002 0.2 0.5 0.9\n")
    with pytest.raises(ValueError, match="expected a box inside 1000x800 pixels"):
        taken(source, tmp_path / "out", "yolo", val_fraction=1)
    assert all_of(source, tmp_path / "out", "yolo", clip=True).clipped == 1


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("text", [bomb(12) + "names: *a11\ntrain: *a11\n", "names: &a [*a]\n", "names: " + "[" * 5000])
def test_aliases_and_nesting_are_bounded(tmp_path: Path, text: str) -> None:
    write(tmp_path / "data.yaml", text)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"data\.yaml: expected YAML, got") as found:
        find(str(tmp_path))
    assert time.perf_counter() - start < 5
    assert len(str(found.value)) < 500


def test_a_value_in_a_message_is_cut_while_it_is_written(tmp_path: Path) -> None:
    write(tmp_path / "data.yaml", bomb(5) + "names: *a4\ntrain: images\n")
    with pytest.raises(ValueError, match="expected a whole number and a class name, got 0: ") as found:
        find(str(tmp_path))
    assert len(str(found.value)) < 500
