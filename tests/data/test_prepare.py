"""A folder becomes two files of rows, the same for the same seed, and nothing where anything is wrong."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data import images
from verl_vision_r1.data.prepare import Prepared, prepare
from verl_vision_r1.data.rows import check_rows
from verl_vision_r1.data.samples import Sample
from verl_vision_r1.targets import Target

SETS = Path(__file__).parents[3] / "shared" / "data"


def rows(out: Path, split: str = "train") -> list[dict[str, Any]]:
    return pq.read_table(out / f"{split}.parquet").to_pylist()


def test_a_coco_folder_becomes_rows(coco: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    assert prepare(coco(), out) == Prepared(train=4, val=1, boxes=5, without_boxes=0, over_max_boxes=0, skipped=0)
    assert check_rows(out / "train.parquet") == 4
    assert sorted(path.name for path in out.iterdir()) == ["train.parquet", "val.parquet"]
    first = rows(out)[0]
    assert first["data_source"] == "coco/detection"
    assert first["prompt"][0]["content"] == (
        "<image>Locate every item from the category list in the image and output the coordinates in JSON format."
        " The category set includes cat, dog."
    )
    assert [row["extra_info"]["index"] for row in rows(out)] == [0, 1, 2, 3]
    assert rows(out, "val")[0]["extra_info"]["split"] == "val"
    assert len({row["extra_info"]["image_id"] for row in rows(out) + rows(out, "val")}) == 5


def test_a_voc_folder_becomes_rows(voc: Callable[..., Path], tmp_path: Path) -> None:
    prepared = prepare(voc(), tmp_path / "out", name="pets", validation_share=0.4, max_pixels=10_000)
    assert (prepared.train, prepared.val) == (3, 2)
    assert rows(tmp_path / "out")[0]["data_source"] == "pets/detection"
    assert rows(tmp_path / "out")[0]["images"][0]["max_pixels"] == 10_000


@pytest.mark.parametrize("folder", ["images/{}2017", "{}2017"])
def test_two_annotation_files_are_the_two_parts(coco: Callable[..., Path], tmp_path: Path, folder: str) -> None:
    coco(name="instances_train2017.json")
    coco(name="captions_train2017.json")
    source = coco(lambda document: document["annotations"].pop(), name="instances_val2017.json")
    for part in ("train", "val"):
        shutil.copytree(source / "images", tmp_path / "moved" / folder.format(part))
    shutil.rmtree(source / "images")
    shutil.copytree(tmp_path / "moved", source, dirs_exist_ok=True)
    prepared = prepare(source, tmp_path / "out", limit=3)
    assert (prepared.train, prepared.val, prepared.without_boxes) == (3, 3, 1)
    assert folder.format("val") in rows(tmp_path / "out", "val")[0]["images"][0]["image"]


def test_the_seed_decides_every_byte(coco: Callable[..., Path], tmp_path: Path) -> None:
    coco_folder = coco()
    for out, seed in (("a", 0), ("c", 3)):
        prepare(coco_folder, tmp_path / out, seed=seed)
    # The order of the annotation file decides nothing.
    prepare(coco(lambda document: document["images"].reverse()), tmp_path / "b", seed=0)
    for split in ("train", "val"):
        first, again, other = [(tmp_path / out / f"{split}.parquet").read_bytes() for out in ("a", "b", "c")]
        assert first == again
        assert first != other


def negatives(document: Any) -> None:
    """The first image has only a crowd, the second nothing, the third two boxes."""
    document["annotations"][0]["iscrowd"] = 1
    document["annotations"][1]["image_id"] = 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Prepared(train=2, val=1, boxes=4, without_boxes=2, over_max_boxes=0, skipped=0)),
        ({"keep_negatives": True}, Prepared(3, 1, boxes=4, without_boxes=1, over_max_boxes=0, skipped=0)),
        ({"max_boxes": 1}, Prepared(1, 1, boxes=2, without_boxes=2, over_max_boxes=1, skipped=0)),
        ({"limit": 2, "max_boxes": 1}, Prepared(1, 1, boxes=2, without_boxes=2, over_max_boxes=1, skipped=0)),
    ],
)
def test_images_are_chosen(
    coco: Callable[..., Path], tmp_path: Path, options: dict[str, Any], expected: Prepared
) -> None:
    assert prepare(coco(negatives), tmp_path / "out", **options) == expected


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def rotate(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 40)).save(path, exif=exif)


IMAGE_FAULTS = [
    (damage, r"003\.jpg: expected an image, got a file that does not decode: .*[Tt]runcated"),
    (lambda path: path.write_text("no image"), r"003\.jpg: expected an image, got a file that does not decode"),
    (rotate, r"003\.jpg: expected 40x30 pixels as annotated, got 30x40 \(EXIF orientation 6; the usual cause"),
    (Path.unlink, r"image 3: expected the image 003\.jpg"),
]


@pytest.mark.parametrize(("fault", "message"), IMAGE_FAULTS)
def test_a_wrong_image_stops_everything_or_is_left_out(
    coco: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: Callable[[Path], None],
    message: str,
) -> None:
    source, out = coco(), tmp_path / "out"
    fault(source / "images" / "003.jpg")
    with pytest.raises((ValueError, FileNotFoundError), match=message + r".*\(on_bad=skip leaves such items out\)"):
        prepare(source, out)
    assert not out.exists()
    assert prepare(source, out, on_bad="skip") == Prepared(3, 1, 4, without_boxes=0, over_max_boxes=0, skipped=1)
    assert capsys.readouterr().err.count("left out: ") == 1


def test_the_first_wrong_image_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    sample, begun = Sample(Path("0.jpg"), "0", Target(as_boxes([]), (), 40, 30)), []

    def find(sample: Sample) -> ValueError:
        begun.append(sample)
        time.sleep(0.01)
        return ValueError("wrong")

    monkeypatch.setattr(images, "find_problem", find)
    with pytest.raises(ValueError, match="wrong"):
        images.check_images([sample] * 500)
    assert len(begun) < 100


def test_an_image_may_be_too_narrow(coco: Callable[..., Path], tmp_path: Path) -> None:
    source = coco(lambda document: document["images"][3].update(width=40_000))
    Image.new("RGB", (40_000, 30)).save(source / "images" / "003.jpg")
    with pytest.raises(ValueError, match=r"003\.jpg: expected sides of at most 200:1, got 40000x30"):
        prepare(source, tmp_path / "out")


def test_bad_boxes_are_printed_once_and_not_without_end(
    coco: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"id": 99, "image_id": 0, "category_id": 7, "bbox": [5, 5, 0, 0]}
    source = coco(lambda document: document["annotations"].extend([bad] * 30))
    assert prepare(source, tmp_path / "out", on_bad="skip").skipped == 30
    assert capsys.readouterr().err.count("left out: ") == 21


def test_a_failed_run_leaves_the_old_files(coco: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(coco(), out)
    old = (out / "train.parquet").read_bytes()
    source = coco(lambda document: document["categories"][0].update(name="<image>"))
    with pytest.raises(ValueError, match=r"\.jpg: prompt: expected 1 <image>, got 2"):
        prepare(source, out)
    assert sorted(path.name for path in out.iterdir()) == ["train.parquet", "val.parquet"]
    assert (out / "train.parquet").read_bytes() == old


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_share": 1.0}, "validation_share: expected a number between 0 and 1, got 1.0"),
        ({"limit": 0}, "limit: expected a number above 0, got 0"),
        ({"max_boxes": -1}, "max_boxes: expected a number above 0, got -1"),
        ({"min_pixels": 500, "max_pixels": 400}, "expected 0 < min <= max, got 500 and 400"),
        ({"on_bad": "ignore"}, "on_bad: expected raise or skip, got 'ignore'"),
        ({"limit": 1}, r"coco: expected at least one image for training and one for validation, got .*train=0, val=1"),
    ],
)
def test_a_wrong_option_is_named(
    coco: Callable[..., Path], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(coco(), tmp_path / "out", **options)


def test_another_folder_is_named(coco: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone: expected the folder of a data set"):
        prepare(tmp_path / "gone", tmp_path / "out")
    (tmp_path / "other" / "labels").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"expected COCO \(annotations/\*\.json.* or VOC .* that holds labels/"):
        prepare(tmp_path / "other", tmp_path / "out")
    coco(name="a.json")
    with pytest.raises(ValueError, match=r"annotations: expected one annotation file, .*, got a\.json, b\.json"):
        prepare(coco(name="b.json"), tmp_path / "out")


@pytest.mark.skipif(not SETS.is_dir(), reason="no shared/data folder stands beside the project")
@pytest.mark.parametrize(("name", "train", "val", "boxes"), [("coco128", 101, 25, 929), ("raccoon", 160, 40, 217)])
def test_public_sets_become_rows(tmp_path: Path, name: str, train: int, val: int, boxes: int) -> None:
    prepared = prepare(SETS / name, tmp_path)
    assert (prepared.train, prepared.val, prepared.boxes, prepared.skipped) == (train, val, boxes, 0)
    assert check_rows(tmp_path / "train.parquet") == train
    assert json.loads(rows(tmp_path)[0]["reward_model"]["ground_truth"])["task"] == "detection"
