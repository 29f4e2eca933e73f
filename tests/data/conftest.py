"""Tiny datasets, written to a temporary folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_sets import coco_document, voc_xml, write_coco, write_images


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., Path]:
    """Write five images with one box each; `change` edits the annotations before they are written."""

    def write(change: Callable[[Any], Any] = lambda document: None, name: str = "instances.json") -> Path:
        document = coco_document()
        change(document)
        return write_coco(tmp_path / "coco", document, f"annotations/{name}")

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
            fields = {"image": f"{index:03d}.jpg"} | (changes if index == 0 else {})
            (source / "Annotations" / f"{index:03d}.xml").write_text(voc_xml(*named, **fields))
        return source

    return write
