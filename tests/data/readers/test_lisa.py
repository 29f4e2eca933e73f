"""Every target polygon of ReasonSeg becomes a box of each instruction; every error names the file and the shape."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from verl_vision_r1.data.readers.lisa import find, read_lisa
from verl_vision_r1.data.readers.problems import fail
from verl_vision_r1.data.readers.samples import Sample

TRIANGLE = [[5, 20], [15.5, 4], [25, 10]]


def shape(label: str = "target", points: Any = TRIANGLE, **more: Any) -> dict[str, Any]:
    return {"label": label, "labels": [label], "shape_type": "polygon", "points": points, **more}


def write(folder: Path, *shapes: Any, name: str = "tent_1.o", **changes: Any) -> Path:
    """A dataset with one image of 40x30 pixels."""
    split = folder / "train"
    split.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(split / f"{name}.jpg")
    entry = {"text": ["what keeps the tent in place"], "is_sentence": False, "shapes": list(shapes), **changes}
    (split / f"{name}.json").write_text(json.dumps(entry))
    return folder


def read(source: Path, **options: Any) -> list[Sample]:
    return list(read_lisa(source / "train", **options))


def test_every_target_is_a_box_of_every_text(tmp_path: Path) -> None:
    texts = ["what keeps the tent in place", "Where would you tie the rope?"]
    source = write(tmp_path, shape(), shape("flag", []), shape(points=[[-0.5, 0], [9, 0], [9, 30.75]]), text=texts)
    samples = read(source)
    assert [sample.subject for sample in samples] == texts
    for sample in samples:
        assert sample.target.boxes.tolist() == [[5, 4, 25, 20], [0, 0, 9, 30]]
        assert sample.target.labels == (sample.subject, sample.subject)
        assert (sample.question, sample.target.task, sample.target.categories) == ("expression", "grounding", ())
        assert (sample.target.width, sample.target.height, sample.uncertain) == (40, 30, frozenset())
        assert (sample.image, sample.image_id) == (source / "train" / "tent_1.o.jpg", "tent_1.o")


def test_an_ignored_shape_is_no_box_and_makes_the_sample_uncertain(tmp_path: Path) -> None:
    sample = read(write(tmp_path, shape("ignore"), shape("Target", [[1, 2], [3, 2], [3, 9]])))[0]
    assert (sample.target.boxes.tolist(), sample.uncertain) == ([[1, 2, 3, 9]], {""})


def test_an_image_without_target_is_a_negative_sample(tmp_path: Path) -> None:
    sample = read(write(tmp_path, shape("flag")))[0]
    assert (len(sample.target.boxes), sample.target.labels, sample.uncertain) == (0, (), frozenset())
    assert (sample.target.task, sample.subject) == ("grounding", "what keeps the tent in place")


def test_the_size_is_that_of_the_displayed_image(tmp_path: Path) -> None:
    source = write(tmp_path, shape(points=[[1, 1], [29, 1], [29, 39]]))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(source / "train" / "tent_1.o.jpg", exif=exif)
    target = read(source)[0].target
    assert (target.width, target.height, target.boxes.tolist()) == (30, 40, [[1, 1, 29, 39]])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_both_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    source = write(tmp_path, shape())
    path = source / "train" / "tent_1.o.json"
    path.write_text(json.dumps({"text": ["the café’s sign"], "shapes": []}, ensure_ascii=False), encoding=encoding)
    assert [sample.subject for sample in read(source)] == ["the café’s sign"]


def test_splits_are_the_folders_with_json(tmp_path: Path) -> None:
    write(tmp_path, shape())
    for name in ("val", "explanatory", "test"):
        (tmp_path / name).mkdir()
    (tmp_path / "val" / "._1.json").touch()
    (tmp_path / "explanatory" / "train.json").touch()
    splits = find(str(tmp_path))
    assert list(splits) == ["train"]
    assert [sample.image_id for sample in splits["train"](fail, tmp_path)] == ["tent_1.o"]
    (tmp_path / "train" / "tent_1.o.json").unlink()
    with pytest.raises(
        ValueError, match=r"expected ReasonSeg .*, got a folder that contains explanatory/, test/, train/, v"
    ):
        find(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="gone: expected the folder of a dataset"):
        find(str(tmp_path / "gone"))


SHAPES = [
    ("target", "shape 0: expected the label target, ignore or flag, got 'target'"),
    (shape("targets"), "shape 0: expected the label target, ignore or flag, got {'label': 'targets'"),
    (shape(points=None), "shape 0: expected a polygon with 'points', got {"),
    (shape(points=[]), "shape 0: expected a polygon with 'points', got {"),
    (shape(shape_type="circle"), "shape 0: expected a polygon with 'points', got .*circle"),
    (shape(points=[[1, 2], [3]]), r"shape 0: expected points \[x, y\] in pixels, got \[\[1, 2\], \[3\]\]"),
    (shape(points=[[1, 2], ["3", 4]]), r"shape 0: expected points \[x, y\] in pixels, got"),
    (shape(points=[[1, 2], [float("nan"), 4]]), r"shape 0: expected points \[x, y\] in pixels, got"),
    (shape(points=[[1, 2], [10**400, 4]]), "shape 0: expected a box inside 40x30 pixels"),
    (shape(points=[[1, 2], [42, 4]]), r"shape 0: expected a box inside 40x30 pixels, got \[1, 2, 42, 4\]"),
    (shape(points=[[1, 2], [1, 9]]), "shape 0: expected x1 < x2 and y1 < y2"),
]


@pytest.mark.parametrize(("bad", "message"), SHAPES)
def test_a_bad_shape_is_named_and_can_be_skipped(tmp_path: Path, bad: Any, message: str) -> None:
    source = write(tmp_path, bad, shape())
    write(tmp_path, bad, shape("flag"), name="without_another_target")
    with pytest.raises(ValueError, match=rf"tent_1\.o\.json {message}"):
        read(source)
    problems: list[Exception] = []
    samples = read(source, on_problem=problems.append)
    # An image that lost its only target is not one without a target.
    assert [sample.image_id for sample in samples] == ["tent_1.o"]
    assert (samples[0].target.boxes.tolist(), samples[0].uncertain) == ([[5, 4, 25, 20]], {""})
    assert len(problems) == 2


def test_a_bad_text_is_named_and_can_be_skipped(tmp_path: Path) -> None:
    source = write(tmp_path, shape(), text=["the tent", " ", 5])
    problems: list[Exception] = []
    assert [sample.subject for sample in read(source, on_problem=problems.append)] == ["the tent"]
    assert [str(problem).partition(".json ")[2] for problem in problems] == [
        "text 1: expected an instruction, got ' '",
        "text 2: expected an instruction, got 5",
    ]


def test_a_bad_image_is_named_and_can_be_skipped(tmp_path: Path) -> None:
    source = write(tmp_path, shape())
    write(tmp_path, shape(), name="gone")
    write(tmp_path, shape(), name="broken")
    (source / "train" / "gone.jpg").unlink()
    (source / "train" / "broken.jpg").write_text("no image")
    problems: list[Exception] = []
    assert [sample.image_id for sample in read(source, on_problem=problems.append)] == ["tent_1.o"]
    with pytest.raises(ValueError, match=r"broken\.jpg: expected an image, got a file that does not decode"):
        raise problems[0]
    with pytest.raises(FileNotFoundError, match=r"gone\.json: expected the image gone\.jpg in .*train, got no such"):
        raise problems[1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "expected JSON, got a file that is not"),
        (b"\x81", "expected JSON, got a file that is not"),
        (b"[]", r"expected an object with the lists 'text' and 'shapes', got \[\]"),
        (b'{"text": "the tent", "shapes": []}', "expected an object with the lists 'text' and 'shapes', got"),
        (b'{"text": []}', "expected an object with the lists 'text' and 'shapes', got"),
    ],
)
def test_another_file_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    source = write(tmp_path, shape())
    (source / "train" / "tent_1.o.json").write_bytes(data)
    with pytest.raises(ValueError, match=rf"tent_1\.o\.json: {message}"):
        read(source, on_problem=lambda problem: None)
