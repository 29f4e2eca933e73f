"""Augmentation of annotated images: random crops, reflections and colours."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes, area
from verl_vision_r1.targets import Target

SMALLEST: Final = 0.6
"""Smallest side of a crop, as a fraction of the image's."""
VISIBLE: Final = 0.6
"""An object that is visible by at least this fraction of its box is annotated in the crop."""
HIDDEN: Final = 0.05
"""Of an object that is not annotated, at most this fraction is visible: otherwise the crop is not taken."""
TRIES: Final = 20
"""Crops that are tried before the whole image is taken."""
COLOURS: Final = 0.25
"""Maximum relative change of brightness, contrast and saturation."""


def augmented(image: Any, target: Target, generator: np.random.Generator) -> tuple[Any, Target]:
    """A random crop of an image, in half of the cases reflected, with other colours; and its ground truth.

    Args:
        image: The image, of any size.
        target: Its ground truth, in pixels of the original image.
        generator: Source of randomness.

    Returns:
        The changed image and its ground truth, in pixels of the changed image.
    """
    width, height = image.size
    from PIL import ImageOps

    width, height = image.size
    boxes = target.boxes * np.tile([width / target.width, height / target.height], 2)
    (left, top, right, bottom), kept = _window(boxes, width, height, generator)
    width, height = right - left, bottom - top
    image = image.crop((left, top, right, bottom))
    boxes = (boxes[kept] - [left, top, left, top]).clip(0, [width, height] * 2)
    if generator.random() < 0.5:
        image, boxes = ImageOps.mirror(image), _reflected(boxes, width)
    labels = tuple(label for label, keep in zip(target.labels, kept, strict=True) if keep)
    changed = replace(target, boxes=boxes, labels=labels, width=width, height=height)
    return _recoloured(image, generator), changed


def _window(
    boxes: Boxes, width: int, height: int, generator: np.random.Generator
) -> tuple[tuple[int, int, int, int], NDArray[np.bool_]]:
    """A crop (left, top, right, bottom) that shows or hides each object, and whether it shows it."""
    for _ in range(TRIES):
        sides = (generator.uniform(SMALLEST, 1, 2) * [width, height]).astype(np.intp)
        corner = generator.integers(np.array([width, height]) - sides + 1)
        window = np.concatenate([corner, corner + sides])
        clipped = boxes.clip(np.tile(window[:2], 2), np.tile(window[2:], 2))
        visible = area(clipped) / area(boxes)
        kept = visible >= VISIBLE
        if kept.any() and (kept | (visible <= HIDDEN)).all():
            left, top, right, bottom = window.tolist()
            return (left, top, right, bottom), kept
    return (0, 0, width, height), np.ones(len(boxes), dtype=bool)


def _reflected(boxes: Boxes, width: int) -> Boxes:
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)


def _recoloured(image: Any, generator: np.random.Generator) -> Any:
    from PIL import ImageEnhance

    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(generator.uniform(1 - COLOURS, 1 + COLOURS))
    return image
