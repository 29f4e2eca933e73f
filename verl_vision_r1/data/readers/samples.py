"""The samples that every reader yields, and the checks of boxes and image paths that the readers share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.entries import four_numbers
from verl_vision_r1.data.readers.problems import OnProblem
from verl_vision_r1.targets import Target

SLACK = 1.0
"""Pixels by which a box may exceed its image: tools round, and count pixels from 0 or from 1."""


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
    """

    image: Path
    image_id: str
    target: Target
    question: str = "categories"
    subject: str = ""
    prompt: str | None = None
    uncertain: frozenset[str] = frozenset()
    collection: str = ""


Read = Callable[[OnProblem, Path], Iterator[Sample]]
"""Reads one split of a dataset. The folder is for images that the dataset embeds in its own files."""

Splits = dict[str, Read]
"""The splits of a dataset by name, such as "train", "val", "testA". `prepare` divides "all" by image."""


def clip_box(box: Sequence[float], width: int, height: int, where: str) -> list[float]:
    """Clip a box to its image.

    Args:
        box: `xyxy` in original-image pixels.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        where: Location for error messages: the file and the annotation.

    Raises:
        ValueError: A coordinate is not finite, the box exceeds the image by more than `SLACK`, or has no area left.

    Example:
        >>> clip_box([-0.5, 2, 8.25, 6], width=8, height=6, where="a.json annotation 1")
        [0.0, 2.0, 8.0, 6.0]
    """
    limits = (width, height, width, height)
    # NaN fails this comparison as well.
    if not all(-SLACK <= value <= limit + SLACK for value, limit in zip(box, limits, strict=True)):
        raise ValueError(f"{where}: expected a box inside {width}x{height} pixels, got {list(box)} (xyxy)")
    clipped = [float(min(max(value, 0.0), limit)) for value, limit in zip(box, limits, strict=True)]
    if not (clipped[0] < clipped[2] and clipped[1] < clipped[3]):
        raise ValueError(f"{where}: expected x1 < x2 and y1 < y2, got {list(box)} (xyxy) in {width}x{height} pixels")
    return clipped


def read_box(value: object, size: tuple[int, int], where: str) -> list[float]:
    """Read a box `[x1, y1, x2, y2]` in pixels and clip it to an image of that size.

    Raises:
        ValueError: The value is not four numbers; or as in `clip_box`.
    """
    return clip_box(four_numbers(value, "[x1, y1, x2, y2]", where), *size, where)


def find_image(folders: Sequence[Path], names: Sequence[str], where: str) -> Path:
    """Find an image: the first name that exists, in the first folder that has it.

    Raises:
        ValueError: A name leads out of the folders.
        FileNotFoundError: No name exists in any folder.
    """
    for name in names:
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise ValueError(f"{where}: expected the path of an image within the dataset's folder, got {name!r}")
        for folder in folders:
            path = folder / name
            try:
                if path.is_file():
                    return path
            except OSError as error:  # The name is too long for the file system.
                raise ValueError(f"{where}: expected the path of an image, got {name!r:.160}: {error}") from error
    searched = ", ".join(map(str, folders))
    raise FileNotFoundError(f"{where}: expected the image {' or '.join(names)} in {searched}, got no such file")


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
