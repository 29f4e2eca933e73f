"""Small images with boxes, and the colours of sheets drawn from them."""

from pathlib import Path

import numpy as np
from PIL import Image

from verl_vision_r1.data.picture_grid import CELL
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

SIDE = 100
SCALE = (CELL[1] - 8) / SIDE
"""Pixels of a sheet for each pixel of the image."""


def one_image(
    folder: Path, true: list[float], predicted: list[float], said: int = 0
) -> tuple[GroundTruth, Detections]:
    """A white square with one cat and one prediction, and another image whose file does not exist."""
    Image.new("RGB", (SIDE, SIDE), "white").save(folder / "a.png")
    one = np.zeros(1, np.intp)
    files = (str(folder / "a.png"), "/no/such.png")
    box = np.array([true])
    truth = GroundTruth(("a", "b"), ("cat", "dog"), one, one, box, np.ones(1), np.array([False]), files)
    return truth, Detections(one, one + said, np.array([predicted]), np.ones(1))


def colour_at(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    return tuple(image.convert("RGB").getpixel((round(x), round(y))))


def side_colour(sheet: Image.Image, column: int, box: np.ndarray, top: int = 0) -> tuple[int, ...]:
    """The colour halfway down the left side of a box, in a column of the first row of a sheet."""
    left = (column + 0.5) * CELL[0] - SIDE * SCALE / 2
    return colour_at(sheet, left + box[0] * SCALE, top + 4 + (box[1] + box[3]) / 2 * SCALE)


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))
