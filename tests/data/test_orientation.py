"""The EXIF orientation of an image counts only if it has one of the eight values that EXIF defines."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_sets import all_of, coco_document, write_coco

from verl_vision_r1.data.readers.image_size import read_size, shown_size


def write(path: Path, orientation: Any, size: tuple[int, int] = (40, 30)) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_a_value_that_exif_does_not_define_counts_as_upright(tmp_path: Path, orientation: int) -> None:
    assert read_size(write(tmp_path / "a.jpg", orientation)) == ((40, 30), 1)
    assert shown_size(tmp_path / "a.jpg") == (40, 30)
    source = write_coco(tmp_path / "coco", coco_document())
    write(source / "images" / "003.jpg", orientation)
    assert all_of(source, tmp_path / "out").annotations == {"used": 5}
    assert not (tmp_path / "out" / "images").exists()


@pytest.mark.parametrize("value", [65537, "upright", b"\x06", 6.0, None])
def test_a_value_of_another_type_counts_as_upright(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    path = write(tmp_path / "a.jpg", 1)
    monkeypatch.setattr(Image.Exif, "get", lambda self, key, default=None: value)
    assert read_size(path) == ((40, 30), 1)


@pytest.mark.parametrize(("orientation", "size"), [(1, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))])
def test_the_values_of_exif_count(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    assert shown_size(write(tmp_path / "a.jpg", orientation)) == size
