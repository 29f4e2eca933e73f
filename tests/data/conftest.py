"""Tiny datasets, written to a temporary folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

WIDTH, HEIGHT = 40, 30

VOC = """<annotation><filename>{image}</filename>
<size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"""
VOC_OBJECT = (
    "<object><name>{name}</name><part><name>head</name></part><bndbox>"
    "<xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"
)


def write_images(folder: Path, count: int = 5) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.new("RGB", (WIDTH, HEIGHT), (index, 0, 0)).save(folder / f"{index:03d}.jpg")


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., Path]:
    """Write five images with one box each; `change` edits the annotations before they are written."""

    def write(change: Callable[[Any], Any] = lambda document: None, name: str = "instances.json") -> Path:
        source = tmp_path / "coco"
        write_images(source / "images")
        document: dict[str, Any] = {
            "images": [
                {"id": index, "file_name": f"{index:03d}.jpg", "width": WIDTH, "height": HEIGHT} for index in range(5)
            ],
            "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
            "annotations": [
                {"id": 10 + index, "image_id": index, "category_id": 7, "bbox": [1.5, 2, 10, 20.25], "iscrowd": 0}
                for index in range(5)
            ],
        }
        change(document)
        (source / "annotations").mkdir(exist_ok=True)
        (source / "annotations" / name).write_text(json.dumps(document))
        return source

    return write


@pytest.fixture
def voc(tmp_path: Path) -> Callable[..., Path]:
    """Write five images; the first has the given boxes, each (name, xmin, ymin, xmax, ymax), the others one dog."""

    def write(*boxes: tuple[Any, ...], **changes: Any) -> Path:
        source = tmp_path / "voc"
        write_images(source / "JPEGImages")
        (source / "Annotations").mkdir(exist_ok=True)
        for index in range(5):
            named = boxes if boxes and index == 0 else (("dog", 2, 3, 12, 20),)
            objects = "".join(VOC_OBJECT.format(*corners, name=name) for name, *corners in named)
            fields = {"image": f"{index:03d}.jpg", "width": WIDTH, "height": HEIGHT} | (changes if index == 0 else {})
            (source / "Annotations" / f"{index:03d}.xml").write_text(VOC.format(objects=objects, **fields))
        return source

    return write
