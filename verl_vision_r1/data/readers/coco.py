"""COCO detection annotations: one JSON file with `images`, `annotations` and `categories`.

Format: https://cocodataset.org/#format-data. A box is `[x, y, width, height]` in pixels, from 0.

pycocotools and faster-coco-eval read it too, but without checks: a missing key is a bare KeyError, an annotation of an
unknown image is silently lost, and two images with one id become one.
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
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, clip_box, find_image
from verl_vision_r1.targets import Target


def find(source: str) -> Splits:
    """The annotation files of a folder: `annotations/*.json`, or `instances*.json` in the folder itself.

    `instances_train*.json`, `instances_val*.json` and so on are the splits of that name; a single file is "all".

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has no such file, or several whose names do not tell the splits apart.
    """
    folder = expect_folder(source)
    for place, pattern in ((folder / "annotations", "[!.]*.json"), (folder, "instances*.json")):
        if files := sorted(place.glob(pattern)):
            return {split: reader(file, *image_folders(folder, file)) for split, file in _by_split(files).items()}
    raise ValueError(
        f"{source}: expected COCO annotations (annotations/*.json, or instances*.json), got a folder that contains"
        f" {contents(folder)}"
    )


def reader(annotations: Path, *images: Path) -> Read:
    """A reader that calls `read_coco` for one file."""
    return lambda on_problem, _: read_coco(annotations, *images, on_problem=on_problem)


def image_folders(folder: Path, annotations: Path) -> list[Path]:
    """Folders to search for the images of an annotation file, such as `train2017` for `instances_train2017.json`."""
    name = annotations.stem.removeprefix("instances_")
    return existing(folder / place for place in (f"images/{name}", name, "images", "JPEGImages", "."))


def _by_split(files: list[Path]) -> dict[str, Path]:
    # The official archives also contain captions and keypoints.
    instances = [file for file in files if file.name.startswith("instances")] or files
    if len(instances) == 1:
        return {"all": instances[0]}
    splits = [re.sub("[0-9_]+$", "", file.stem.removeprefix("instances_")) for file in instances]
    if len(set(splits)) != len(splits) or not {"train", "val"} <= set(splits):
        raise ValueError(
            f"{files[0].parent}: expected one annotation file, or one instances_train*.json and one"
            f" instances_val*.json, got {', '.join(file.name for file in instances)}"
        )
    return dict(zip(splits, instances, strict=True))


@dataclass(frozen=True)
class File:
    """The file to read.

    Attributes:
        path: The file.
        folders: Folders to search for its images.
        names: Category names by id.
        on_problem: Called with the error of each invalid box and image.
        categories: The categories annotated in every image; None if each image has only those with a box there.
    """

    path: Path
    folders: Sequence[Path]
    names: dict[int, str]
    on_problem: OnProblem
    categories: tuple[str, ...] | None = None

    def name(self, category: object) -> str:
        """Name of a category id; empty for an unknown id."""
        return self.names.get(category, "") if type(category) is int else ""


def read_coco(annotations: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read a COCO file, image by image in the order of the file.

    Crowds (`iscrowd`) are skipped: such a box surrounds an unknown number of objects, and no prediction can match it.

    Args:
        annotations: The JSON file.
        images: Folders to search for `file_name`, in this order.
        on_problem: Called with the error of each invalid box and image. Errors of the file as a whole always raise.

    Yields:
        Samples with boxes in `xyxy`, pixels. `image_id` is the file name without extension.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is not COCO JSON, an id or name is repeated or unknown, or a box is invalid.
    """
    document = load(annotations)
    names = names_of(document["categories"], f"{annotations} category")
    yield from read_document(document, File(annotations, images, names, on_problem, tuple(names.values())))


def read_document(document: dict[str, list[Entry]], file: File) -> Iterator[Sample]:
    """Read the result of `load`. Yields and raises as `read_coco`."""
    entries = images_of(document["images"], file.path)
    grouped = group(document["annotations"], entries, file)
    for image_id, entry in entries.items():
        try:
            sample = _sample(entry, grouped[image_id], file)
        except (ValueError, FileNotFoundError) as problem:
            file.on_problem(problem)
        else:
            yield sample


def load(path: Path) -> dict[str, list[Entry]]:
    """Load a file in COCO format, without its `segmentation`s: they are most of the file, and no reader needs them.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not JSON, or lacks `images`, `annotations` or `categories`.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            # Plain `json.loads` takes 8.2 GB for a file of 1.3 GB with as many entries as the train file, nearly
            # all for segmentations. Dropping these one by one leaves 2.6 GB: the text, twice during decoding. The
            # result takes 0.9 GB.
            document: Any = json.load(file, object_hook=_without_segmentation)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected COCO JSON, got a file that is not JSON: {error}") from error
    for key in ("images", "annotations", "categories"):
        entries = document.get(key) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            kind = f"keys {sorted(document)!r:.160}" if isinstance(document, dict) else type(document).__name__
            got = f"{reprlib.repr(entries)} in JSON with {kind}"
            raise ValueError(f"{path}: expected {key!r} to be a non-empty list of objects, got {got}")
    return dict(document)


def _without_segmentation(entry: Entry) -> Entry:
    entry.pop("segmentation", None)
    return entry


def names_of(entries: list[Entry], where: str, *, unique: bool = True) -> dict[int, str]:
    """Category names by id.

    Args:
        entries: The `categories` of a file.
        where: Location for error messages; the id is appended.
        unique: Whether two categories with one name are an error.

    Raises:
        ValueError: An id or a name is missing or repeated.
    """
    names: dict[int, str] = {}
    for entry in entries:
        at = f"{where} {entry.get('id')}"
        key, name = value_of(entry, "id", int, at), value_of(entry, "name", str, at)
        if key in names or (unique and name in names.values()) or not name.strip():
            raise ValueError(f"{at}: expected a unique id and a {'unique ' * unique}name, got {name!r}")
        names[key] = name
    return names


def images_of(entries: list[Entry], path: Path) -> dict[int, Entry]:
    """Images by id.

    Raises:
        ValueError: An id, a file name or a size is missing or invalid, or an id or name is repeated.
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
            raise ValueError(f"{where}: expected a unique id and a unique file name, got {stem!r}")
        size_of(entry, where)
        images[key] = entry
        taken.add(stem)
    return images


def group(annotations: list[Entry], images: dict[int, Entry], file: File) -> dict[int, list[Entry]]:
    """Annotations by image id. One without the id of an image goes to `on_problem`."""
    grouped: dict[int, list[Entry]] = {key: [] for key in images}
    for annotation in annotations:
        where = f"{file.path} annotation {annotation.get('id')}"
        try:
            image_id = value_of(annotation, "image_id", int, where)
            if image_id not in grouped:
                raise ValueError(f"{where}: expected the id of one of {len(images)} images, got {image_id}")
        except ValueError as problem:
            file.on_problem(problem)
        else:
            grouped[image_id].append(annotation)
    return grouped


def _sample(entry: Entry, annotations: list[Entry], file: File) -> Sample:
    image = find_image(file.folders, [entry["file_name"]], f"{file.path} image {entry['id']}")
    boxes, labels, uncertain = [], [], set()
    for annotation in annotations:
        where = f"{file.path} annotation {annotation.get('id')} of image {entry['id']}"
        if annotation.get("iscrowd"):
            uncertain.add(file.name(annotation.get("category_id")))
            continue
        try:
            label = _label(annotation, file.names, where)
            boxes.append(clip_box(corners(annotation.get("bbox"), where), entry["width"], entry["height"], where))
            labels.append(label)
        except ValueError as problem:
            uncertain.add(file.name(annotation.get("category_id")))
            file.on_problem(problem)
    categories = tuple(sorted(set(labels))) if file.categories is None else file.categories
    target = Target(as_boxes(boxes), tuple(labels), entry["width"], entry["height"], categories)
    return Sample(image, stem_of(entry["file_name"]), target, uncertain=frozenset(uncertain))


def stem_of(file_name: str) -> str:
    """The `image_id` of a file in our samples: its path without extension."""
    return PurePosixPath(file_name).with_suffix("").as_posix()


def _label(annotation: Entry, names: dict[int, str], where: str) -> str:
    key = value_of(annotation, "category_id", int, where)
    if key not in names:
        raise ValueError(f"{where}: expected category_id to be one of the {len(names)} categories, got {key}")
    return names[key]
