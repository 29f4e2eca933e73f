"""Coordinate frames: conversion between the frame of a model's boxes and original-image pixels.

Boxes are stored in original-image pixels, as `xyxy`. Each model family writes boxes in its own frame: Qwen2.5-VL in
pixels of the resized image, Qwen3-VL and GLM-V on a 0-1000 grid, Gemma 4 on the same grid with y first. Every size is
(width, height). This is the only module that converts.
"""

import math
from numbers import Real
from typing import Final

import numpy as np

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.families import FAMILIES

Size = tuple[float, float]
"""(width, height) of a frame, in its own units."""


class YFirst(tuple[float, float]):
    """(width, height) of a frame in which the model writes boxes as `[y1, x1, y2, x2]`."""

    __slots__ = ()


FRAMES: Final = ("resized_pixels", "relative_1000", "relative_1", "relative_1000_yxyx")
Y_FIRST: Final = "yxyx"
"""Stands after the size of a frame with y first, where it is written."""

MAX_FRAME: Final = 1_000_000
"""Maximum width and height of a frame in its own units."""


def read_size(text: object) -> Size | None:
    """Parse a size written as WIDTHxHEIGHT, with ` yxyx` for a frame with y first; None if the text has another form.

    Example:
        >>> read_size("644x476"), read_size("644x0"), read_size("wide")
        ((644.0, 476.0), None, None)
        >>> type(read_size("1000x1000 yxyx")).__name__
        'YFirst'
    """
    if not isinstance(text, str):
        return None
    sides = text.removesuffix(f" {Y_FIRST}")
    try:
        width, height = map(float, sides.split("x"))
    except ValueError:
        return None
    if not is_frame((width, height)):
        return None
    return (width, height) if sides == text else YFirst((width, height))


def write_size(frame: Size) -> str:
    """The text of a size that `read_size` parses.

    Example:
        >>> write_size((644.0, 476.0)), write_size(YFirst((1000, 1000)))
        ('644x476', '1000x1000 yxyx')
    """
    order = axes(frame)
    return f"{frame[0]:g}x{frame[1]:g}" + (f" {order}" if order == Y_FIRST else "")


def is_frame(size: object) -> bool:
    """Whether a value is the size of a frame: two numbers from 1 to `MAX_FRAME`.

    Example:
        >>> is_frame((1000, 1000)), is_frame((0, 0)), is_frame(None)
        (True, False, False)
    """
    if not isinstance(size, tuple | list) or len(size) != 2:
        return False
    numbers = (isinstance(side, Real) and not isinstance(side, bool) for side in size)
    return all(numbers) and all(1 <= float(side) <= MAX_FRAME for side in size)


def resolve_frame(name: str, family: str) -> str:
    """The frame for the configuration key `vision_r1.frame`.

    Args:
        name: One of `FRAMES`, or `auto` for the frame of the model's family.
        family: `model_type` of the model's configuration, such as `qwen2_5_vl`.

    Raises:
        ValueError: The name is unknown, or it is `auto` and the frame of the family is not known.

    Example:
        >>> resolve_frame("auto", "qwen2_5_vl")
        'resized_pixels'
    """
    if name == "auto":
        if family not in FAMILIES or FAMILIES[family].frame is None:
            known = ", ".join(name for name, known in FAMILIES.items() if known.frame)
            raise ValueError(
                f"vision_r1.frame: auto knows the families {known}, got {family!r};"
                f" set the frame explicitly to one of {', '.join(FRAMES)}"
            )
        return str(FAMILIES[family].frame)
    if name not in FRAMES:
        raise ValueError(f"vision_r1.frame: expected auto or one of {', '.join(FRAMES)}, got {name!r}")
    return name


def frame_size(frame: str, resized: Size) -> Size:
    """Width and height of a frame in its own units.

    Args:
        frame: One of `FRAMES`.
        resized: Size in pixels of the resized image that is the model's input.

    Example:
        >>> frame_size("resized_pixels", (644, 476)), frame_size("relative_1000", (644, 476))
        ((644, 476), (1000.0, 1000.0))
    """
    sizes: dict[str, Size] = {
        "resized_pixels": resized,
        "relative_1000": (1000.0, 1000.0),
        "relative_1": (1.0, 1.0),
        "relative_1000_yxyx": YFirst((1000.0, 1000.0)),
    }
    return sizes[frame]


def axes(frame: Size) -> str:
    """The order in which a model writes the axes of a box in a frame: `xyxy` or `yxyx`."""
    return Y_FIRST if isinstance(frame, YFirst) else "xyxy"


def in_axes_of(frame: Size, boxes: Boxes) -> Boxes:
    """Boxes with the axes in the order of a frame, from `xyxy`; and back, which is the same.

    Args:
        frame: The size of the frame.
        boxes: (N, 4) `xyxy`, or as the model writes them.

    Returns:
        (N, 4) as the model writes them, or `xyxy`.

    Example:
        >>> in_axes_of(YFirst((1000, 1000)), np.array([[1.0, 2.0, 30.0, 40.0]])).tolist()
        [[2.0, 1.0, 40.0, 30.0]]
    """
    return boxes[:, [1, 0, 3, 2]] if isinstance(frame, YFirst) else boxes


def to_frame(boxes: Boxes, source: Size, destination: Size) -> Boxes:
    """Convert boxes from one frame of an image to another. They are `xyxy` in both, whatever the order of its axes.

    Args:
        boxes: (N, 4) `xyxy` in units of the source frame.
        source: Size of the source frame.
        destination: Size of the destination frame.

    Returns:
        (N, 4) `xyxy` in units of the destination frame.

    Example:
        >>> to_frame(np.array([[50.0, 100.0, 500.0, 1000.0]]), (1000, 1000), (640, 480)).tolist()
        [[32.0, 48.0, 320.0, 480.0]]
    """
    if source == destination:
        return boxes
    scale_x, scale_y = destination[0] / source[0], destination[1] / source[1]
    moved: Boxes = boxes * np.array([scale_x, scale_y, scale_x, scale_y])
    return moved


def smart_resize(width: int, height: int, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """The size to which an image is resized for a Qwen-VL model: multiples of `factor`, the area within bounds.

    Args:
        width: Width of the original image in pixels.
        height: Height of the original image in pixels.
        factor: Side of one visual token in pixels: patch size times merge size, 28 or 32.
        min_pixels: Minimum area of the result.
        max_pixels: Maximum area of the result.

    Returns:
        (width, height) in pixels.

    Source:
        `smart_resize` of `qwen_vl_utils`, which verl uses. A test compares it with that function and with the Qwen2-VL
        image processor of transformers, which differs only for sides under half a token.

    Example:
        >>> smart_resize(640, 480, 28, 3136, 401408)
        (644, 476)
    """
    resized = [max(factor, round(side / factor) * factor) for side in (width, height)]
    if resized[0] * resized[1] > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        resized = [max(factor, math.floor(side / shrink / factor) * factor) for side in (width, height)]
    elif resized[0] * resized[1] < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        resized = [math.ceil(side * grow / factor) * factor for side in (width, height)]
    return resized[0], resized[1]
