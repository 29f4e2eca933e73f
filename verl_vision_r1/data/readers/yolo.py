"""YOLO detection datasets, as Ultralytics, Roboflow and Label Studio write them: one text file per image.

Format: https://docs.ultralytics.com/datasets/detect/; each dataset has its own licence. The objects of
`images/train/a.jpg` are in `labels/train/a.txt`, one per line: the class number, then the centre and size of the box,
normalised to the image size, or the points of a polygon, which becomes its bounding box:

    17 0.617000 0.359444 0.114000 0.173820

An image with an empty file, or without one, has no objects. A repeated line counts once. The size of an image is its
size as displayed, with the EXIF orientation applied.

supervision 0.31.2 reads YOLO files too, but not the splits of `data.yaml`, lists of images or subfolders; it accepts
boxes outside the image, stops at the first invalid line, and keeps a mask of every polygon (572 MiB for 50 of them in
one image of 12 megapixels).
"""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.entries import read_text
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, clip_box, find_image
from verl_vision_r1.targets import Target

ENDINGS: Final = (".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp")

Names = dict[float, str]
"""Class names by number."""


def find(source: str) -> Splits:
    """The splits of `data.yaml`; or `images/` as "all" if there is only a `classes.txt`.

    If "train" and "val" are the same images, as in COCO128, they are "all".

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has neither file, or `data.yaml` has no names, or a split of it is not in the folder.
    """
    folder = expect_folder(source).resolve()
    for file in (folder / "data.yaml", folder / "data.yml"):
        if file.is_file():
            return _configured(file)
    for file in (folder / "classes.txt", folder / "labels" / "classes.txt"):
        if file.is_file() and (folder / "images").is_dir() and (folder / "labels").is_dir():
            lines = [line.strip() for line in read_text(file).splitlines() if line.strip()]
            return {"all": _reader([folder / "images"], folder, _names(lines, file))}
    raise ValueError(
        f"{source}: expected YOLO files (data.yaml, or classes.txt with images/ and labels/), got a folder that"
        f" contains {contents(folder)}"
    )


def _reader(places: Sequence[Path], folder: Path, names: Names) -> Read:
    return lambda on_problem, _: read_yolo(*places, folder=folder, names=names, on_problem=on_problem)


def _configured(file: Path) -> Splits:
    document = _load(file)
    names = _names(document.get("names"), file)
    if document.get("kpt_shape") is not None:
        raise ValueError(
            f"{file}: expected boxes or polygons, got keypoints (kpt_shape {document['kpt_shape']!r:.80})"
        )
    found = {split: _places(document, split, file) for split in ("train", "val", "test")}
    if found["train"] == found["val"]:
        found = {"all": found["train"], "test": found["test"]}
    splits = {split: _reader(places, file.parent, names) for split, places in found.items() if places}
    if not splits:
        keys = ", ".join(map(str, document))
        raise ValueError(f"{file}: expected images of 'train', 'val' or 'test', got none (the keys are {keys})")
    return splits


def _load(file: Path) -> dict[Any, Any]:
    try:
        document = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{file}: expected YAML, got {str(error)!r:.200}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{file}: expected a YAML mapping with 'names' and 'train', got {document!r:.80}")
    return document


def _names(value: Any, file: Path) -> Names:
    names = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(names, dict) or not names:
        raise ValueError(f"{file}: expected 'names' to be a list of classes, or names by number, got {value!r:.80}")
    for key, name in names.items():
        # YAML reads an unquoted 3 as a number, which is a valid name, and an unquoted `no` as false, which is not.
        if type(key) is not int or type(name) not in (str, int) or not str(name).strip():
            raise ValueError(f"{file}: expected a whole number and a class name, got {key!r}: {name!r:.80}")
    found = {key: str(name) for key, name in names.items()}
    if len(set(found.values())) != len(found):
        raise ValueError(f"{file}: expected unique class names, got {sorted(found.values())!r:.200}")
    return found


def _places(document: dict[Any, Any], split: str, file: Path) -> list[Path]:
    """The image folders of one split, or the files that list its images. A missing test split is no error."""
    root, value = document.get("path") or ".", document.get(split) or []
    entries = value if isinstance(value, list) else [value]
    if not isinstance(root, str) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"{file}: expected 'path' and {split!r} to be folders, got {root!r:.80} and {value!r:.80}")
    places = [place for entry in entries if (place := _place(entry, (file.parent / root, file.parent), file))]
    if len(places) < len(entries) and split != "test":
        raise ValueError(
            f"{file}: expected {split!r} to be in {file.parent}, got {value!r:.200}: no such folder or list"
        )
    return places


def _place(entry: str, roots: Sequence[Path], file: Path) -> Path | None:
    inner = entry
    while inner.startswith("../"):
        # Roboflow writes paths relative to one of the image folders.
        inner = inner.removeprefix("../")
    places = [Path(os.path.normpath(root / name)) for name in (entry, inner) for root in roots]
    existing = [place for place in places if place.is_dir() or (place.suffix == ".txt" and place.is_file())]
    inside = [place for place in existing if place.is_relative_to(file.parent)]
    if existing and not inside:
        raise ValueError(f"{file}: expected folders within {file.parent}, got {entry!r}, which is {existing[0]}")
    return inside[0] if inside else None


def read_yolo(*places: Path, folder: Path, names: Names, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read images and their label files.

    Args:
        places: Folders to search for images, with all subfolders, and text files that list images.
        folder: Folder of the dataset.
        names: Class names by number.
        on_problem: Called with the error of each invalid line and image.

    Yields:
        Samples with boxes in `xyxy`, pixels. `image_id` is the path of the image within the folder.

    Raises:
        ValueError: There is no image, or no image has a label file; a line or an image is invalid.
        FileNotFoundError: A listed image does not exist.
    """
    images = list(dict.fromkeys(image for place in places for image in _images(place, folder, on_problem)))
    where = ", ".join(map(str, places))
    if not images:
        raise ValueError(f"{where}: expected images ({', '.join(ENDINGS)}), got none")
    if not any(_label_file(image, folder).is_file() for image in images):
        wanted = _label_file(images[0], folder)
        raise ValueError(f"{where}: expected label files such as {wanted}, got none for {len(images)} images")
    for image in images:
        try:
            sample = _sample(image, folder, names, on_problem)
        except ValueError as problem:
            on_problem(problem)
        else:
            yield sample


def _images(place: Path, folder: Path, on_problem: OnProblem) -> Iterator[Path]:
    if place.is_dir():
        # Some systems add files that start with a dot to archives.
        visible = (path for path in place.rglob("*") if "/." not in f"/{path.relative_to(folder).as_posix()}")
        yield from sorted(path for path in visible if path.suffix.lower() in ENDINGS and path.is_file())
        return
    for number, line in enumerate(read_text(place).splitlines(), 1):
        if name := line.strip():
            try:
                yield find_image((place.parent, folder), [name.removeprefix(f"{folder}/")], f"{place} line {number}")
            except (ValueError, OSError) as problem:
                on_problem(problem)


def _label_file(image: Path, folder: Path) -> Path:
    """The label file: the last folder "images" becomes "labels"; without one, the file is next to the image."""
    parts = list(image.relative_to(folder).with_suffix(".txt").parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return folder.joinpath(*parts)


def _sample(image: Path, folder: Path, names: Names, on_problem: OnProblem) -> Sample:
    width, height = shown_size(image)
    file = _label_file(image, folder)
    lines = read_text(file).splitlines() if file.is_file() else []
    boxes, labels, uncertain, seen = [], [], set(), set()
    for number, line in enumerate(lines, 1):
        fields = tuple(line.split())
        if not fields or fields in seen:
            continue
        seen.add(fields)
        where = f"{file} line {number}"
        try:
            label = _label(fields[0], names, where)
            x1, y1, x2, y2 = _corners(fields[1:], where)
            boxes.append(clip_box([x1 * width, y1 * height, x2 * width, y2 * height], width, height, where))
            labels.append(label)
        except ValueError as problem:
            uncertain.add(_class(fields[0], names))
            on_problem(problem)
    target = Target(as_boxes(boxes), tuple(labels), width, height, tuple(names[key] for key in sorted(names)))
    return Sample(image, image.relative_to(folder).as_posix(), target, uncertain=frozenset(uncertain))


def _class(field: str, names: Names) -> str:
    try:
        return names.get(float(field), "")
    except ValueError:
        return ""


def _label(field: str, names: Names, where: str) -> str:
    if not (name := _class(field, names)):
        raise ValueError(f"{where}: expected the number of one of {len(names)} classes, got {field!r:.80}")
    return name


def _corners(fields: Sequence[str], where: str) -> list[float]:
    """A box, or the bounding box of a polygon, as `xyxy` normalised to the image size.

    Example:
        >>> _corners("0.5 0.5 0.25 0.5".split(), "a.txt line 1")
        [0.375, 0.25, 0.625, 0.75]
        >>> _corners("0.1 0.2 0.5 0.2 0.3 0.9".split(), "a.txt line 2")
        [0.1, 0.2, 0.5, 0.9]
    """
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = []
    if not (len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)) or not all(map(math.isfinite, values)):
        got = f"{len(fields)}: {' '.join(fields)!r:.80}"
        raise ValueError(f"{where}: expected 4 numbers for a box or 6 or more for a polygon, got {got}")
    if len(values) > 4:
        return [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])]
    x, y, width, height = values
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
