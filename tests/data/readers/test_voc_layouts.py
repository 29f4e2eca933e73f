"""VOC lists are read as people write them, and XML files are found next to the images as well."""

from pathlib import Path

import pytest
from small_sets import all_of, rows, taken, write_image, write_voc

from verl_vision_r1.data.readers.voc import find


def voc_set(source: Path, train: str, *stems: str) -> Path:
    for stem in stems:
        write_voc(source / "Annotations", source / "JPEGImages", stem)
    lists = source / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text(train, encoding="utf-8")
    return source


def listed(source: Path, out: Path) -> list[str]:
    all_of(source, out, "voc")
    return sorted(row["extra_info"]["image_id"] for row in rows(out))


@pytest.mark.parametrize(
    ("line", "stem"),
    [
        ("IMG 01", "IMG 01"),
        ("IMG 1", "IMG 1"),
        ("a.jpg", "a"),
        ("a.xml", "a"),
        ("train/a", "a"),
        ("JPEGImages\\a.png", "a"),
        ("  a  ", "a"),
        ("a 1", "a"),
        ("a  -1", "a"),
        ("a.b", "a.b"),
        ("\ufeffa", "a"),
    ],
)
def test_a_line_is_a_name(tmp_path: Path, line: str, stem: str) -> None:
    source = voc_set(tmp_path / "voc", f"{line}\n\n", stem, "other")
    assert listed(source, tmp_path / "out") == [stem]


def test_a_listed_file_that_does_not_exist_is_a_defect(tmp_path: Path) -> None:
    source = voc_set(tmp_path / "voc", "a\ngone\nb 7\n", "a", "b")
    message = r"train\.txt line 2: expected the name of an annotation file, got 'gone'.*Defects: 2"
    with pytest.raises(ValueError, match=message):
        taken(source, tmp_path / "out", "voc")
    prepared = taken(source, tmp_path / "out", "voc", strict=False, val_fraction=1)
    assert (prepared.samples, prepared.defects) == ({"val": 1}, 2)


def test_files_of_no_list_are_named(tmp_path: Path) -> None:
    source = voc_set(tmp_path / "voc", "a\n", "a", "b", "c")
    (source / "ImageSets" / "Main" / "test.txt").write_text("c\n")
    account = all_of(source, tmp_path / "out", "voc")
    assert f"not read: b.xml (1 of {source / 'Annotations'})" in account.notes


def test_the_only_list_of_cvat_is_all(tmp_path: Path) -> None:
    source = voc_set(tmp_path / "voc", "", "a", "b")
    lists = source / "ImageSets" / "Main"
    (lists / "train.txt").rename(lists / "default.txt")
    (lists / "default.txt").write_text("b\n")
    assert set(find(str(source))) == {"all"}
    assert listed(source, tmp_path / "out") == ["b"]


def test_a_roboflow_export(tmp_path: Path) -> None:
    for part, stem, label in (("train", "a", "dog"), ("valid", "b", "cat"), ("test", "c", "fox")):
        write_voc(tmp_path / "set" / part, tmp_path / "set" / part, stem, (label, 2, 3, 12, 20))
    assert set(find(str(tmp_path / "set"))) == {"train", "val", "test"}
    assert taken(tmp_path / "set", tmp_path / "out", "voc").samples == {"train": 1, "val": 1}
    # The categories are those of all parts.
    (train,) = rows(tmp_path / "out", "train")
    assert '"categories": ["cat", "dog", "fox"]' in train["reward_model"]["ground_truth"]


def test_files_next_to_the_images(tmp_path: Path) -> None:
    write_voc(tmp_path / "set", tmp_path / "set", "a")
    assert set(find(str(tmp_path / "set"))) == {"all"}
    assert listed(tmp_path / "set", tmp_path / "out") == ["a"]


def test_a_folder_of_annotations_elsewhere(tmp_path: Path) -> None:
    write_voc(tmp_path / "xml", tmp_path / "photos", "a")
    account = all_of("", tmp_path / "out", "voc", annotations=tmp_path / "xml", images=tmp_path / "photos")
    assert account.annotations == {"used": 1}


def test_an_image_named_by_its_extension_alone_is_ambiguous(tmp_path: Path) -> None:
    write_voc(tmp_path / "set", tmp_path / "set", "a", image="gone.jpg")
    write_image(tmp_path / "set" / "a.png")
    with pytest.raises(ValueError, match=r"a\.xml: expected one image named like the file, got .*a\.jpg and .*a\.png"):
        taken(tmp_path / "set", tmp_path / "out", "voc", val_fraction=1)
    write_voc(tmp_path / "set", tmp_path / "set", "a", image="C:\\photos\\a.png")
    assert rows(_prepared(tmp_path))[0]["images"][0]["image"].endswith("a.png")


def _prepared(tmp_path: Path) -> Path:
    all_of(tmp_path / "set", tmp_path / "out", "voc")
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', r"a\.xml: expected VOC XML, got a file that is not"),
        ("<annotation><size><width>inf</width><height>30</height></size></annotation>", "expected <size> up to"),
        ("<annotation><size><width>1e400</width><height>30</height></size></annotation>", "expected <size> up to"),
        ("<annotation><size><width>nan</width><height>30</height></size></annotation>", "expected <size> up to"),
    ],
)
def test_a_strange_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    write_voc(tmp_path / "set", tmp_path / "set", "a")
    (tmp_path / "set" / "a.xml").write_text(text)
    with pytest.raises(ValueError, match=message):
        taken(tmp_path / "set", tmp_path / "out", "voc", val_fraction=1)
