"""COCO detection annotations: one JSON file with `images`, `annotations` and `categories`.

Format: https://cocodataset.org/#format-data. A box is `[x, y, width, height]` in pixels, from 0.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.problems import OnProblem, fail
from verl_vision_r1.data.samples import Sample, clip_box, find_image
from verl_vision_r1.targets import Target

Entry = dict[str, Any]


@dataclass(frozen=True)
class _File:
    path: Path
    folders: Sequence[Path]
    names: dict[int, str]
    on_problem: OnProblem


def read_coco(annotations: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read a COCO file, image by image in the order of the file.

    Crowds (`iscrowd`) are left out: such a box surrounds many objects which nobody counted; no answer could match it.

    Args:
        annotations: The JSON file.
        images: The folder in which `file_name` lies; of several, the first which holds it.
        on_problem: Told about each bad box and image. Faults of the whole file always raise.

    Yields:
        Samples with boxes in `xyxy`. `image_id` is the file name without its ending.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is not COCO JSON, an id or name comes twice or is unknown, or a box is wrong.
    """
    document = _load(annotations)
    names = _names(document["categories"], f"{annotations} category")
    file = _File(annotations, images, names, on_problem)
    entries = _images(document["images"], annotations)
    grouped = _group(document["annotations"], file, entries)
    for image_id, entry in entries.items():
        try:
            sample = _sample(entry, grouped[image_id], file)
        except FileNotFoundError as problem:
            on_problem(problem)
        else:
            yield sample


def _load(path: Path) -> dict[str, list[Entry]]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: expected COCO JSON, got a file that is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path}: expected a COCO object, got a JSON {type(document).__name__}")
    for key in ("images", "annotations", "categories"):
        entries = document.get(key)
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            got = f"{entries!r:.80} (the keys are {sorted(document)})"
            raise ValueError(f"{path}: expected {key!r} to be a list of objects, not empty, got {got}")
    return document


def _value(entry: Entry, key: str, kind: type, where: str) -> Any:
    if not isinstance(entry.get(key), kind):
        raise ValueError(f"{where}: expected {key!r} to be {kind.__name__}, got {entry!r:.160}")
    return entry[key]


def _names(entries: list[Entry], where: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for entry in entries:
        key, name = _value(entry, "id", int, where), _value(entry, "name", str, where)
        if key in names or name in names.values() or not name.strip():
            raise ValueError(f"{where} {key}: expected an id and a name that no other category has, got {name!r}")
        names[key] = name
    return names


def _images(entries: list[Entry], path: Path) -> dict[int, Entry]:
    images: dict[int, Entry] = {}
    taken: set[str] = set()
    for entry in entries:
        where = f"{path} image {entry.get('id')}"
        key, stem = _value(entry, "id", int, where), _stem(_value(entry, "file_name", str, where))
        if key in images or stem in taken:
            raise ValueError(f"{where}: expected an id and a file name that no other image has, got {stem!r}")
        if min(_value(entry, size, int, where) for size in ("width", "height")) < 1:
            raise ValueError(f"{where}: expected width and height above 0, got {entry['width']}x{entry['height']}")
        images[key] = entry
        taken.add(stem)
    return images


def _group(annotations: list[Entry], file: _File, images: dict[int, Entry]) -> dict[int, list[Entry]]:
    grouped: dict[int, list[Entry]] = {key: [] for key in images}
    for annotation in annotations:
        where = f"{file.path} annotation {annotation.get('id')}"
        image_id = _value(annotation, "image_id", int, where)
        if image_id in grouped:
            grouped[image_id].append(annotation)
        else:
            file.on_problem(ValueError(f"{where}: expected the id of one of {len(images)} images, got {image_id}"))
    return grouped


def _sample(entry: Entry, annotations: list[Entry], file: _File) -> Sample:
    image = find_image(file.folders, [entry["file_name"]], f"{file.path} image {entry['id']}")
    boxes, labels = [], []
    for annotation in annotations:
        where = f"{file.path} annotation {annotation.get('id')} of image {entry['id']}"
        try:
            if not annotation.get("iscrowd"):
                label = _label(annotation, file.names, where)
                boxes.append(clip_box(_xyxy(annotation, where), entry["width"], entry["height"], where))
                labels.append(label)
        except ValueError as problem:
            file.on_problem(problem)
    target = Target(as_boxes(boxes), tuple(labels), entry["width"], entry["height"], tuple(file.names.values()))
    return Sample(image, _stem(entry["file_name"]), target, partial=len(boxes) < len(annotations))


def _stem(file_name: str) -> str:
    return PurePosixPath(file_name).with_suffix("").as_posix()


def _label(annotation: Entry, names: dict[int, str], where: str) -> str:
    key = _value(annotation, "category_id", int, where)
    if key not in names:
        raise ValueError(f"{where}: expected category_id to be one of the {len(names)} categories, got {key}")
    return names[key]


def _xyxy(annotation: Entry, where: str) -> list[float]:
    box = _value(annotation, "bbox", list, where)
    if len(box) != 4 or not all(isinstance(value, int | float) for value in box):
        raise ValueError(f"{where}: expected bbox [x, y, width, height], got {box!r:.80}")
    x, y, width, height = box
    return [x, y, x + width, y + height]
