"""The samples that every reader yields, and the checks of boxes and image paths that the readers share."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.entries import LARGEST, four_numbers
from verl_vision_r1.data.readers.problems import OnProblem, Reading
from verl_vision_r1.documents import is_regular_file
from verl_vision_r1.points import Outline
from verl_vision_r1.shown import printable, shown
from verl_vision_r1.targets import Target

SLACK = 1.0
"""Pixels by which a box may exceed its image: tools round, and count pixels from 0 or from 1."""

DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True, eq=False)
class Sample:
    """One annotated image, or one question about it.

    Attributes:
        image: The image file.
        image_id: Name of the image, unique in the dataset.
        target: Ground truth, in original-image pixels. For detection, `categories` are those that were annotated in
            this image: one of them without a box is absent.
        question: The question, one of `prompts.QUESTIONS`.
        subject: What the question is about: a category, an expression, or the kind of object to classify. Empty for
            "categories", which asks for all of them.
        prompt: The prompt, if the dataset has its own.
        uncertain: Categories with objects that have no box here, because of a crowd or a skipped box: they cannot be
            called absent, nor be counted. An empty name stands for any category.
        collection: Name of the part of a dataset that consists of several, such as "refcoco+".
        annotations: Number of annotations of the source that the sample was made from; None for one per box.
        outlines: For pointing, the outline of each box, see `points.Outline`; empty if there are none.
        only_of: For an expression, the category of which its object is the only one in the image; empty where there
            are others, or where the annotations do not tell.
        uses: Numbers of these annotations in the account of `prepare`, which sets them.
    """

    image: Path
    image_id: str
    target: Target
    question: str = "categories"
    subject: str = ""
    prompt: str | None = None
    uncertain: frozenset[str] = frozenset()
    collection: str = ""
    annotations: int | None = None
    outlines: tuple[Outline, ...] = ()
    only_of: str = ""
    uses: Sequence[int] = ()


Read = Callable[[OnProblem, Path], Iterator[Sample]]
"""Reads one split of a dataset. The folder is for images that the dataset embeds in its own files."""

Splits = dict[str, Read]
"""The splits of a dataset by name, such as "train", "val", "testA". `prepare` divides "all" by image."""


class OutsideError(ValueError):
    """A box exceeds its image."""

    reason = "box outside the image"


class NoAreaError(ValueError):
    """A box has no area inside its image."""

    reason = "box without area"


def clip_box(box: Sequence[float], width: int, height: int, where: str, slack: float = SLACK) -> list[float]:
    """Clip a box to its image.

    Args:
        box: `xyxy` in original-image pixels.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        where: Location for error messages: the file and the annotation.
        slack: Pixels by which the box may exceed the image.

    Raises:
        ValueError: A coordinate is not finite, the box exceeds the image by more than `slack`, or has no area left.

    Example:
        >>> clip_box([-0.5, 2, 8.25, 6], width=8, height=6, where="a.json annotation 1")
        [0.0, 2.0, 8.0, 6.0]
    """
    left, top, right, bottom = box
    if 0 <= left < right <= width and 0 <= top < bottom <= height:  # Nearly every box; there are millions.
        return [float(left), float(top), float(right), float(bottom)]
    limits = (width, height, width, height)
    # NaN fails this comparison as well.
    if not all(-slack <= value <= limit + slack for value, limit in zip(box, limits, strict=True)):
        raise OutsideError(f"{where}: expected a box inside {width}x{height} pixels, got {list(box)} (xyxy)")
    clipped = [float(min(max(value, 0.0), limit)) for value, limit in zip(box, limits, strict=True)]
    if not (clipped[0] < clipped[2] and clipped[1] < clipped[3]):
        raise NoAreaError(f"{where}: expected x1 < x2 and y1 < y2, got {list(box)} (xyxy) in {width}x{height} pixels")
    return clipped


def fit_box(box: Sequence[float], size: tuple[int, int], where: str, reading: Reading) -> list[float]:
    """Clip a box as `clip_box` does; with the reader's option `clip`, however far it exceeds its image."""
    if not reading.clip:
        return clip_box(box, *size, where)
    fitted = clip_box(box, *size, where, slack=4 * LARGEST)
    reading.clipped += max(abs(old - new) for old, new in zip(box, fitted, strict=True)) > SLACK
    return fitted


def read_box(value: object, size: tuple[int, int], where: str, reading: Reading | None = None) -> list[float]:
    """Read a box `[x1, y1, x2, y2]` in pixels and clip it to an image of that size.

    Raises:
        ValueError: The value is not four numbers; or as in `clip_box`.
    """
    return fit_box(four_numbers(value, "[x1, y1, x2, y2]", where), size, where, reading or Reading())


def find_image(folders: Sequence[Path], names: Sequence[str], where: str, *, foreign: bool = False) -> Path:
    """Find an image: the first name that exists, in the first folder that has it.

    Args:
        folders: Folders to search.
        names: Paths relative to them.
        where: Location for error messages.
        foreign: Whether a name may be the path on another machine (absolute, or leading out of the folder, as Label
            Studio and Windows write it). It is never followed; its last parts are searched for in the folders.

    Raises:
        ValueError: A name leads out of the folders.
        FileNotFoundError: No name exists in any folder.
    """
    for name in names:
        for part in inner_paths(name, folders, foreign):
            for folder in folders:
                if path := _file_in(folder, part):
                    return path
    if outer := [name for name in names if _leads_out(name)]:
        raise ValueError(f"{where}: expected the path of an image within the dataset's folder, got {shown(outer[0])}")
    searched, wanted = ", ".join(map(str, folders)), " or ".join(printable(name, 160) for name in names)
    raise FileNotFoundError(f"{where}: expected the image {wanted} in {searched}, got no such file")


def inner_paths(name: str, folders: Sequence[Path] = (), foreign: bool = True) -> list[str]:
    r"""The paths within a dataset's folders that a name may mean, in order of preference.

    Example:
        >>> inner_paths("a/1.jpg"), inner_paths("../../media/1.jpg"), inner_paths("C:\\photos\\1.jpg")
        (['a/1.jpg'], ['media/1.jpg', '1.jpg'], ['photos/1.jpg', '1.jpg'])
    """
    plain = _with_slashes(name)
    if not _leads_out(name):
        return [name] if plain == name else [name, plain]
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    outward = [index for index, part in enumerate(parts) if part == ".."]
    inner = [Path(name).relative_to(folder).as_posix() for folder in folders if Path(name).is_relative_to(folder)]
    inner = [] if outward else inner
    parts = parts[outward[-1] + 1 :] if outward else parts
    return inner + ["/".join(parts[start:]) for start in range(len(parts) if foreign else 0)]


def _leads_out(name: str) -> bool:
    plain = _with_slashes(name)
    return plain.startswith("/") or ".." in plain.split("/")


def _with_slashes(name: str) -> str:
    if "\\" not in name and not DRIVE.match(name):
        return name
    return DRIVE.sub("/", name, count=1).replace("\\", "/")


def _file_in(folder: Path, part: str) -> Path | None:
    """The file in the folder; "train2017/1.jpg" may also be in a folder that is itself named "train2017"."""
    if is_regular_file(folder / part):
        return folder / part
    steps = part.split("/")
    counts = [count for count in range(len(steps) - 1, 0, -1) if list(folder.parts[-count:]) == steps[:count]]
    return next((path for count in counts if is_regular_file(path := folder.joinpath(*steps[count:]))), None)


class ImageNames:
    """Names of the images of a dataset: without extension, unless two images then have the same name."""

    def __init__(self) -> None:
        """Start without names."""
        self._names: dict[Path, str] = {}
        self._taken: set[str] = set()

    def add(self, image: Path, short: str, full: str, where: str) -> str:
        """The name of an image.

        Args:
            image: The image file.
            short: The name, if no other image has it.
            full: The name otherwise.
            where: Location for error messages.

        Raises:
            ValueError: Other images have both names.
        """
        if image not in self._names:
            name = full if short in self._taken else short
            if name in self._taken:
                raise ValueError(f"{where}: expected a unique image name, got {shown(full)} for a second image")
            self._taken.add(name)
            self._names[image] = name
        return self._names[image]


def expression_sample(
    image: Path, image_id: str, expression: str, boxes: Sequence[Sequence[float]], size: tuple[int, int]
) -> Sample:
    """A sample that asks for the boxes of a referring expression.

    Example:
        >>> expression_sample(Path("a.jpg"), "a", "red cars", [[0, 0, 4, 3], [4, 0, 8, 3]], (8, 6)).target.labels
        ('red cars', 'red cars')
    """
    target = Target(as_boxes(boxes), (expression,) * len(boxes), *size, task="grounding")
    return Sample(image, image_id, target, question="expression", subject=expression)
