"""ScreenSpot in its published form: an instruction and a box for each entry; every error names the file and entry."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from verl_vision_r1.data.readers.problems import fail
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.data.readers.screenspot import find

ENTRY = {
    "img_filename": "web_3b0a.png",
    "bbox": [42, 10, 97, 70],
    "instruction": "view the details of the item",
    "data_type": "text",
    "data_source": "shop",
}


def read(folder: Path) -> list[Sample]:
    return list(find(str(folder))["test"](fail, folder))


def written(folder: Path, *entries: Any, name: str = "screenspot_web.json", images: str = "images") -> Path:
    (folder / images).mkdir(exist_ok=True)
    Image.new("RGB", (200, 100)).save(folder / images / "web_3b0a.png")
    (folder / name).write_text(json.dumps(list(entries)))
    return folder


@pytest.mark.parametrize(
    ("name", "images"), [("screenspot_web.json", "screenspot_imgs"), ("screenspot_web_v2.json", "screenspotv2_image")]
)
def test_an_instruction_has_a_box(tmp_path: Path, name: str, images: str) -> None:
    (sample,) = read(written(tmp_path, ENTRY, name=name, images=images))
    assert sample.target.boxes.tolist() == [[42, 10, 139, 80]]
    assert (sample.question, sample.subject, sample.target.task) == ("point", ENTRY["instruction"], "pointing")
    assert (sample.image_id, sample.collection) == ("web_3b0a", "web")


def test_each_platform_is_a_collection(tmp_path: Path) -> None:
    written(written(tmp_path, ENTRY, ENTRY), ENTRY, name="screenspot_mobile.json")
    assert [sample.collection for sample in read(tmp_path)] == ["mobile", "web", "web"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**ENTRY, "bbox": [1, 2, 3]}, "entry 0: expected a box"),
        ({**ENTRY, "bbox": [150, 10, 97, 70]}, "entry 0: expected a box inside 200x100 pixels"),
        ({**ENTRY, "instruction": " "}, "entry 0: expected 'instruction'"),
        ({**ENTRY, "img_filename": "gone.png"}, "entry 0: expected the image gone.png"),
        ({**ENTRY, "img_filename": "../web_3b0a.png"}, "entry 0: expected the path of an image within"),
        ("text", "entry 0: expected an object, got 'text'"),
    ],
)
def test_a_defective_entry_is_named(tmp_path: Path, entry: Any, message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        read(written(tmp_path, entry))


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected ScreenSpot \(screenspot_web.json and so on\)"):
        find(str(tmp_path))
    with pytest.raises(ValueError, match="expected a non-empty list of instructions"):
        read(written(tmp_path))
