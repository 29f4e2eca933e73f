"""Class folders and the published lists label every image; every error names the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from verl_vision_r1.data.readers.classification import find
from verl_vision_r1.data.readers.classification_sets import find_aircraft, find_cars, find_flowers, find_pets
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import fail
from verl_vision_r1.data.readers.samples import Sample, Splits


def images(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(path)
    return folder


def read(splits: Splits, split: str) -> list[Sample]:
    return list(splits[split](fail, Path("unused")))


def labels(splits: Splits) -> dict[str, dict[str, str]]:
    return {split: {sample.image_id: sample.target.labels[0] for sample in read(splits, split)} for split in splits}


def test_a_folder_is_a_class(tmp_path: Path) -> None:
    images(tmp_path, "wire_fox/b.jpg", "wire_fox/a.PNG", "cat/deep/1.2.jpeg")
    (tmp_path / "cat" / "notes.txt").touch()
    images(tmp_path, ".trash/c.jpg", "cat/.hidden.jpg")
    (tmp_path / "empty").mkdir()
    samples = read(find(str(tmp_path)), "all")
    assert [sample.image_id for sample in samples] == ["cat/deep/1.2", "wire_fox/a", "wire_fox/b"]
    assert [sample.target.labels for sample in samples] == [("cat",), ("wire_fox",), ("wire_fox",)]
    assert {(sample.question, sample.subject, sample.target.task) for sample in samples} == {
        ("class", "object", "classification")
    }
    assert {sample.target.categories for sample in samples} == {("cat", "wire_fox")}
    target = samples[1].target
    assert (samples[1].image, target.width, target.height) == (tmp_path / "wire_fox" / "a.PNG", 40, 30)
    assert target.boxes.shape == (0, 4)


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_splits_are_folders_of_classes(tmp_path: Path, val: str) -> None:
    images(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", f"{val}/owl/1.jpg", "test/unlabelled.jpg")
    splits = find(str(tmp_path), "pet")
    assert labels(splits) == {"train": {"train/cat/1": "cat", "train/dog/1": "dog"}, "val": {f"{val}/owl/1": "owl"}}
    sample = read(splits, "val")[0]
    assert (sample.subject, sample.target.categories) == ("pet", ("cat", "dog", "owl"))


@pytest.mark.parametrize("file", ["labels.json", "cat_to_name.json"])
def test_a_file_gives_names(tmp_path: Path, file: str) -> None:
    images(tmp_path, "train/21/1.jpg", "train/3/1.jpg")
    names = {"21": "fire lily", "3": "canterbury bells", "4": "sweet pea"}
    (tmp_path / file).write_text(json.dumps(names))
    assert labels(find_flowers(str(tmp_path))) == {
        "train": {"train/21/1": "fire lily", "train/3/1": "canterbury bells"}
    }


NAMES = [
    ("{", r"labels\.json: expected JSON, got a file that is not"),
    ('["a", "b"]', r"labels\.json: expected .*, got \['a', 'b'\]"),
    ('{"cat": 0, "dog": 1}', r"labels\.json: expected .*, got {'cat': 0"),
    ('{"cat": " ", "dog": "b"}', r"labels\.json: expected .*, got {'cat': ' '"),
    ('{"cat": "Felis"}', r"expected a name for the folder 'dog', got only \['cat'\]"),
]


@pytest.mark.parametrize(("text", "message"), NAMES)
def test_wrong_names_are_named(tmp_path: Path, text: str, message: str) -> None:
    images(tmp_path, "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        find(str(tmp_path))


def test_numbers_are_names_of_objects_only(tmp_path: Path) -> None:
    images(tmp_path, "0/1.jpg", "1/1.jpg")
    assert labels(find(str(tmp_path)))["all"] == {"0/1": "0", "1/1": "1"}
    with pytest.raises(ValueError, match=r"expected the class names in labels\.json or .*, got only numbers: 0"):
        find_flowers(str(tmp_path))


def test_bad_images_are_named_and_can_be_skipped(tmp_path: Path) -> None:
    images(tmp_path, "cat/a.jpg", "cat/a.png", "dog/1.jpg", "dog/2.jpg")
    (tmp_path / "dog" / "1.jpg").write_text("no image")
    splits = find(str(tmp_path))
    with pytest.raises(ValueError, match=r"dog/1\.jpg: expected an image, got a file that does not decode"):
        read(splits, "all")
    problems: list[Exception] = []
    samples = list(splits["all"](problems.append, tmp_path))
    # Two images that differ in their extension only keep different names.
    assert [sample.image.name for sample in samples] == ["a.jpg", "a.png", "2.jpg"]
    assert [sample.image_id for sample in samples] == ["cat/a", "cat/a.png", "dog/2"]
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("finder", "also"),
    [
        (find, "expected one folder"),
        (find_pets, r"expected annotations/trainval\.txt and images/, or one folder"),
        (find_aircraft, r"expected images_variant_train\.txt and images/, or one folder"),
        (find_cars, r"expected devkit/cars_train_annos\.mat and cars_train/, or one folder"),
        (find_flowers, r"expected imagelabels\.mat, setid\.mat and jpg/, or one folder"),
    ],
)
def test_another_folder_is_named(tmp_path: Path, finder: Callable[[str], Splits], also: str) -> None:
    images(tmp_path, "images/1.jpg")
    with pytest.raises(
        ValueError, match=rf"{also} of images per class, at least two .*, got a folder that contains images/"
    ):
        finder(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="gone: expected the folder of a dataset"):
        finder(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("finder", "subject"),
    [(find_pets, "pet"), (find_aircraft, "aircraft"), (find_cars, "car"), (find_flowers, "plant")],
)
def test_each_dataset_may_be_class_folders(tmp_path: Path, finder: Callable[[str], Splits], subject: str) -> None:
    images(tmp_path, "a/1.jpg", "b/1.jpg")
    sample = read(finder(str(tmp_path)), "all")[0]
    assert (sample.subject, sample.target.labels) == (subject, ("a",))


@pytest.mark.parametrize(("orientation", "size"), [(1, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))])
def test_the_size_is_that_of_the_displayed_image(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    assert shown_size(tmp_path / "a.jpg") == size


def pets(folder: Path, *lines: str) -> Path:
    images(folder, "images/Abyssinian_100.jpg", "images/wheaten_terrier_7.jpg", "images/american_bulldog_2.jpg")
    (folder / "annotations").mkdir()
    (folder / "annotations" / "trainval.txt").write_text(
        "\n".join(("#Image CLASS-ID SPECIES BREED ID", *lines)) + "\n"
    )
    (folder / "annotations" / "test.txt").write_text("american_bulldog_2 2 2 1\n")
    return folder


def test_pets_have_two_lists(tmp_path: Path) -> None:
    splits = find_pets(str(pets(tmp_path, "Abyssinian_100 1 1 1", "wheaten_terrier_7 36 2 24")))
    assert labels(splits) == {
        "train": {"images/Abyssinian_100": "Abyssinian", "images/wheaten_terrier_7": "wheaten_terrier"},
        "test": {"images/american_bulldog_2": "american_bulldog"},
    }
    sample = read(splits, "test")[0]
    assert (sample.question, sample.subject, sample.target.task) == ("class", "pet", "classification")
    assert sample.target.categories == ("Abyssinian", "american_bulldog", "wheaten_terrier")


def test_bad_lines_are_named_and_can_be_skipped(tmp_path: Path) -> None:
    lines = (
        "Abyssinian 1 1 1",
        "Abyssinian_9 1 1 1",
        "../Abyssinian_100 1 1 1",
        "Abyssinian_cat 1 1 1",
        "Abyssinian_100 1 1 1",
    )
    splits = find_pets(str(pets(tmp_path, *lines)))
    with pytest.raises(
        ValueError, match=r"trainval\.txt line 2: expected a line such as 'Abyssinian_100 1 1 1', got 'Abyss"
    ):
        read(splits, "train")
    problems: list[Exception] = []
    samples = list(splits["train"](problems.append, tmp_path))
    assert [sample.target.labels for sample in samples] == [("Abyssinian",)]
    assert len(problems) == 4
    with pytest.raises(FileNotFoundError, match=r"trainval\.txt line 3: expected the image images/Abyssinian_9\.jpg"):
        raise problems[1]
    with pytest.raises(ValueError, match=r"trainval\.txt line 4: expected the path of an image within"):
        raise problems[2]
    with pytest.raises(ValueError, match=r"trainval\.txt line 5: expected a line such as .*, got 'Abyssinian_cat 1"):
        raise problems[3]
    # The defects of one split are not reported again for another.
    assert len(read(splits, "test")) == 1
    (tmp_path / "annotations" / "test.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"test\.txt: expected a text file in UTF-8, got other bytes: invalid start"):
        read(splits, "test")


@pytest.mark.parametrize("base", [".", "data"])
def test_aircraft_have_three_lists(tmp_path: Path, base: str) -> None:
    images(tmp_path / base, "images/0034309.jpg", "images/1025794.jpg", "images/0000003.jpg")
    lists = {"train": "0034309 Boeing 737-700\n", "val": "1025794 F/A-18\n", "test": "0000003 A320\n"}
    for split, text in lists.items():
        (tmp_path / base / f"images_variant_{split}.txt").write_text(text)
    splits = find_aircraft(str(tmp_path))
    assert labels(splits) == {
        "train": {"images/0034309": "Boeing 737-700"},
        "val": {"images/1025794": "F/A-18"},
        "test": {"images/0000003": "A320"},
    }
    sample = read(splits, "train")[0]
    assert (sample.subject, sample.target.categories) == ("aircraft", ("A320", "Boeing 737-700", "F/A-18"))
    (tmp_path / base / "images_variant_val.txt").write_text("1025794\n")
    with pytest.raises(ValueError, match=r"images_variant_val\.txt line 1: expected a line such as .*, got '1025794'"):
        read(splits, "val")


def cars(path: Path, *entries: tuple[Any, str]) -> None:
    kinds = [("bbox_x1", object), ("class", object), ("fname", object)]
    savemat(path, {"annotations": np.array([(39, *entry) for entry in entries], dtype=kinds)})


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    images(tmp_path, "cars_train/00001.jpg", "cars_train/00002.jpg", "cars_test/00001.jpg")
    folder = tmp_path / "devkit"
    folder.mkdir()
    names = np.array(["AM General Hummer SUV 2000", "Ram C/V Cargo Van 2012"], dtype=object)
    savemat(folder / "cars_meta.mat", {"class_names": names})
    cars(folder / "cars_train_annos.mat", (2, "00001.jpg"), (1, "00002.jpg"))
    return folder


def test_cars_are_matlab_structures(devkit: Path) -> None:
    hummer, van = "AM General Hummer SUV 2000", "Ram C/V Cargo Van 2012"
    train = {"cars_train/00001": van, "cars_train/00002": hummer}
    assert labels(find_cars(str(devkit.parent))) == {"train": train}
    for place in (devkit, devkit.parent):
        cars(place / "cars_test_annos_withlabels.mat", (1, "00001.jpg"))
        splits = find_cars(str(devkit.parent))
        assert labels(splits) == {"train": train, "test": {"cars_test/00001": hummer}}
        (place / "cars_test_annos_withlabels.mat").unlink()
    sample = read(find_cars(str(devkit.parent)), "train")[0]
    assert (sample.subject, sample.target.categories) == ("car", (hummer, van))


CARS = [
    ((3, "00001.jpg"), "1 to 2, got {.*'class': 3"),
    ((0, "1.jpg"), "got"),
    (("1", "1.jpg"), "got"),
    ((1, 5), "got"),
]


@pytest.mark.parametrize(("entry", "message"), CARS)
def test_a_bad_car_is_named_and_can_be_skipped(devkit: Path, entry: tuple[Any, Any], message: str) -> None:
    cars(devkit / "cars_train_annos.mat", entry, (1, "00002.jpg"))
    problems: list[Exception] = []
    samples = find_cars(str(devkit.parent))["train"](problems.append, devkit)
    assert [sample.image_id for sample in samples] == ["cars_train/00002"]
    with pytest.raises(ValueError, match=rf"cars_train_annos\.mat entry 1: expected 'fname' and 'class' .*{message}"):
        raise problems[0]


def test_another_matlab_file_is_named(devkit: Path) -> None:
    savemat(devkit / "cars_meta.mat", {"names": [1, 2]})
    with pytest.raises(ValueError, match=r"cars_meta\.mat: expected the variable 'class_names', got \['names'\]"):
        read(find_cars(str(devkit.parent)), "train")
    (devkit / "cars_meta.mat").write_text("no such file" * 20)
    with pytest.raises(ValueError, match=r"cars_meta\.mat: expected a MATLAB file, got one that cannot be read"):
        read(find_cars(str(devkit.parent)), "train")


def flowers(folder: Path, train: list[float]) -> Path:
    images(folder, *(f"jpg/image_{number:05d}.jpg" for number in (1, 2, 3)))
    savemat(folder / "imagelabels.mat", {"labels": np.array([[77, 3, 5]], dtype=np.uint8)})
    savemat(folder / "setid.mat", {"trnid": np.array([train]), "valid": [[3]], "tstid": [[2]]})
    (folder / "cat_to_name.json").write_text(json.dumps({"77": "passion flower", "3": "canterbury bells"}))
    return folder


def test_flowers_are_matlab_numbers(tmp_path: Path) -> None:
    splits = find_flowers(str(flowers(tmp_path, [1, 2])))
    assert list(splits) == ["train", "val", "test"]
    first, second = read(splits, "train")
    assert (first.image_id, first.target.labels, first.subject) == ("jpg/image_00001", ("passion flower",), "plant")
    assert (second.target.labels, second.target.categories) == (
        ("canterbury bells",),
        ("canterbury bells", "passion flower"),
    )
    assert [sample.image_id for sample in read(splits, "test")] == ["jpg/image_00002"]
    with pytest.raises(ValueError, match=r"setid\.mat valid entry 1: expected a class with a name, .*, got 5"):
        read(splits, "val")


@pytest.mark.parametrize(("number", "message"), [(4, "got 4"), (0, "got 0"), (1.5, "got 1.5")])
def test_a_bad_flower_is_named(tmp_path: Path, number: float, message: str) -> None:
    splits = find_flowers(str(flowers(tmp_path, [number])))
    match = rf"setid\.mat trnid entry 1: expected the number of an image from 1 to 3, {message}"
    with pytest.raises(ValueError, match=match):
        read(splits, "train")


def test_flowers_need_names(tmp_path: Path) -> None:
    (flowers(tmp_path, [1]) / "cat_to_name.json").unlink()
    with pytest.raises(ValueError, match=r"expected the class names in .*cat_to_name\.json, got only numbers: those"):
        find_flowers(str(tmp_path))
