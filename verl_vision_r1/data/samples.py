"""What every converter yields: one image with what is in it; and what all of them hold a box to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_vision_r1.targets import Target

SLACK = 1.0
"""Pixels by which a box may leave its image: tools round, and count pixels from 0 or from 1."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One annotated image.

    Attributes:
        image: The image file.
        image_id: Its name in the data set, unique there.
        target: Boxes in original-image pixels, labels, size of the image and the categories of the whole data set.
        partial: Whether something that was annotated has no box here: a crowd, or a box that was left out. Such an
            image without boxes is not a negative image.
    """

    image: Path
    image_id: str
    target: Target
    partial: bool = False


def clip_box(box: Sequence[float], width: int, height: int, where: str) -> list[float]:
    """Cut a box at the border of its image.

    Args:
        box: `xyxy` in original-image pixels.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        where: What a message begins with: the file and the annotation.

    Raises:
        ValueError: A coordinate is not finite, the box leaves the image by more than `SLACK`, or nothing is left.

    Example:
        >>> clip_box([-0.5, 2, 8.25, 6], width=8, height=6, where="a.json annotation 1")
        [0.0, 2.0, 8.0, 6.0]
    """
    limits = (width, height, width, height)
    # Written so that a coordinate which is not a number fails it as well.
    if not all(-SLACK <= value <= limit + SLACK for value, limit in zip(box, limits, strict=True)):
        raise ValueError(f"{where}: expected a box inside {width}x{height} pixels, got {list(box)} (xyxy)")
    clipped = [float(min(max(value, 0.0), limit)) for value, limit in zip(box, limits, strict=True)]
    if not (clipped[0] < clipped[2] and clipped[1] < clipped[3]):
        raise ValueError(f"{where}: expected x1 < x2 and y1 < y2, got {list(box)} (xyxy) in {width}x{height} pixels")
    return clipped


def find_image(folders: Sequence[Path], names: Sequence[str], where: str) -> Path:
    """The first of the names that exists in the first of the folders.

    Raises:
        FileNotFoundError: None of them exists.
    """
    for path in (folder / name for name in names for folder in folders):
        if path.is_file():
            return path
    looked = ", ".join(map(str, folders))
    raise FileNotFoundError(f"{where}: expected the image {' or '.join(names)} in {looked}, got no such file")
