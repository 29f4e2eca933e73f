"""PixMo-Points: images, names, and a point for each thing of that name.

https://huggingface.co/datasets/allenai/pixmo-points (ODC-BY), `data/train-*.parquet`, or the same as JSON Lines. Its
points are in percent of the image. It is published without images, which are expected in `images/`, named as in their
URL or by `image_sha256`; custom files may have the path of an image, `image`, instead:

    {"image_url": "https://example.com/crowd.jpg", "image_sha256": "5d41...", "label": "people", "count": 2,
     "points": [{"x": 10.5, "y": 45.2}, {"x": 63.0, "y": 40.1}], "collection_method": "pointing"}

Points outside the image are moved to its border, as Molmo's data loader does (https://github.com/allenai/molmo). A
point has no size, so the target is a square around it, `SIDE` of the image's shorter side wide, or narrower where the
next point is near. This size is ours. A row without points is a negative sample.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from verl_vision_r1.boxes import NO_BOXES, Boxes
from verl_vision_r1.data.readers import pixmo
from verl_vision_r1.data.readers.entries import text_of
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Sample, Splits
from verl_vision_r1.points import Points
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

SIDE: Final = 0.08
"""Side of the square around a point, as a fraction of the shorter side of the image."""
MOST: Final = 1e6
"""Numbers of at least this size are no percentages."""
LEAST: Final = 2.0
"""Minimum side of the square in pixels."""


def find(source: str) -> Splits:
    """The files `*.parquet` or `*.jsonl` in the folder or in `data/`.

    A file whose name starts with "train", "val", "validation" or "test" belongs to that split, any other to "all".

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has no such file.
    """
    folder = expect_folder(source)
    splits = pixmo.splits_of(folder, read_points)
    if not splits:
        raise ValueError(
            f"{source}: expected PixMo-Points (*.parquet or *.jsonl), got a folder that contains {contents(folder)}"
        )
    return splits


def read_points(path: Path, folder: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read one file, row by row.

    Args:
        path: A `.parquet` or `.jsonl` file.
        folder: Folder of the dataset, with the images in it or in `images/`.
        on_problem: Called with the error of each invalid row.

    Yields:
        Samples of the task pointing. `image_id` is the path of the image within the folder.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file has another format, or a row is invalid.
    """
    reading = Reading.of(on_problem)
    for where, row in pixmo.rows_of(path, "points", reading):
        try:
            label, points = text_of(row, "label", where).strip(), _points(row.get("points"), where, reading)
            image = pixmo.image_of(row, folder, where)
            size = shown_size(image)
            boxes = squares(points * size / 100, size)
            target = Target(boxes, (label,) * len(boxes), *size, (label,), "pointing")
        except (ValueError, OSError) as problem:
            reading.defect(problem, "row missing its image, or defective")
        else:
            yield Sample(image, image.relative_to(folder).as_posix(), target, "points", label, annotations=1)


def _points(value: Any, where: str, reading: Reading) -> Points:
    """(N, 2) points in percent, inside the image."""
    entries = value if isinstance(value, list) else [value]
    rows = [tuple(entry.get(axis) for axis in "xy") if isinstance(entry, dict) else (None,) for entry in entries]
    if not all(_is_percent(number) for row in rows for number in row):
        raise ValueError(
            f"{where}: expected 'points' to be a list of {{'x': ..., 'y': ...}} in percent, got {shown(value)}"
        )
    points = np.array(list(dict.fromkeys(rows)), dtype=np.float64).reshape(-1, 2)
    inside: Points = points.clip(0.0, 100.0)
    if (inside != points).any():
        reading.note("points outside their image were moved to its border")
    return inside


def _is_percent(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def squares(points: Points, size: tuple[int, int]) -> Boxes:
    """The square around each point, cut at the border of the image; no two of them overlap, unless `LEAST` wide.

    Args:
        points: (N, 2) in pixels.
        size: Width and height of the image in pixels.

    Example:
        >>> squares(np.array([[50.0, 50.0], [53.0, 50.0]]), (100, 200)).tolist()
        [[48.5, 48.5, 51.5, 51.5], [51.5, 48.5, 54.5, 51.5]]
    """
    if not len(points):
        return NO_BOXES
    apart = np.abs(points[:, None] - points).max(axis=2)
    np.fill_diagonal(apart, SIDE * min(size))
    half = np.maximum(np.minimum(apart.min(axis=1), SIDE * min(size)), LEAST) / 2
    # A point on the border keeps half of its square; a square needs some area inside the image.
    centres = np.clip(points, LEAST / 4, np.array(size) - LEAST / 4)
    boxes: Boxes = np.clip(np.hstack([centres - half[:, None], centres + half[:, None]]), 0.0, [*size, *size])
    return boxes
