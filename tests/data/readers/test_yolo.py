"""YOLO lines become `xyxy`, the folders of `data.yaml` are found, and every error names the file and the line."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.data.readers.yolo_layouts import find

WIDTH, HEIGHT = 40, 30
BOX = "1 0.5 0.5 0.25 0.4\n"
CORNERS = [15, 9, 25, 21]


def write_images(folder: Path, count: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"{index:03d}.jpg")


def write(source: Path, labels: dict[str, str], images: Iterable[str] = ("train", "val"), **document: Any) -> Path:
    """Two images in each folder of `images/`, the given label files, and `data.yaml`."""
    for name in images:
        write_images(source / "images" / name, count=2)
    for name, text in labels.items():
        file = source / "labels" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    document = {"path": ".", "train": "images/train", "val": "images/val", "names": ["cat", "dog"]} | document
    (source / "data.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return source


def read(source: Path, split: str = "train", problems: list[Exception] | None = None) -> list[Sample]:
    def fail(problem: Exception) -> None:
        raise problem

    return list(find(str(source))[split](fail if problems is None else problems.append, source))


def one_line(source: Path, line: str) -> Sample:
    return read(write(source, {"train/000": line}))[0]


def test_lines_become_boxes_and_other_images_negative_samples(tmp_path: Path) -> None:
    source = write(tmp_path, {"train/000": BOX + "\n0 0.25 0.5 0.5 1.0\n", "val/000": BOX, "val/001": "\n"})
    assert set(find(str(source))) == {"train", "val"}
    first, negative = read(source)
    assert (first.image, first.image_id) == (tmp_path / "images/train/000.jpg", "images/train/000.jpg")
    assert first.target.boxes.tolist() == [CORNERS, [0, 0, 20, 30]]
    assert (first.target.labels, first.target.categories) == (("dog", "cat"), ("cat", "dog"))
    assert (first.target.width, first.target.height, first.question) == (WIDTH, HEIGHT, "categories")
    assert (len(negative.target.boxes), negative.target.categories, negative.uncertain) == (0, ("cat", "dog"), set())
    assert [len(sample.target.boxes) for sample in read(source, "val")] == [1, 0]


def test_a_polygon_becomes_its_bounding_box(tmp_path: Path) -> None:
    sample = one_line(tmp_path, BOX + "0 0.1 0.2 0.5 0.2 0.25 0.9\n")
    assert sample.target.boxes.ravel().tolist() == pytest.approx([*CORNERS, 4, 6, 20, 27])
    assert sample.target.labels == ("dog", "cat")


def test_a_box_is_clipped_at_the_border(tmp_path: Path) -> None:
    assert one_line(tmp_path, "0 0.5 0.5 1.01 1.01\n").target.boxes.tolist() == [[0, 0, 40, 30]]


def test_the_size_is_that_of_the_displayed_image(tmp_path: Path) -> None:
    source = write(tmp_path, {"train/000": BOX})
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(source / "images/train/000.jpg", exif=turned)
    target = read(source)[0].target
    assert (target.width, target.height) == (HEIGHT, WIDTH)
    assert target.boxes.tolist() == [[side * scale for side, scale in zip(CORNERS, (0.75, 4 / 3) * 2, strict=True)]]


LINES = [
    ("2 0.5 0.5 0.25 0.4", "expected the number of one of 2 classes, got '2'", ""),
    ("-1 0.5 0.5 0.25 0.4", "expected the number of one of 2 classes, got '-1'", ""),
    ("0.5 0.5 0.5 0.25 0.4", "expected the number of one of 2 classes, got '0.5'", ""),
    ("dog 0.5 0.5 0.25 0.4", "expected the number of one of 2 classes, got 'dog'", ""),
    ("1 0.5 0.5 0.25", "expected 4 numbers for a box or 6 or more .* got 3: '0.5 0.5 0.25'", "dog"),
    ("1 0.5 0.5 0.25 0.4 0.9", "expected 4 numbers for a box or 6 or more .* got 5", "dog"),
    ("1 0.1 0.1 0.5 0.1 0.5 0.5 0.1", "expected 4 numbers for a box or 6 or more .* got 7", "dog"),
    ("1 0.5 0.5 0.25 wide", "expected 4 numbers for a box .* got 4: '0.5 0.5 0.25 wide'", "dog"),
    ("1 nan 0.1 0.5 0.1 0.5 0.5", "expected 4 numbers for a box or 6", "dog"),
    ("1 0.5 0.5 inf 0.4", "expected 4 numbers for a box or 6", "dog"),
    ("1 0.5 0.5 0 0.4", "expected x1 < x2 and y1 < y2", "dog"),
    ("1 0.5 0.5 -0.25 0.4", "expected x1 < x2 and y1 < y2", "dog"),
    ("1 20 15 10 12", "expected a box inside 40x30 pixels", "dog"),
]


@pytest.mark.parametrize(("line", "message", "uncertain"), LINES)
def test_a_bad_line_is_named_and_skipped(tmp_path: Path, line: str, message: str, uncertain: str) -> None:
    source = write(tmp_path, {"train/000": BOX + line + "\n", "train/001": BOX})
    with pytest.raises(ValueError, match=rf"labels/train/000\.txt line 2: {message}"):
        read(source)
    problems: list[Exception] = []
    first, second = read(source, problems=problems)
    assert (len(problems), first.target.boxes.tolist(), first.uncertain) == (1, [CORNERS], {uncertain})
    assert (second.target.boxes.tolist(), second.uncertain) == ([CORNERS], set())


def test_a_bad_file_is_named_and_its_image_skipped(tmp_path: Path) -> None:
    source = write(tmp_path, {"train/000": BOX})
    (source / "images/train/001.jpg").write_bytes(b"no image")
    (source / "images/train/002.png").write_bytes(b"")
    (source / "labels/train/000.txt").write_bytes(b"\xff\xfe")
    problems: list[Exception] = []
    assert read(source, problems=problems) == []
    for problem, message in zip(
        problems, ("000.txt: expected a text file", "001.jpg: expected", "002.png: e"), strict=True
    ):
        assert message in str(problem)


def test_names_by_number_may_have_gaps(tmp_path: Path) -> None:
    source = write(tmp_path, {"train/000": "7.0 0.5 0.5 0.25 0.4"}, names={7: "dog", 2: 3})
    target = read(source)[0].target
    assert (target.labels, target.categories) == (("dog",), ("3", "dog"))


@pytest.mark.parametrize("path", [None, "../datasets/coco8", "inner", "/content/elsewhere"])
def test_folders_are_found_from_path_or_from_the_file(tmp_path: Path, path: str | None) -> None:
    source = write(tmp_path / "set", {"train/000": BOX}, path=path)
    if path == "inner":
        (source / "inner").mkdir()
        (source / "images").rename(source / "inner" / "images")
        (source / "labels").rename(source / "inner" / "labels")
    sample, _ = read(source)
    assert sample.image.is_relative_to(source / (path if path == "inner" else "images"))
    assert sample.target.boxes.tolist() == [CORNERS]


def test_a_roboflow_export(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write_images(tmp_path / "set" / split / "images", count=1)
        (tmp_path / "set" / split / "labels").mkdir()
        (tmp_path / "set" / split / "labels" / "000.txt").write_text(BOX)
    # Another dataset next to it must not be mistaken for this one.
    write_images(tmp_path / "train" / "images", count=5)
    document = {"train": "../train/images", "val": "../valid/images", "test": "../test/images", "nc": 2}
    (tmp_path / "set" / "data.yaml").write_text(yaml.safe_dump(document | {"names": ["cat", "dog"]}))
    assert set(find(str(tmp_path / "set"))) == {"train", "val"}
    for split, folder in (("train", "train"), ("val", "valid")):
        (sample,) = read(tmp_path / "set", split)
        assert (sample.image_id, sample.target.boxes.tolist()) == (f"{folder}/images/000.jpg", [CORNERS])


def test_a_split_of_several_folders_and_subfolders(tmp_path: Path) -> None:
    places = ["images/a", "images/b", "images/a"]
    source = write(tmp_path, {"a/x/000": BOX, "b/001": BOX}, ["a/x", "b", "val"], train=places)
    (source / "images/a/._000.jpg").write_bytes(b"left by another system")
    write_images(source / "images/a/.trash")
    assert [(sample.image_id, len(sample.target.boxes)) for sample in read(source)] == [
        ("images/a/x/000.jpg", 1),
        ("images/a/x/001.jpg", 0),
        ("images/b/000.jpg", 0),
        ("images/b/001.jpg", 1),
    ]


def test_a_list_of_images(tmp_path: Path) -> None:
    source = write(tmp_path, {"train/000": BOX}, train="train.txt")
    whole = source / "images/train/001.jpg"
    (source / "train.txt").write_text(f"./images/train/000.jpg\n\n{whole}\nimages/train/gone.jpg\n../out.jpg\n")
    problems: list[Exception] = []
    samples = read(source, problems=problems)
    assert [(sample.image_id, len(sample.target.boxes)) for sample in samples] == [
        ("images/train/000.jpg", 1),
        ("images/train/001.jpg", 0),
    ]
    missing, outside = map(str, problems)
    assert "train.txt line 4: expected the image images/train/gone.jpg" in missing
    assert "train.txt line 5: expected the path of an image within the dataset's folder, got '../out.jpg'" in outside


@pytest.mark.parametrize(("place", "line"), [("lists", "images/train/000.jpg"), ("images", "./train/000.jpg")])
def test_a_list_is_relative_to_its_own_folder_or_to_the_source(tmp_path: Path, place: str, line: str) -> None:
    source = write(tmp_path, {"train/000": BOX}, train=f"{place}/some.txt")
    (source / place).mkdir(exist_ok=True)
    (source / place / "some.txt").write_text(line)
    assert read(source)[0].target.boxes.tolist() == [CORNERS]


def test_only_the_last_images_becomes_labels(tmp_path: Path) -> None:
    write_images(tmp_path / "images" / "a" / "images" / "b")
    (tmp_path / "images" / "a" / "labels" / "b").mkdir(parents=True)
    (tmp_path / "images" / "a" / "labels" / "b" / "000.txt").write_text(BOX)
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    assert read(tmp_path)[0].target.boxes.tolist() == [CORNERS]


def test_label_files_may_be_next_to_the_images(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", count=1)
    (tmp_path / "photos" / "000.txt").write_text(BOX)
    (tmp_path / "data.yaml").write_text("train: photos\nnames: [cat, dog]\n")
    assert read(tmp_path)[0].target.boxes.tolist() == [CORNERS]


def test_train_and_val_with_the_same_images_are_all(tmp_path: Path) -> None:
    source = write(tmp_path, {"train/000": BOX}, val="images/train", test=None)
    assert set(find(str(source))) == {"all"}
    assert len(read(source, "all")) == 2


@pytest.mark.parametrize("place", [".", "labels"])
def test_classes_without_a_configuration(tmp_path: Path, place: str) -> None:
    source = write(tmp_path, {"000": BOX}, [""])
    (source / "data.yaml").unlink()
    (source / place / "classes.txt").write_text("cat\ndog\n\n")
    samples = read(source, "all")
    assert [sample.target.labels for sample in samples] == [("dog",), ()]


def test_classes_may_be_numbered_in_quotes(tmp_path: Path) -> None:
    source = write(tmp_path, {"train/000": BOX}, names={"0": "cat", "1": 7})
    assert read(source)[0].target.labels == ("7",)


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"names": None}, "expected 'names' to be a list of classes, or names by number, got None"),
    ({"names": []}, "expected 'names' to be a list of classes"),
    ({"names": "cat"}, "expected 'names' to be a list of classes, or names by number, got 'cat'"),
    ({"names": ["cat", False]}, "expected a whole number and a class name, got 1: False"),
    ({"names": ["cat", " "]}, "expected a whole number and a class name, got 1: ' '"),
    ({"names": {"a": "cat"}}, "expected a whole number and a class name, got 'a': 'cat'"),
    ({"names": ["cat", ["dog"]]}, "expected a whole number and a class name"),
    ({"names": ["cat", "cat"]}, r"expected unique numbers and class names, got \{0: 'cat', 1: 'cat'\}"),
    ({"names": {0: "cat", "0": "dog"}}, "expected unique numbers and class names"),
    ({"names": {-1: "cat"}}, "expected a whole number and a class name, got -1: 'cat'"),
    (
        {"train": None, "val": None},
        r"expected images of 'train', 'val' or 'test', got none \(the keys are \['path', 'train'",
    ),
    ({"train": 3}, "expected 'path' and 'train' to be folders, got '.' and 3"),
    ({"path": ["a"]}, r"expected 'path' and 'train' to be folders, got \['a'\]"),
    ({"train": "images/gone"}, "expected 'train' to be in .*, got 'images/gone': no such folder or list"),
    ({"train": ["images/train", "gone.txt"]}, "expected 'train' to be in .*: no such folder or list"),
    ({"val": "../outside"}, r"expected folders within .*set, got '\.\./outside', which is .*outside"),
    ({"path": "..", "val": "outside"}, r"expected folders within .*set, got 'outside'"),
    ({"kpt_shape": [17, 3]}, r"expected boxes or polygons, got keypoints \(kpt_shape \[17, 3\]\)"),
]


@pytest.mark.parametrize(("document", "message"), ERRORS)
def test_a_wrong_configuration_is_named(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    write_images(tmp_path / "outside")
    source = write(tmp_path / "set", {"train/000": BOX}, **document)
    with pytest.raises(ValueError, match=r"data\.yaml: ") as caught:
        find(str(source))
    assert caught.match(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"a: [", "expected YAML, got"), (b"- a", "expected a YAML mapping"), (b"\xff", "expected YAML in UTF-8")],
)
def test_another_file_is_named(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "data.yaml").write_bytes(text)
    with pytest.raises(ValueError, match=rf"data\.yaml: {message}"):
        find(str(tmp_path))


def test_another_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the folder of a dataset"):
        find(str(tmp_path / "gone"))
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match=r"expected YOLO files \(data\.yaml, .* contains images/"):
        find(str(tmp_path))


def test_no_images_or_no_labels_at_all_is_an_error_of_the_whole_dataset(tmp_path: Path) -> None:
    source = write(tmp_path, {"val/000": BOX})
    with pytest.raises(
        ValueError, match=r"expected label files such as .*labels/train/000\.txt, got none for 2 image"
    ):
        read(source, problems=[])
    for image in (source / "images/train").iterdir():
        image.unlink()
    with pytest.raises(ValueError, match=r"images/train: expected images \(.*\), got none"):
        read(source, problems=[])


def test_the_whole_folder_as_a_split(tmp_path: Path) -> None:
    source = write(tmp_path, {"train/000": BOX}, train=".", val=None)
    write_images(source / ".cache")
    assert [sample.image_id for sample in read(source)] == [
        "images/train/000.jpg",
        "images/train/001.jpg",
        "images/val/000.jpg",
        "images/val/001.jpg",
    ]
