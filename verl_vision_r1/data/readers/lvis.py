"""LVIS v1: 1203 categories in the images of COCO 2017, each image annotated for a few of them only.

Published at https://www.lvisdataset.org; the annotations are CC BY 4.0, the images keep the terms of their owners on
Flickr. It is COCO's format, but of an image two more lists say what is known (a "federated" data set):

    {"id": 391895, "coco_url": "http://images.cocodataset.org/train2017/000000391895.jpg", "width": 640, "height": 360,
     "neg_category_ids": [121, 1191], "not_exhaustive_category_ids": [805]}

Categories of the first list are not in the image; of those of the second not every object has a box. Of any other
category without a box nothing is known, so it is not asked for.
"""

import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.coco import load
from verl_vision_r1.data.readers.entries import Entry, corners, size_of, value_of
from verl_vision_r1.data.readers.folders import contents, existing, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Parts, Read, Sample, clip_box, find_image
from verl_vision_r1.targets import Target


def find(source: str) -> Parts:
    """`lvis_v1_train.json` and `lvis_v1_val.json`, in the folder itself or in `annotations/`.

    The images lie in `train2017/` and `val2017/`, in the folder itself or in `images/`. "val" needs both.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds none of these files.
    """
    folder = expect_folder(source)
    bases = (folder, folder / "images")
    images = existing([*bases, *(base / name for base in bases for name in ("train2017", "val2017"))])
    for place in (folder, folder / "annotations"):
        files = {part: place / f"lvis_v1_{part}.json" for part in ("train", "val")}
        if found := {part: _reader(file, images) for part, file in files.items() if file.is_file()}:
            return found
    raise ValueError(
        f"{source}: expected LVIS annotations (lvis_v1_train.json or lvis_v1_val.json, here or in annotations/), got a"
        f" folder that holds {contents(folder)}"
    )


def _reader(annotations: Path, images: Sequence[Path]) -> Read:
    return lambda on_problem, _: read_lvis(annotations, *images, on_problem=on_problem)


@dataclass(frozen=True)
class _File:
    path: Path
    folders: Sequence[Path]
    names: dict[int, str]
    on_problem: OnProblem

    def name(self, category: object) -> str:
        """The name of a category; empty where there is none."""
        return self.names.get(category, "") if type(category) is int else ""


def read_lvis(annotations: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read an LVIS file, image by image in the order of the file.

    Args:
        annotations: The JSON file.
        images: The folders in which `train2017/000000391895.jpg` may lie.
        on_problem: Told about each bad box and image. Faults of the whole file always raise.

    Yields:
        Samples that ask for the categories of which all is known, sorted: all their objects have a box, or there is
        none. The others that are in the image are `uncertain`. An image of which nothing is known is passed over.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is not LVIS JSON, an id or name comes twice or is unknown, or a box is wrong.
    """
    document = load(annotations)
    file = _File(annotations, images, _names(document["categories"], annotations), on_problem)
    entries = _images(document["images"], file)
    grouped = _group(document["annotations"], file, entries)
    for image_id, entry in entries.items():
        try:
            sample = _sample(entry, grouped[image_id], file)
        except (ValueError, OSError) as problem:
            on_problem(problem)
        else:
            # A closed list without a name in it asks for nothing.
            if sample.target.categories:
                yield sample


def _names(entries: list[Entry], path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for entry in entries:
        where = f"{path} category {entry.get('id')}"
        key, name = value_of(entry, "id", int, where), value_of(entry, "name", str, where)
        if key in names or name in names.values() or not name.strip():
            raise ValueError(f"{where}: expected an id and a name that no other category has, got {name!r}")
        names[key] = name
    return names


def _images(entries: list[Entry], file: _File) -> dict[int, Entry]:
    images: dict[int, Entry] = {}
    taken: set[str] = set()
    for entry in entries:
        where = f"{file.path} image {entry.get('id')}"
        try:
            key, stem = value_of(entry, "id", int, where), _stem(_image_name(entry, where))
            if key in images or stem in taken:
                raise ValueError(f"{where}: expected an id and a file name that no other image has, got {stem!r}")
        except ValueError as problem:
            file.on_problem(problem)
        else:
            images[key] = entry
            taken.add(stem)
    return images


def _image_name(entry: Entry, where: str) -> str:
    if isinstance(entry.get("file_name"), str):
        return str(entry["file_name"])
    return "/".join(PurePosixPath(value_of(entry, "coco_url", str, where)).parts[-2:])


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _group(annotations: list[Entry], file: _File, images: dict[int, Entry]) -> dict[int, list[Entry]]:
    grouped: dict[int, list[Entry]] = {key: [] for key in images}
    for annotation in annotations:
        where = f"{file.path} annotation {annotation.get('id')}"
        try:
            image_id = value_of(annotation, "image_id", int, where)
            if image_id not in grouped:
                raise ValueError(f"{where}: expected the id of one of {len(images)} images, got {image_id}")
            grouped[image_id].append(annotation)
        except ValueError as problem:
            file.on_problem(problem)
    return grouped


def _sample(entry: Entry, annotations: list[Entry], file: _File) -> Sample:
    where = f"{file.path} image {entry['id']}"
    width, height = size_of(entry, where)
    image = find_image(file.folders, [_image_name(entry, where)], where)
    absent = _categories(entry, "neg_category_ids", file, where)
    uncertain = _categories(entry, "not_exhaustive_category_ids", file, where)
    boxes: list[tuple[str, list[float]]] = []
    for annotation in annotations:
        label = file.name(annotation.get("category_id"))
        try:
            boxes.append((label, _box(annotation, label, absent, (width, height), where)))
        except ValueError as problem:
            # With one box missing, no answer about its category could be judged.
            uncertain.add(label)
            file.on_problem(problem)
    asked = (absent | {label for label, _ in boxes}) - uncertain
    kept = [(label, box) for label, box in boxes if label in asked]
    labels = tuple(label for label, _ in kept)
    target = Target(as_boxes([box for _, box in kept]), labels, width, height, tuple(sorted(asked)))
    return Sample(image, _stem(image.name), target, uncertain=frozenset(uncertain))


def _categories(entry: Entry, key: str, file: _File, where: str) -> set[str]:
    names = set()
    for category in value_of(entry, key, list, where):
        if name := file.name(category):
            names.add(name)
        else:
            got = reprlib.repr(category)
            file.on_problem(ValueError(f"{where}: expected the ids of categories in {key!r}, got {got}"))
    return names


def _box(annotation: Entry, label: str, absent: set[str], size: tuple[int, int], where: str) -> list[float]:
    where = f"{where} annotation {annotation.get('id')}"
    if not label:
        got = reprlib.repr(annotation.get("category_id"))
        raise ValueError(f"{where}: expected category_id to be one of the categories, got {got}")
    if label in absent:
        raise ValueError(f"{where}: expected no category of the image's 'neg_category_ids', got {label!r}")
    return clip_box(corners(annotation.get("bbox"), where), *size, where)
