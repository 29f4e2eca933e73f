"""A small synthetic data set in COCO format: coloured shapes on plain backgrounds."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

from verl_vision_r1.targets import Target

COLOURS: Final = {"red": (214, 39, 40), "green": (44, 160, 44), "blue": (31, 119, 180), "yellow": (240, 200, 40)}
FORMS: Final = ("circle", "square", "triangle")
NAMES: Final = tuple(f"{colour} {form}" for colour in COLOURS for form in FORMS)
OTHER_COLOURS: Final = {"black": (20, 20, 20), "purple": (130, 30, 150)}
OTHER_NAMES: Final = tuple(f"{colour} {form}" for colour in OTHER_COLOURS for form in FORMS)
"""Shapes that no prompt of the demo asks for."""
SIDE: Final = 140
"""Width and height of each image in pixels: 5 x 5 visual tokens of 28 pixels."""
SIZES: Final = (24, 52)
"""Minimum and maximum width and height of a shape in pixels."""
MOST: Final = 4
"""Maximum number of shapes in an image."""

Box = tuple[int, int, int, int]


def draw_scene(
    generator: np.random.Generator, most: int = MOST, names: tuple[str, ...] = NAMES
) -> tuple[Image.Image, Target]:
    """Draw an image with shapes that do not touch.

    Args:
        generator: Source of randomness.
        most: Maximum number of shapes, at least 1.
        names: The categories, `NAMES` or `OTHER_NAMES`.

    Returns:
        The image, and its ground truth: boxes in pixels sorted from left to right, and the categories.
    """
    picture = Image.new("RGB", (SIDE, SIDE), tuple(int(value) for value in generator.integers(90, 256, size=3)))
    draw = ImageDraw.Draw(picture)
    boxes: list[Box] = []
    for _ in range(int(generator.integers(1, most + 1))):
        boxes += _free_box(generator, boxes)
    shapes = sorted((box, str(generator.choice(names))) for box in boxes)
    for box, name in shapes:
        _draw_shape(draw, box, name)
    corners = np.array([box for box, _ in shapes], dtype=np.float64)
    return picture, Target(corners, tuple(name for _, name in shapes), SIDE, SIDE, names)


def _free_box(generator: np.random.Generator, taken: list[Box]) -> list[Box]:
    """A list with a box that touches no other; empty if 50 attempts find none."""
    for _ in range(50):
        size = int(generator.integers(SIZES[0], SIZES[1] + 1))
        x, y = (int(value) for value in generator.integers(0, SIDE - size + 1, size=2))
        box = (x, y, x + size, y + size)
        if all(box[2] < o[0] or o[2] < box[0] or box[3] < o[1] or o[3] < box[1] for o in taken):
            return [box]
    return []


def _draw_shape(draw: ImageDraw.ImageDraw, box: Box, name: str) -> None:
    word, form = name.split()
    colour = {**COLOURS, **OTHER_COLOURS}[word]
    left, top, right, bottom = box[0], box[1], box[2] - 1, box[3] - 1
    if form == "circle":
        draw.ellipse((left, top, right, bottom), fill=colour)
    elif form == "square":
        draw.rectangle((left, top, right, bottom), fill=colour)
    else:
        draw.polygon([((left + right) / 2, top), (right, bottom), (left, bottom)], fill=colour)


def write_shapes(folder: Path, part: str, images: int, seed: int = 0) -> Path:
    """Draw images into `images/PART` and write `annotations/instances_PART.json`.

    Args:
        folder: The folder of the data set.
        part: "train" or "val". For one seed, no scene is in both.
        images: Number of images.
        seed: The same seed draws the same images.

    Returns:
        The folder.
    """
    image_folder = folder / "images" / part
    for needed in (image_folder, folder / "annotations"):
        needed.mkdir(parents=True, exist_ok=True)
    document = _draw_part(image_folder, images, np.random.default_rng([seed, *part.encode()]))
    (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def _draw_part(folder: Path, count: int, generator: np.random.Generator) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        picture, target = draw_scene(generator)
        file_name = f"{index:04d}.png"
        picture.save(folder / file_name)
        entries.append({"id": index, "file_name": file_name, "width": SIDE, "height": SIDE})
        for (x1, y1, x2, y2), name in zip(target.boxes.tolist(), target.labels, strict=True):
            key = {"id": len(annotations), "image_id": index, "category_id": NAMES.index(name), "iscrowd": 0}
            annotations.append({**key, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)})
    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES)]
    return {"images": entries, "annotations": annotations, "categories": categories}
