"""ReasonSeg, the dataset of LISA: images with instructions that need reasoning, and polygons of their targets.

Published at https://github.com/dvlab-research/LISA, with one JSON file next to each image, `train/4962558651_o.json`:

    {"text": ["the object that keeps the tent from being blown away"], "is_sentence": false,
     "shapes": [{"label": "target", "shape_type": "polygon", "points": [[212, 380], [240, 371], [251, 402]]}]}

Each target polygon becomes one box. Visual-RFT uses the box of the first shape only.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.entries import Entry
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, find_image, fit_box
from verl_vision_r1.documents import expect_regular
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target


def find(source: str) -> Splits:
    """The folders `train/`, `val/` and `test/` that contain JSON files. `explanatory/` is not read.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has none of these.
    """
    folder = expect_folder(source)
    splits = {name: folder / name for name in ("train", "val", "test") if any((folder / name).glob("[!.]*.json"))}
    if not splits:
        raise ValueError(
            f"{source}: expected ReasonSeg (train/NAME.json and train/NAME.jpg; val/ and test/ alike), got a"
            f" folder that contains {contents(folder)}"
        )
    return {name: _reader(path) for name, path in splits.items()}


def _reader(folder: Path) -> Read:
    return lambda on_problem, _: read_lisa(folder, on_problem=on_problem)


def read_lisa(folder: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read one split in the order of the file names.

    Args:
        folder: Folder of the images and their JSON files.
        on_problem: Called with the error of each invalid text, shape and image. A file of another format always
            raises.

    Yields:
        One sample per text. An image without target is a negative sample; an image that lost its only target to a
        defect is skipped. `image_id` is the file name without extension.

    Raises:
        FileNotFoundError: An image does not exist.
        ValueError: A file is not JSON or has another format, or a text, a shape or an image is invalid.
    """
    reading = Reading.of(on_problem)
    for path in sorted(folder.glob("[!.]*.json")):
        entry = _load(path)
        try:
            image = find_image([folder], [f"{path.stem}.jpg"], str(path))
            width, height = shown_size(image)
        except (ValueError, OSError) as problem:
            reading.defect(problem, "image missing or defective", len(entry["text"]))
            continue
        shapes = _Shapes(path, width, height, reading)
        for index, shape in enumerate(entry["shapes"]):
            shapes.add(index, shape)
        texts = _texts(entry, path, reading)
        if shapes.boxes or not shapes.defects:
            yield from _samples(path, image, texts, shapes)
        else:
            reading.leave_out("text about skipped shapes only", len(texts))


def _load(path: Path) -> Entry:
    expect_regular(path)
    try:
        entry = json.loads(_decoded(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON, got a file that is not JSON: {error}") from error
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), list) for key in ("text", "shapes")):
        raise ValueError(f"{path}: expected an object with the lists 'text' and 'shapes', got {shown(entry)}")
    return entry


def _decoded(data: bytes) -> str:
    # Some of the published files have the old Windows encoding.
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


class _Shapes:
    """The boxes of one image, and the number of ignored and defective shapes."""

    def __init__(self, path: Path, width: int, height: int, reading: Reading) -> None:
        self.path, self.size, self.reading = path, (width, height), reading
        self.boxes: list[list[float]] = []
        self.ignored = self.defects = 0

    def add(self, index: int, shape: Any) -> None:
        where = f"{self.path} shape {index}"
        try:
            label = _label(shape, where)
            if label == "target":
                self.boxes.append(fit_box(_rectangle(shape, where), self.size, where, self.reading))
            self.ignored += label == "ignore"
        except ValueError as problem:
            self.defects += 1
            self.reading(problem)


def _label(shape: Any, where: str) -> str:
    label = shape.get("label") if isinstance(shape, dict) else None
    if not isinstance(label, str) or label.lower() not in ("target", "ignore", "flag"):
        raise ValueError(f"{where}: expected the label target, ignore or flag, got {shown(shape)}")
    return label.lower()


def _rectangle(shape: Entry, where: str) -> list[float]:
    points, kind = shape.get("points"), shape.get("shape_type", "polygon")
    if kind not in ("polygon", "rectangle") or not isinstance(points, list) or not points:
        raise ValueError(f"{where}: expected a polygon with 'points', got {shown(shape)}")
    if not all(isinstance(point, list) and len(point) == 2 and all(map(_is_finite, point)) for point in points):
        raise ValueError(f"{where}: expected points [x, y] in pixels, got {shown(points)}")
    columns, rows = zip(*points, strict=True)
    return [min(columns), min(rows), max(columns), max(rows)]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < float("inf")


def _texts(entry: Entry, path: Path, reading: Reading) -> list[str]:
    texts = []
    for index, text in enumerate(entry["text"]):
        if isinstance(text, str) and text.strip():
            texts.append(text.strip())
        else:
            reading.defect(ValueError(f"{path} text {index}: expected an instruction, got {shown(text)}"))
    return texts


def _samples(path: Path, image: Path, texts: list[str], shapes: _Shapes) -> Iterator[Sample]:
    boxes, uncertain = as_boxes(shapes.boxes), frozenset([""] if shapes.ignored or shapes.defects else [])
    for text in texts:
        target = Target(boxes, (text,) * len(boxes), *shapes.size, task="grounding")
        yield Sample(image, path.stem, target, "expression", text, uncertain=uncertain, annotations=1)
