"""Random small datasets of every box reader, defects included, each with the number of its annotations."""

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from small_sets import HEIGHT, WIDTH, coco_document, voc_xml, write_image, write_json, write_lines

GOOD, OUTSIDE, FLAT, MALFORMED, UNKNOWN, CROWD = range(6)
NAMES: Final = ("cat", "dog")
IDS: Final = {"cat": 3, "dog": 7}
LOST: Final = 3
"""The image without a file, if there is one."""


@dataclass(frozen=True)
class Object:
    """One annotation: its image (0 to 4), label, kind of defect, and place; equal ones are duplicates."""

    image: int
    label: str
    kind: int = GOOD
    place: int = 0

    @property
    def corners(self) -> list[float]:
        if self.kind == OUTSIDE:
            return [35, 5, 65, 15]
        return [5, 5, 5, 9] if self.kind == FLAT else [1.0 + self.place, 2, 11 + self.place, 12]

    @property
    def sides(self) -> Any:
        x1, y1, x2, y2 = self.corners
        return [x1, y1, x2] if self.kind == MALFORMED else [x1, y1, x2 - x1, y2 - y1]

    @property
    def box(self) -> Any:
        return self.corners[: 3 if self.kind == MALFORMED else 4]

    @property
    def name(self) -> str:
        return "fox" if self.kind == UNKNOWN else self.label


Objects = Sequence[Object]
Write = Callable[[Path, Objects, bool], int]
"""(folder, objects, whether an image is missing) -> number of annotations. The first object is good and in image 0."""


def images(folder: Path, lost: bool) -> None:
    for index in range(5):
        if index != LOST or not lost:
            write_image(folder / f"{index:03d}.jpg")


def coco_like(objects: Objects) -> dict[str, Any]:
    annotations = [
        {
            "image_id": 99 if item.kind == UNKNOWN and item.place else item.image,
            "category_id": IDS.get(item.name, 50),
            "bbox": item.sides,
            "iscrowd": int(item.kind == CROWD),
        }
        for item in objects
    ]
    return coco_document(annotations)


def coco(folder: Path, objects: Objects, lost: bool) -> int:
    images(folder / "images", lost)
    write_json(folder / "annotations" / "instances.json", coco_like(objects))
    return len(objects)


def v3det(folder: Path, objects: Objects, lost: bool) -> int:
    images(folder, lost)
    write_json(folder / "v3det_2023_v1_train.json", coco_like(objects))
    return len(objects)


def lvis(folder: Path, objects: Objects, lost: bool) -> int:
    images(folder / "train2017", lost)
    document = coco_like(objects)
    for entry in document["images"]:
        name = f"train2017/{entry.pop('file_name')}"
        entry.update(
            coco_url=f"http://x/{name}", neg_category_ids=[], not_exhaustive_category_ids=[7] * (entry["id"] == 4)
        )
    write_json(folder / "lvis_v1_train.json", document)
    return len(objects)


def odinw(folder: Path, objects: Objects, lost: bool) -> int:
    for part, chosen in (("pothole", objects), ("PascalVOC", objects[:1])):
        images(folder / part / "train", lost)
        write_json(folder / part / "train" / "annotations_without_background.json", coco_like(chosen))
    return len(objects) + 1


def voc(folder: Path, objects: Objects, lost: bool) -> int:
    images(folder / "JPEGImages", lost)
    (folder / "Annotations").mkdir(parents=True)
    for index in range(5):
        named = [
            (item.name * (item.kind != UNKNOWN), *("left" if item.kind == MALFORMED else x1 + 1, y1 + 1, x2, y2))
            for item in objects
            if item.image == index
            for x1, y1, x2, y2 in [item.corners]
        ]
        (folder / "Annotations" / f"{index:03d}.xml").write_text(voc_xml(*named, image=f"{index:03d}.jpg"))
    return len(objects)


def yolo(folder: Path, objects: Objects, lost: bool) -> int:
    images(folder / "images", lost=False)
    (folder / "labels").mkdir(parents=True)
    if lost:
        (folder / "images" / f"{LOST:03d}.jpg").write_bytes(b"no image")
    for item in objects:
        x1, y1, x2, y2 = item.corners
        fields = [(x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT]
        number = 9 if item.kind == UNKNOWN else NAMES.index(item.label)
        line = " ".join(map(str, [number, *fields[: 3 if item.kind == MALFORMED else 4]]))
        with (folder / "labels" / f"{item.image:03d}.txt").open("a") as file:
            file.write(f"{line}\n\n")
    (folder / "data.yaml").write_text(yaml.safe_dump({"train": "images", "names": list(NAMES)}))
    return len(objects)


def jsonl(folder: Path, objects: Objects, lost: bool) -> int:
    images(folder, lost)
    lines: list[Any] = []
    for index in range(5):
        here = [item for item in objects if item.image == index]
        entry = {"image": f"{index:03d}.jpg", "categories": list(NAMES)}
        lines.append({**entry, "boxes": [item.box for item in here], "labels": [item.name for item in here]})
    lines.append({"image": "003.jpg", "task": "grounding", "expression": "it", "boxes": [objects[-1].box]})
    lines.append({"image": "003.jpg", "task": "counting", "label": "cat", "count": 2})
    lines.append({"image": "004.jpg", "task": "classification", "label": "cat"})
    write_lines(folder / "own.jsonl", *lines)
    return len(objects) + 3


def refcoco(folder: Path, objects: Objects, lost: bool) -> int:
    """References with one sentence, or two of which one is blank."""
    images(folder / "train2014", lost)
    write_json(folder / "instances.json", coco_like([item for item in objects if item.kind != UNKNOWN]))
    references, count = [], 0
    numbers = iter(range(10, 10 + len(objects)))
    for item in objects:
        sentences = [{"sent": f"the {item.label}"}, {"sent": " "}][: 1 + item.place % 2]
        annotation = 999 if item.kind == UNKNOWN else next(numbers)
        references.append({"ann_id": annotation, "image_id": item.image, "split": "train", "sentences": sentences})
        count += len(sentences)
    references.append({**references[0], "split": "testA"})
    (folder / "refs(unc).p").write_bytes(pickle.dumps(references, protocol=2))
    return count


def refcoco_lines(folder: Path, objects: Objects, lost: bool) -> int:
    images(folder, lost)
    lines = [
        {
            "image": f"{item.image:03d}.jpg",
            "sent": "x" * (item.kind != UNKNOWN),
            "bbox": item.box,
            "width": WIDTH,
            "height": HEIGHT,
        }
        for item in objects
    ]
    write_lines(folder / "refcoco_train.jsonl", *lines)
    return len(objects)


def regions(folder: Path, objects: Objects, lost: bool) -> int:
    images(folder / "VG_100K", lost)
    keys = ("x", "y", "width", "height")
    described = [
        {
            "id": index,
            "regions": [
                {"phrase": item.label * (item.kind != UNKNOWN), **dict(zip(keys, item.sides, strict=False))}
                for item in objects
                if item.image == index
            ],
        }
        for index in range(5)
    ]
    sizes = [
        {"image_id": index, "width": WIDTH, "height": HEIGHT, "url": f"https://x/VG_100K/{index:03d}.jpg"}
        for index in range(4)
    ]
    write_json(folder / "region_descriptions.json", described)
    write_json(folder / "image_data.json", sizes)
    return len(objects)


def expressions(folder: Path, objects: Objects, lost: bool) -> int:
    images(folder, lost)
    lines = [
        {
            **{"image": f"{index:03d}.jpg", "expression": label, "width": WIDTH, "height": HEIGHT},
            "boxes": [item.box for item in objects if (item.image, item.label) == (index, label)],
        }
        for index in range(5)
        for label in NAMES
    ]
    write_lines(folder / "expressions.jsonl", *lines)
    return len(objects)


def odvg(folder: Path, objects: Objects, lost: bool) -> int:
    images(folder, lost)
    lines = []
    for index in range(5):
        here = [item for item in objects if item.image == index]
        instances = [{"bbox": item.box, "label": IDS.get(item.name, 50), "category": item.name} for item in here]
        phrases = [{"bbox": item.box, "phrase": item.label * (item.kind != UNKNOWN)} for item in here]
        entry = {"filename": f"{index:03d}.jpg", "width": WIDTH, "height": HEIGHT}
        lines.append(
            {**entry, "detection": {"instances": instances}, "grounding": {"caption": "x", "regions": phrases}}
        )
    write_lines(folder / "train.jsonl", *lines)
    (folder / "label_map.json").write_text(json.dumps({"3": "cat", "7": "dog"}))
    return 2 * len(objects)


WRITERS: Final[dict[str, tuple[str, Write]]] = {
    "coco": ("coco", coco),
    "v3det": ("v3det", v3det),
    "lvis": ("lvis", lvis),
    "odinw": ("odinw13", odinw),
    "voc": ("voc", voc),
    "yolo": ("yolo", yolo),
    "jsonl": ("jsonl", jsonl),
    "refcoco": ("refcoco", refcoco),
    "refcoco_lines": ("refcoco", refcoco_lines),
    "regions": ("visual_genome", regions),
    "expressions": ("visual_genome", expressions),
    "odvg": ("odvg", odvg),
}
"""By case: the name of the reader, and the writer."""
