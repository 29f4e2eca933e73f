"""YOLO detection datasets, as Ultralytics, Roboflow, Label Studio, Darknet and CVAT write them: a text file per image.

Format: https://docs.ultralytics.com/datasets/detect/; each dataset has its own licence. The objects of
`images/train/a.jpg` are in `labels/train/a.txt`, one per line: the class number, then the centre and size of the box,
normalised to the image size, or the points of a polygon, which becomes its bounding box:

    17 0.617000 0.359444 0.114000 0.173820

An image with an empty file, or without one, has no objects. The size of an image is its size as displayed, with the
EXIF orientation applied. `yolo_layouts` finds the files.

supervision 0.31.2 reads YOLO files too, but not the splits of `data.yaml`, lists of images or subfolders; it accepts
boxes outside the image, stops at the first invalid line, and keeps a mask of every polygon (572 MiB for 50 of them in
one image of 12 megapixels).
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.folders import listed
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Sample, find_image, fit_box
from verl_vision_r1.documents import read_text
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

ENDINGS: Final = (".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp")

Names = dict[float, str]
"""Class names by number."""


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
    reading = Reading.of(on_problem)
    images = list(dict.fromkeys(image for place in places for image in _images(place, folder, reading)))
    where = listed(map(str, places))
    if not images:
        raise ValueError(f"{where}: expected images ({', '.join(ENDINGS)}), got none")
    if not any(_label_file(image, folder).is_file() for image in images):
        wanted = _label_file(images[0], folder)
        raise ValueError(f"{where}: expected label files such as {wanted}, got none for {len(images)} images")
    for image in images:
        lines: list[tuple[str, list[str]]] = []
        try:
            lines = _lines(_label_file(image, folder))
            size = shown_size(image)
        except (ValueError, OSError) as problem:
            reading.defect(problem, "image missing or defective", len(lines))
        else:
            yield _sample(image, size, lines, folder, names, reading)


def _images(place: Path, folder: Path, reading: Reading) -> Iterator[Path]:
    if place.is_dir():
        # Some systems add files that start with a dot to archives.
        visible = (path for path in place.rglob("*") if "/." not in f"/{path.relative_to(folder).as_posix()}")
        yield from sorted(path for path in visible if path.suffix.lower() in ENDINGS and path.is_file())
        return
    for number, line in enumerate(read_text(place).splitlines(), 1):
        if name := line.strip():
            where, inner = f"{place} line {number}", name.removeprefix(f"{folder}/").removeprefix("./")
            try:
                # The lists of Darknet and CVAT start at Darknet's folder: data/obj_train_data/a.jpg.
                yield find_image(
                    (place.parent, folder), list(dict.fromkeys([inner, inner.removeprefix("data/")])), where
                )
            except FileNotFoundError as problem:
                reading.defect(problem, "image missing or defective", len(_orphans(inner, folder)))
            except (ValueError, OSError) as problem:
                reading(problem)


def _orphans(name: str, folder: Path) -> list[tuple[str, list[str]]]:
    """The lines about an image that does not exist."""
    try:
        return _lines(_label_file(folder / name, folder))
    except (ValueError, OSError):
        return []


def _lines(file: Path) -> list[tuple[str, list[str]]]:
    """The location and the fields of each line of a label file; none if the file does not exist."""
    lines = read_text(file).splitlines() if file.is_file() else []
    return [(f"{file} line {number}", fields) for number, line in enumerate(lines, 1) if (fields := line.split())]


def _label_file(image: Path, folder: Path) -> Path:
    """The label file: the last folder "images" becomes "labels"; without one, the file is next to the image."""
    parts = list(image.relative_to(folder).with_suffix(".txt").parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return folder.joinpath(*parts)


def _sample(
    image: Path,
    size: tuple[int, int],
    lines: Sequence[tuple[str, Sequence[str]]],
    folder: Path,
    names: Names,
    reading: Reading,
) -> Sample:
    boxes, labels, uncertain = [], [], set()
    for where, fields in lines:
        try:
            label = _label(fields[0], names, where)
            box = [side * scale for side, scale in zip(_corners(fields[1:], where), size * 2, strict=True)]
            boxes.append(fit_box(box, size, where, reading))
            labels.append(label)
        except ValueError as problem:
            uncertain.add(_class(fields[0], names))
            reading.defect(problem)
    target = Target(as_boxes(boxes), tuple(labels), *size, tuple(names[key] for key in sorted(names)))
    return Sample(image, image.relative_to(folder).as_posix(), target, uncertain=frozenset(uncertain))


def _class(field: str, names: Names) -> str:
    try:
        return names.get(float(field), "")
    except ValueError:
        return ""


def _label(field: str, names: Names, where: str) -> str:
    if not (name := _class(field, names)):
        raise ValueError(f"{where}: expected the number of one of {len(names)} classes, got {shown(field)}")
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
        got = f"{len(fields)}: {shown(' '.join(fields), 80)}"
        raise ValueError(f"{where}: expected 4 numbers for a box or 6 or more for a polygon, got {got}")
    if len(values) > 4:
        return [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])]
    x, y, width, height = values
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
