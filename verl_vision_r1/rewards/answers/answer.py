"""What a completion says, however it is spelled."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import NO_BOXES, Boxes
from verl_vision_r1.frames import Size, in_axes_of

Function = TypeVar("Function", bound=Callable[..., Any])

MAX_FRAMES: Final = 1e6
"""Coordinates are cut at so many frame sizes: such a box overlaps nothing, and nothing downstream overflows."""

FEW_UNITS: Final = 10.0
"""A frame of no more units may hold boxes within its first unit."""

SLACK: Final = 1e-9
"""Of a frame's size: a box that reaches beyond the border by the last bits of a sum is still inside."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a completion says, in the frame that the model answers in.

    Attributes:
        boxes: (N, 4) float64 `xyxy`, finite, in units of the answer's frame; may leave the frame. Of positive area,
            except where a parser says that boxes without area count as predictions.
        labels: N names as written, or None where an item has none; empty where the answer's form has no labels.
        confidences: (N,) float64 in [0, 1]; None where the answer's form has no confidence.
        content: The answer proper, where its form is text: a class name, a number. Stripped.
        as_asked: The completion has the demanded form, whatever its numbers.
        well_formed: The same, and all boxes lie within the frame.
        parsed: An answer could be read at all, if only by a last resort.
        truncated: The text ends inside its answer.
        out_of_frame: A box reaches beyond the frame, the border itself being inside; or all boxes are fractions of a
            frame that is counted in pixels.
        malformed: Items of the answer that are no box.
        text: The whole completion.
        frame: (width, height) of the frame that the boxes are in.
        form: The form that the boxes were read in, in words; empty where none was found.
    """

    boxes: Boxes = field(default_factory=lambda: NO_BOXES)
    labels: tuple[str | None, ...] = ()
    confidences: NDArray[np.float64] | None = None
    content: str = ""
    as_asked: bool = False
    well_formed: bool = False
    parsed: bool = False
    truncated: bool = False
    out_of_frame: bool = False
    malformed: int = 0
    text: str = ""
    frame: Size = (1.0, 1.0)
    form: str = ""


def reads_special_tokens(parser: Function) -> Function:
    """Mark a parser of a form that contains special tokens. Completions are then decoded with them.

    Custom parsers set the attribute `special_tokens` to true.
    """
    parser.special_tokens = True  # type: ignore[attr-defined]
    return parser


def wants_special_tokens(parser: Callable[..., Any]) -> bool:
    """Whether a parser, with any options, reads completions with their special tokens."""
    return bool(getattr(getattr(parser, "func", parser), "special_tokens", False))


def fit(boxes: Boxes, frame: Size) -> tuple[Boxes, bool]:
    """Boxes as the model writes them to `xyxy`, cut at `MAX_FRAMES` frame sizes; and whether one leaves its frame.

    Args:
        boxes: (N, 4) in units of the frame, in the order of its axes; infinities are cut too.
        frame: (width, height).

    Returns:
        (N, 4) finite boxes, and whether any leaves the frame; the border itself is inside.

    Example:
        >>> fit(np.array([[0.0, 0.0, 100.0, np.inf]]), (100, 50))
        (array([[0.e+00, 0.e+00, 1.e+02, 1.e+08]]), True)
    """
    boxes = in_axes_of(frame, boxes)
    if not leave(boxes, frame):
        return boxes, False
    limit = MAX_FRAMES * max(frame)
    return np.clip(boxes, -limit, limit), True


def leave(boxes: Boxes, frame: Size) -> bool:
    """Whether any box leaves its frame; the border itself is inside.

    Args:
        boxes: (N, 4) `xyxy` in units of the frame.
        frame: (width, height).
    """
    if not len(boxes):
        return False
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    slack = SLACK * max(frame)
    return not (right <= frame[0] + slack and bottom <= frame[1] + slack and boxes.min() >= -slack)


def are_fractions(boxes: Boxes, frame: Size) -> bool:
    """Whether all boxes lie within a unit of the origin, in a frame that has many units: fractions of the image.

    Example:
        >>> are_fractions(np.array([[0.1, 0.2, 0.5, 0.9]]), (1000, 1000))
        True
    """
    return len(boxes) > 0 and min(frame) > FEW_UNITS and bool(np.abs(boxes).max() <= 1)
