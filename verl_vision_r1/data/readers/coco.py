"""COCO detection annotations: one JSON file with `images`, `annotations` and `categories`.

Format: https://cocodataset.org/#format-data. A box is `[x, y, width, height]` in pixels, from 0.

pycocotools and faster-coco-eval read it too, but check nothing and name no entry: a missing key is a KeyError, an
annotation of an image that does not exist is silently lost, two images of one id become one.
"""

import json
import re
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.entries import Entry, corners, size_of, value_of
from verl_vision_r1.data.readers.folders import contents, existing, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Parts, Read, Sample, clip_box, find_image
from verl_vision_r1.targets import Target


def find(source: str) -> Parts:
    """The annotation files of a folder: `annotations/*.json`, or `instances*.json` in the folder itself.

    `instances_train*.json`, `instances_val*.json` and the like are the parts of that name; a file alone is "all".

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds no such file, or several whose names do not say which is which.
    """
    folder = expect_folder(source)
    for place, pattern in ((folder / "annotations", "[!.]*.json"), (folder, "instances*.json")):
        if files := sorted(place.glob(pattern)):
            return {part: reader(file, *image_folders(folder, file)) for part, file in _by_part(files).items()}
    raise ValueError(
        f"{source}: expected COCO annotations (annotations/*.json, or instances*.json), got a folder that holds"
        f" {contents(folder)}"
    )


def reader(annotations: Path, *images: Path) -> Read:
    """`read_coco` of one file, ready to be called."""
    return lambda on_problem, _: read_coco(annotations, *images, on_problem=on_problem)


def image_folders(folder: Path, annotations: Path) -> list[Path]:
    """Where the images of an annotation file may lie: COCO names the folder after it, `train2017` for example."""
    part = annotations.stem.removeprefix("instances_")
    return existing(folder / name for name in (f"images/{part}", part, "images", "JPEGImages", "."))


def _by_part(files: list[Path]) -> dict[str, Path]:
    # The official archives hold captions and keypoints beside the instances.
    instances = [file for file in files if file.name.startswith("instances")] or files
    if len(instances) == 1:
        return {"all": instances[0]}
    parts = [re.sub("[0-9_]+$", "", file.stem.removeprefix("instances_")) for file in instances]
    if len(set(parts)) != len(parts) or not {"train", "val"} <= set(parts):
        raise ValueError(
            f"{files[0].parent}: expected one annotation file, or one instances_train*.json and one"
            f" instances_val*.json, got {', '.join(file.name for file in instances)}"
        )
    return dict(zip(parts, instances, strict=True))


@dataclass(frozen=True)
class File:
    """A file that is being read.

    Attributes:
        path: The file.
        folders: Where its images may lie.
        names: The categories' names by id.
        on_problem: Told about each bad box and image.
        categories: What was looked for in every image; None if only what has a box there.
    """

    path: Path
    folders: Sequence[Path]
    names: dict[int, str]
    on_problem: OnProblem
    categories: tuple[str, ...] | None = None


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
    document = load(annotations)
    names = names_of(document["categories"], f"{annotations} category")
    yield from read_document(document, File(annotations, images, names, on_problem, tuple(names.values())))


def read_document(document: dict[str, list[Entry]], file: File) -> Iterator[Sample]:
    """Read what `load` returned. Yields and raises as `read_coco`."""
    entries = images_of(document["images"], file.path)
    grouped = _group(document["annotations"], file, entries)
    for image_id, entry in entries.items():
        try:
            sample = _sample(entry, grouped[image_id], file)
        except (ValueError, FileNotFoundError) as problem:
            file.on_problem(problem)
        else:
            yield sample


def load(path: Path) -> dict[str, list[Entry]]:
    """A file of COCO's form without its `segmentation`s, which are most of it and no reader's concern.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON, or has no `images`, `annotations` and `categories`.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            # Plain `json.loads` takes 8.2 GB for a file of 1.3 GB with as many entries as the train file, nearly all
            # for the numbers of the outlines. Dropped one by one, they leave 2.6 GB: the text, twice while it is
            # decoded. What stays takes 0.9 GB.
            document: Any = json.load(file, object_hook=_without_segmentation)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected COCO JSON, got a file that is not JSON: {error}") from error
    for key in ("images", "annotations", "categories"):
        entries = document.get(key) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            held = f"keys {sorted(document)!r:.160}" if isinstance(document, dict) else type(document).__name__
            got = f"{reprlib.repr(entries)} in JSON with {held}"
            raise ValueError(f"{path}: expected {key!r} to be a list of objects, not empty, got {got}")
    return dict(document)


def _without_segmentation(entry: Entry) -> Entry:
    entry.pop("segmentation", None)
    return entry


def names_of(entries: list[Entry], where: str) -> dict[int, str]:
    """Names of categories by id.

    Raises:
        ValueError: An id or a name is missing, or comes twice.
    """
    names: dict[int, str] = {}
    for entry in entries:
        key, name = value_of(entry, "id", int, where), value_of(entry, "name", str, where)
        if key in names or name in names.values() or not name.strip():
            raise ValueError(f"{where} {key}: expected an id and a name that no other category has, got {name!r}")
        names[key] = name
    return names


def images_of(entries: list[Entry], path: Path) -> dict[int, Entry]:
    """Images by id.

    Raises:
        ValueError: An id, a file name or a size is missing or wrong, or an id or name comes twice.
    """
    images: dict[int, Entry] = {}
    taken: set[str] = set()
    for entry in entries:
        where = f"{path} image {entry.get('id')}"
        key, name = value_of(entry, "id", int, where), value_of(entry, "file_name", str, where)
        if not PurePosixPath(name).name:
            raise ValueError(f"{where}: expected 'file_name' to be the name of a file, got {name!r}")
        stem = stem_of(name)
        if key in images or stem in taken:
            raise ValueError(f"{where}: expected an id and a file name that no other image has, got {stem!r}")
        size_of(entry, where)
        images[key] = entry
        taken.add(stem)
    return images


def _group(annotations: list[Entry], file: File, images: dict[int, Entry]) -> dict[int, list[Entry]]:
    grouped: dict[int, list[Entry]] = {key: [] for key in images}
    for annotation in annotations:
        where = f"{file.path} annotation {annotation.get('id')}"
        image_id = value_of(annotation, "image_id", int, where)
        if image_id in grouped:
            grouped[image_id].append(annotation)
        else:
            file.on_problem(ValueError(f"{where}: expected the id of one of {len(images)} images, got {image_id}"))
    return grouped


def _sample(entry: Entry, annotations: list[Entry], file: File) -> Sample:
    image = find_image(file.folders, [entry["file_name"]], f"{file.path} image {entry['id']}")
    boxes, labels, uncertain = [], [], set()
    for annotation in annotations:
        where = f"{file.path} annotation {annotation.get('id')} of image {entry['id']}"
        if annotation.get("iscrowd"):
            uncertain.add(_name(annotation, file))
            continue
        try:
            label = _label(annotation, file.names, where)
            boxes.append(clip_box(corners(annotation.get("bbox"), where), entry["width"], entry["height"], where))
            labels.append(label)
        except ValueError as problem:
            uncertain.add(_name(annotation, file))
            file.on_problem(problem)
    categories = tuple(sorted(set(labels))) if file.categories is None else file.categories
    target = Target(as_boxes(boxes), tuple(labels), entry["width"], entry["height"], categories)
    return Sample(image, stem_of(entry["file_name"]), target, uncertain=frozenset(uncertain))


def _name(annotation: Entry, file: File) -> str:
    """The category's name, empty if it has none."""
    key = annotation.get("category_id")
    return file.names.get(key, "") if isinstance(key, int) else ""


def stem_of(file_name: str) -> str:
    """The `image_id` of a file in our rows: its path without the ending."""
    return PurePosixPath(file_name).with_suffix("").as_posix()


def _label(annotation: Entry, names: dict[int, str], where: str) -> str:
    key = value_of(annotation, "category_id", int, where)
    if key not in names:
        raise ValueError(f"{where}: expected category_id to be one of the {len(names)} categories, got {key}")
    return names[key]
