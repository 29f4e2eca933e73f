"""What every reader of a data set yields: one image with what is in it; and what all of them hold a box to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.entries import four_numbers
from verl_vision_r1.data.readers.problems import OnProblem
from verl_vision_r1.targets import Target

SLACK = 1.0
"""Pixels by which a box may leave its image: tools round, and count pixels from 0 or from 1."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One annotated image, or one question about it.

    Attributes:
        image: The image file.
        image_id: Its name in the data set, unique there.
        target: What is in the image, in original-image pixels. Of detection, `categories` are those that were looked
            for in this image: one of them that has no box is absent.
        question: Which question is asked, one of `prompts.QUESTIONS`.
        subject: What the question is about: a category, an expression, the kind of thing to be classified. Empty for
            "categories", which asks for all of them.
        prompt: The words of the question where the data set has its own.
        uncertain: Categories of which not everything in the image has a box here, because of a crowd or a box that was
            left out: nothing can be said of what the image does not have of these. An empty name stands for any.
        collection: Name of the part of the data set, where it is made of several.
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
"""Reads one part of a data set. The folder is for images that the data set holds inside its own files."""

Parts = dict[str, Read]
"""The parts of a data set by name: "train", "val", "testA". What "all" holds is divided by us."""


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


def read_box(value: object, size: tuple[int, int], where: str) -> list[float]:
    """The corners of a box as a file has them, `[x1, y1, x2, y2]`, cut at the border of an image of that size.

    Raises:
        ValueError: They are not four numbers, or as `clip_box`.
    """
    return clip_box(four_numbers(value, "[x1, y1, x2, y2]", where), *size, where)


def find_image(folders: Sequence[Path], names: Sequence[str], where: str) -> Path:
    """The first of the names that exists in the first of the folders.

    Raises:
        ValueError: A name leads out of the folders.
        FileNotFoundError: None of them exists.
    """
    for name in names:
        parts = Path(name).parts
        if ".." in parts or Path(name).is_absolute():
            raise ValueError(f"{where}: expected the path of an image within the data set's folder, got {name!r}")
        for folder in folders:
            path = folder / name
            try:
                if path.is_file():
                    return path
            except OSError as error:  # A name longer than the file system takes.
                raise ValueError(f"{where}: expected the path of an image, got {name!r:.160}: {error}") from error
    looked = ", ".join(map(str, folders))
    raise FileNotFoundError(f"{where}: expected the image {' or '.join(names)} in {looked}, got no such file")


def expression_sample(
    image: Path, image_id: str, expression: str, boxes: Sequence[Sequence[float]], size: tuple[int, int]
) -> Sample:
    """The question what an expression means in an image.

    Example:
        >>> expression_sample(Path("a.jpg"), "a", "red cars", [[0, 0, 4, 3], [4, 0, 8, 3]], (8, 6)).target.labels
        ('red cars', 'red cars')
    """
    target = Target(as_boxes(boxes), (expression,) * len(boxes), *size, task="grounding")
    return Sample(image, image_id, target, question="expression", subject=expression)
