"""Small datasets, and what `prepare` makes of them."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.prepare import Account, Prepared, prepare
from verl_vision_r1.data.selection import Selection

WIDTH, HEIGHT = 40, 30

VOC = """<annotation><filename>{image}</filename>
<size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"""
VOC_OBJECT = (
    "<object><name>{name}</name><part><name>head</name></part><bndbox>"
    "<xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"
)


def write_image(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT), red: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (red, 0, 0)).save(path)
    return path


def write_images(folder: Path, count: int = 5) -> None:
    for index in range(count):
        write_image(folder / f"{index:03d}.jpg", red=index)


def box(image_id: Any, category_id: Any, *bbox: float, **fields: Any) -> dict[str, Any]:
    """One annotation for `coco_document`."""
    return {"image_id": image_id, "category_id": category_id, "bbox": list(bbox), **fields}


DOGS = [box(index, 7, 1.5, 2, 10, 20.25, iscrowd=0) for index in range(5)]


def coco_document(boxes: Iterable[dict[str, Any]] = DOGS, **keys: Any) -> dict[str, Any]:
    """Five images with the categories cat and dog, and one dog in each or the given annotations."""
    images = [{"id": index, "file_name": f"{index:03d}.jpg", "width": WIDTH, "height": HEIGHT} for index in range(5)]
    categories = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
    annotations = [{"id": 10 + index, **annotation} for index, annotation in enumerate(boxes)]
    return {"images": images, "categories": categories, "annotations": annotations, **keys}


def write_coco(source: Path, document: Any, name: str = "annotations/instances.json", images: str = "images") -> Path:
    write_images(source / images)
    return write_json(source / name, document).parents[name.count("/")]


def write_json(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def write_lines(path: Path, *lines: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def voc_xml(*objects: tuple[Any, ...], image: str, width: Any = WIDTH, height: Any = HEIGHT) -> str:
    """One file; each object is (name, xmin, ymin, xmax, ymax)."""
    named = "".join(VOC_OBJECT.format(*corners, name=name) for name, *corners in objects)
    return VOC.format(objects=named, image=image, width=width, height=height)


def write_voc(annotations: Path, images: Path, stem: str, *objects: tuple[Any, ...], **fields: Any) -> None:
    annotations.mkdir(parents=True, exist_ok=True)
    write_image(images / f"{stem}.jpg")
    boxes = objects or (("dog", 2, 3, 12, 20),)
    (annotations / f"{stem}.xml").write_text(voc_xml(*boxes, **{"image": f"{stem}.jpg", **fields}))


SELECTION = {field.name for field in dataclasses.fields(Selection)}
WRITING = {field.name for field in dataclasses.fields(Writing)}


def taken(source: Path | str, out: Path, name: str = "coco", **options: Any) -> Prepared:
    """`prepare` one dataset; each option goes to its dataclass."""
    where: dict[str, dict[str, Any]] = {"selection": {}, "source": {}, "writing": {}}
    for key, value in options.items():
        kind = "selection" if key in SELECTION else "writing" if key in WRITING else "source"
        where[kind][key] = value
    wanted = Source(name, str(source), selection=Selection(**where["selection"]), **where["source"])
    return prepare([wanted], out, Writing(**where["writing"]))


def all_of(source: Path | str, out: Path, name: str = "coco", **options: Any) -> Account:
    """The account of a dataset that goes into `val.parquet` as a whole."""
    return taken(source, out, name, **{"val_fraction": 1, **options}).accounts[0]


def rows(out: Path, split: str = "val") -> list[dict[str, Any]]:
    return pq.read_table(out / f"{split}.parquet").to_pylist()


def targets(out: Path, split: str = "val") -> dict[str, dict[str, Any]]:
    """Ground truth by image, of samples that are the only ones about their images."""
    found = {
        row["extra_info"]["image_id"]: json.loads(row["reward_model"]["ground_truth"]) for row in rows(out, split)
    }
    assert len(found) == len(rows(out, split))
    return found
