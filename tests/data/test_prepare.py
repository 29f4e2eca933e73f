"""A dataset becomes two parquet files, the same for the same seed, and none if anything is wrong."""

import io
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from small_sets import taken

from verl_vision_r1.data.parquet import check_rows
from verl_vision_r1.data.readers.sources import guess

SETS = Path(__file__).parents[3] / "shared" / "data"


def rows(out: Path, split: str = "train") -> list[dict[str, Any]]:
    return pq.read_table(out / f"{split}.parquet").to_pylist()


def test_a_coco_folder_becomes_samples(coco: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    prepared = taken(coco(), out)
    assert (prepared.samples, prepared.boxes, prepared.defects) == ({"train": 4, "val": 1}, 5, 0)
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


def test_a_voc_folder_becomes_samples(voc: Callable[..., Path], tmp_path: Path) -> None:
    prepared = taken(voc(), tmp_path / "out", "voc", alias="pets", val_fraction=0.4, max_pixels=10_000)
    assert prepared.samples == {"train": 3, "val": 2}
    assert rows(tmp_path / "out")[0]["data_source"] == "pets/detection"
    assert rows(tmp_path / "out")[0]["images"][0]["max_pixels"] == 10_000


@pytest.mark.parametrize("folder", ["images/{}2017", "{}2017"])
def test_two_annotation_files_are_the_two_splits(coco: Callable[..., Path], tmp_path: Path, folder: str) -> None:
    coco(name="instances_train2017.json")
    coco(name="captions_train2017.json")
    source = coco(lambda document: document["annotations"].pop(), name="instances_val2017.json")
    for part in ("train", "val"):
        shutil.copytree(source / "images", tmp_path / "moved" / folder.format(part))
    shutil.rmtree(source / "images")
    shutil.copytree(tmp_path / "moved", source, dirs_exist_ok=True)
    prepared = taken(source, tmp_path / "out", max_images=3)
    assert prepared.samples == {"train": 3, "val": 3}
    assert prepared.accounts[0].left_out == {"over max_images or hard_fraction": 3, "no boxes": 1}
    assert folder.format("val") in rows(tmp_path / "out", "val")[0]["images"][0]["image"]
    assert taken(source, tmp_path / "out", split="val").samples == {"val": 4}
    with pytest.raises(ValueError, match=r"split: expected one of train, val of .*, got 'test'"):
        taken(source, tmp_path / "out", split="test")


def test_the_same_seed_gives_the_same_bytes(coco: Callable[..., Path], tmp_path: Path) -> None:
    coco_folder = coco()
    for out, seed in (("a", 0), ("c", 4)):
        taken(coco_folder, tmp_path / out, seed=seed)
    # The order of the annotation file has no effect.
    taken(coco(lambda document: document["images"].reverse()), tmp_path / "b", seed=0)
    first, again, other = [
        [(tmp_path / out / f"{split}.parquet").read_bytes() for split in ("train", "val")] for out in ("a", "b", "c")
    ]
    assert first == again
    assert first != other


def negatives(document: Any) -> None:
    """The first image has only a crowd, the second no object, the third two boxes."""
    document["annotations"][0]["iscrowd"] = 1
    document["annotations"][1].update(image_id=2, bbox=[2, 2, 10, 20])


@pytest.mark.parametrize(
    ("options", "rows", "boxes", "left_out"),
    [
        ({}, 3, 4, {"no boxes": 2}),
        ({"negatives": 1}, 4, 4, {"no boxes": 1}),
        ({"max_boxes": 1}, 2, 2, {"no boxes": 2, "more than 1 boxes": 1}),
        ({"min_boxes": 2, "negatives": 1}, 2, 2, {"no boxes": 1, "fewer than 2 boxes": 2}),
        ({"ask": "category"}, 3, 4, {"no boxes": 2}),
        ({"ask": "category", "negatives": 0.67}, 5, 4, {"no boxes": 2}),
        ({"ask": "count", "negatives": 0.34}, 4, 0, {"no boxes": 2}),
        ({"ask": "class"}, 3, 0, {"no boxes": 2}),
    ],
)
def test_images_and_questions_are_chosen(
    coco: Callable[..., Path], tmp_path: Path, options: dict[str, Any], rows: int, boxes: int, left_out: dict[str, int]
) -> None:
    # All of them in one split, so that the counts do not depend on the seed.
    source = coco(negatives, name="instances_train.json")
    shutil.copy(source / "annotations" / "instances_train.json", source / "annotations" / "instances_val.json")
    prepared = taken(source, tmp_path / "out", split="train", **options)
    assert (prepared.samples["train"], prepared.boxes) == (rows, boxes)
    assert prepared.accounts[0].left_out == left_out


def test_an_absent_category_is_asked_for(coco: Callable[..., Path], tmp_path: Path) -> None:
    taken(coco(), tmp_path / "out", ask="category", negatives=1)
    asked = [
        (row["extra_info"]["subject"], json.loads(row["reward_model"]["ground_truth"]))
        for row in rows(tmp_path / "out")
    ]
    assert sorted(subject for subject, _ in asked) == ["cat"] * 4 + ["dog"] * 4
    assert all(len(target["boxes"]) == (subject == "dog") for subject, target in asked)
    assert all(target["categories"] == [subject] for subject, target in asked)


def _with_empty_and_crowded(document: Any) -> None:
    """Image 0 has no object, 1 only a crowd, 2 a dog and a crowd."""
    del document["annotations"][0]
    document["annotations"][0]["iscrowd"] = 1
    document["annotations"].append(document["annotations"][1] | {"id": 20, "iscrowd": 1})


@pytest.mark.parametrize(
    ("options", "images", "boxes"),
    [
        ({}, "34", 2),  # The only dog of image 2 is left out: there are others in its crowd.
        ({"negatives": 1}, "034", 2),  # Not the images with a crowd: no category is known to be absent.
        ({"keep_empty": True}, "01234", 3),
        ({"ask": "category"}, "34", 2),
        ({"ask": "category", "keep_empty": True}, "234", 3),
        ({"keep_empty": True, "max_boxes": 1, "max_images": 4}, None, None),
    ],
)
def test_keep_empty_keeps_every_image(
    coco: Callable[..., Path], tmp_path: Path, options: dict[str, Any], images: str | None, boxes: int | None
) -> None:
    prepared = taken(coco(_with_empty_and_crowded), tmp_path / "out", val_fraction=1, **options)
    found = sorted(row["extra_info"]["image_id"][-1] for row in rows(tmp_path / "out", "val"))
    if images is None:
        assert prepared.samples == {"val": options["max_images"]}
    else:
        assert (found, prepared.samples, prepared.boxes) == (list(images), {"val": len(images)}, boxes)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["val.parquet"]


def test_the_validation_split_alone(coco: Callable[..., Path], tmp_path: Path) -> None:
    source = coco(name="instances_train2017.json")
    coco(_with_empty_and_crowded, name="instances_val2017.json")
    assert taken(source, tmp_path / "out", split="val", keep_empty=True).samples == {"val": 5}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["val.parquet"]


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def shrink(path: Path) -> None:
    Image.new("RGB", (30, 30)).save(path)


def turn(orientation: int, size: tuple[int, int] = (30, 40)) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", size, (200, 0, 0)).save(path, exif=exif)

    return write


IMAGE_ERRORS = [
    (damage, r"003\.jpg: expected an image, got a file that does not decode: .*[Tt]runcated"),
    (lambda path: path.write_text("no image"), r"003\.jpg: expected an image, got a file that does not decode"),
    (shrink, r"003\.jpg: expected 40x30 pixels as annotated, got 30x30 \(EXIF orientation 1\)"),
    (turn(3, (40, 30)), r"003\.jpg: expected an image without EXIF orientation, got orientation 3"),
    (Path.unlink, r"image 3: expected the image 003\.jpg"),
]


@pytest.mark.parametrize(("fault", "message"), IMAGE_ERRORS)
def test_a_bad_image_stops_prepare_or_is_skipped(
    coco: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: Callable[[Path], None],
    message: str,
) -> None:
    source, out = coco(), tmp_path / "out"
    fault(source / "images" / "003.jpg")
    with pytest.raises(ValueError, match=message + r".*Defects: 1, all listed in .*defects\.txt; nothing was written"):
        taken(source, out)
    assert [path.name for path in out.iterdir()] == ["defects.txt"]
    prepared = taken(source, out, strict=False)
    assert (sum(prepared.samples.values()), prepared.defects) == (4, 1)
    assert "003.jpg" in (out / "defects.txt").read_text()
    assert capsys.readouterr().err.count("defect: ") == 2


def test_a_rotated_image_is_copied_upright(coco: Callable[..., Path], tmp_path: Path) -> None:
    source = coco()
    turn(6)(source / "images" / "003.jpg")
    assert taken(source, tmp_path / "out").defects == 0
    images = {row["images"][0]["image"] for split in ("train", "val") for row in rows(tmp_path / "out", split)}
    (copy,) = (image for image in images if "upright" in image)
    with Image.open(copy) as upright:
        assert (upright.size, upright.getexif().get(0x0112)) == ((40, 30), None)
    # An image that was annotated as stored is unchanged.
    turn(6, (40, 30))(source / "images" / "003.jpg")
    taken(source, tmp_path / "again")
    assert not (tmp_path / "again" / "images").exists()


def test_a_decompression_bomb_is_not_decoded(
    coco: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    source = coco()
    with pytest.raises(ValueError, match=r"\d\.jpg: expected at most 1000 pixels, got 40x30.*Defects: 5"):
        taken(source, tmp_path / "out")


def test_a_path_that_leaves_the_folder_is_a_defect(coco: Callable[..., Path], tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "secret.jpg")
    for name in ("../../secret.jpg", str(tmp_path / "secret.jpg")):
        source = coco(lambda document, name=name: document["images"][3].update(file_name=name))
        with pytest.raises(ValueError, match=r"image 3: expected the path of an image within .*secret\.jpg'"):
            taken(source, tmp_path / "out")


def test_image_check_sets_how_images_are_verified(coco: Callable[..., Path], tmp_path: Path) -> None:
    source = coco()
    Image.effect_noise((40, 30), 90).save(source / "images" / "003.jpg", quality=95)
    damage(source / "images" / "003.jpg")
    with pytest.raises(ValueError, match="does not decode"):
        taken(source, tmp_path / "out")
    assert taken(source, tmp_path / "out", image_check="header").defects == 0
    shrink(source / "images" / "003.jpg")
    with pytest.raises(ValueError, match="expected 40x30 pixels"):
        taken(source, tmp_path / "out", image_check="header")
    assert taken(source, tmp_path / "out", image_check="none").defects == 0


def test_an_image_may_be_too_narrow(coco: Callable[..., Path], tmp_path: Path) -> None:
    source = coco(lambda document: document["images"][3].update(width=40_000))
    Image.new("RGB", (40_000, 30)).save(source / "images" / "003.jpg")
    with pytest.raises(ValueError, match=r"003\.jpg: expected sides of at most 200:1, got 40000x30"):
        taken(source, tmp_path / "out")


def test_defects_are_printed_once_and_up_to_a_limit(
    coco: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"id": 99, "image_id": 0, "category_id": 7, "bbox": [5, 5, 0, 0]}
    source = coco(lambda document: document["annotations"].extend([bad] * 30))
    assert taken(source, tmp_path / "out", strict=False).defects == 30
    assert capsys.readouterr().err.count("defect: ") == 21
    assert (tmp_path / "out" / "defects.txt").read_text().count("\n") == 30
    taken(coco(), tmp_path / "out")
    assert not (tmp_path / "out" / "defects.txt").exists()


def test_a_failed_run_leaves_the_old_files(coco: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    taken(coco(), out)
    old = (out / "train.parquet").read_bytes()
    source = coco(lambda document: document["categories"][0].update(name="<image>"))
    with pytest.raises(ValueError, match=r"\.jpg \(\d+\): prompt: expected text without <image>, got .*Defects: 5"):
        taken(source, out)
    assert sorted(path.name for path in out.iterdir()) == ["defects.txt", "train.parquet", "val.parquet"]
    assert (out / "train.parquet").read_bytes() == old


KILLED = """
import os, signal, sys
from verl_vision_r1.data import options, prepare as module
write = module.write_rows
def stop(path, rows, **options):
    if path.name == "val.parquet":
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, rows, **options)
module.write_rows = stop
module.prepare([options.Source("coco", sys.argv[1])], sys.argv[2])
"""


@pytest.mark.process
def test_a_killed_run_leaves_no_file_that_looks_complete(coco: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, str(coco()), str(out)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in out.glob("*")] == [path.name for path in out.glob(".prepare-*")]
    assert not list(out.glob("*.parquet"))
    assert taken(coco(), out).samples == {"train": 4, "val": 1}


def test_samples_may_embed_their_images(coco: Callable[..., Path], tmp_path: Path) -> None:
    source = coco()
    taken(source, tmp_path / "out", embed=True)
    shutil.rmtree(source)
    image = rows(tmp_path / "out")[0]["images"][0]
    assert check_rows(tmp_path / "out" / "train.parquet") == 4
    assert sorted(image) == ["bytes", "max_pixels", "min_pixels"]
    with Image.open(io.BytesIO(image["bytes"])) as opened:
        assert opened.size == (40, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": 1.1}, "val_fraction: expected a number above 0 and at most 1, got 1.1"),
        ({"val_fraction": 0.0}, "val_fraction: expected a number above 0 and at most 1, got 0.0"),
        ({"keep_empty": True, "negatives": 1}, "negatives: expected 0 with keep_empty, which keeps all .*, got 1"),
        ({"max_images": 0}, "max_images: expected a number above 0, got 0"),
        ({"max_boxes": -1}, "max_boxes: expected a number above 0, got -1"),
        ({"max_boxes": 2, "min_boxes": 3}, "min_boxes, max_boxes: expected min <= max, got 3 and 2"),
        ({"hard_fraction": 1.5}, "hard_fraction: expected a number from 0 to 1, got 1.5"),
        ({"negatives": -1}, "negatives: expected a number of at least 0, got -1"),
        ({"max_samples": 0}, "max_samples: expected a number above 0, got 0"),
        ({"max_boxes_per_sample": 0}, "max_boxes_per_sample: expected a number above 0, got 0"),
        (
            {"ask": "riddle"},
            "ask: expected one of categories, category, referring, class, count, points, got 'riddle'",
        ),
        ({"image_check": "closely"}, "image_check: expected one of decode, header, none, got 'closely'"),
        ({"prompt": "poem"}, "vision_r1/prompt: expected one of .*visual_rft.*, got 'poem'"),
        ({"min_pixels": 500, "max_pixels": 400}, "expected 0 < min <= max <= 10000000000, got 500 and 400"),
        ({"max_boxes": 1, "min_boxes": 1, "difficulty": Path("gone.json")}, "gone.json"),
        ({"name": "imagenet"}, "dataset: expected one of coco, .*, got 'imagenet'"),
    ],
)
def test_a_wrong_option_is_named(
    coco: Callable[..., Path], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        taken(coco(), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_file_without_samples_is_rejected(coco: Callable[..., Path], tmp_path: Path) -> None:
    difficulty = tmp_path / "difficulty.json"
    difficulty.write_text("{}")
    with pytest.raises(ValueError, match=r"out: expected at least one sample for train\.parquet and val\.parquet"):
        taken(coco(), tmp_path / "out", difficulty=difficulty)


def test_another_folder_is_named(coco: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone: expected the folder of a dataset"):
        taken(tmp_path / "gone", tmp_path / "out")
    (tmp_path / "other" / "labels").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"expected COCO annotations \(annotations/\*\.json.* that contains labels/"):
        taken(tmp_path / "other", tmp_path / "out")
    with pytest.raises(ValueError, match=r"COCO annotations .*; .*expected VOC annotations"):
        guess(str(tmp_path / "other"))
    assert guess(str(coco(name="a.json"))) == "coco"
    with pytest.raises(ValueError, match=r"annotations: expected one annotation file, .*, got a\.json, b\.json"):
        taken(coco(name="b.json"), tmp_path / "out")


@pytest.mark.skipif(not SETS.is_dir(), reason="no shared/data folder next to the project")
@pytest.mark.parametrize(
    ("name", "reader", "train", "val", "boxes"), [("coco128", "coco", 99, 26, 800), ("raccoon", "voc", 160, 40, 217)]
)
def test_public_datasets_become_samples(
    tmp_path: Path, name: str, reader: str, train: int, val: int, boxes: int
) -> None:
    prepared = taken(SETS / name, tmp_path, reader)
    assert (prepared.samples, prepared.boxes, prepared.defects) == ({"train": train, "val": val}, boxes, 0)
    assert check_rows(tmp_path / "train.parquet") == train
    assert json.loads(rows(tmp_path)[0]["reward_model"]["ground_truth"])["task"] == "detection"
