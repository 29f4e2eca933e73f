"""A small synthetic dataset: coloured shapes on plain grounds, written as a COCO folder."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

COLOURS: Final = {"red": (214, 39, 40), "green": (44, 160, 44), "blue": (31, 119, 180)}
FORMS: Final = ("circle", "square")
SIDE: Final = 112
"""Width and height of each image in pixels: four by four visual tokens of 28 pixels."""


def write_shapes(folder: Path, images: int = 160, seed: int = 0) -> Path:
    """Draw the images and write `annotations/instances.json` beside them.

    Args:
        folder: Where `images/` and `annotations/` are made.
        images: How many.
        seed: The same seed draws the same images.

    Returns:
        The folder.
    """
    generator = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    names = [f"{colour} {form}" for colour in COLOURS for form in FORMS]
    annotations: list[dict[str, Any]] = []
    entries = []
    for index in range(images):
        picture, shapes = draw_scene(generator)
        file_name = f"{index:04d}.png"
        picture.save(folder / "images" / file_name)
        entries.append({"id": index, "file_name": file_name, "width": SIDE, "height": SIDE})
        for name, (x1, y1, x2, y2) in shapes:
            box = [x1, y1, x2 - x1, y2 - y1]
            key = {"id": len(annotations), "image_id": index, "category_id": names.index(name), "iscrowd": 0}
            annotations.append({**key, "bbox": box, "area": box[2] * box[3]})
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    document = {"images": entries, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def draw_scene(generator: np.random.Generator) -> tuple[Image.Image, list[tuple[str, tuple[int, int, int, int]]]]:
    """One image with one or two shapes that do not touch, and their names with `xyxy` boxes in pixels."""
    ground = tuple(int(value) for value in generator.integers(200, 256, size=3))
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    draw = ImageDraw.Draw(picture)
    shapes: list[tuple[str, tuple[int, int, int, int]]] = []
    for _ in range(int(generator.integers(1, 3))):
        box = _free_place(generator, [taken for _, taken in shapes])
        if box is None:
            continue
        colour, form = str(generator.choice(list(COLOURS))), str(generator.choice(FORMS))
        outline = (box[0], box[1], box[2] - 1, box[3] - 1)
        (draw.ellipse if form == "circle" else draw.rectangle)(outline, fill=COLOURS[colour])
        shapes.append((f"{colour} {form}", box))
    return picture, shapes


def _free_place(
    generator: np.random.Generator, taken: list[tuple[int, int, int, int]]
) -> tuple[int, int, int, int] | None:
    for _ in range(50):
        size = int(generator.integers(28, 57))
        x, y = (int(value) for value in generator.integers(0, SIDE - size + 1, size=2))
        box = (x, y, x + size, y + size)
        if all(box[2] < o[0] or o[2] < box[0] or box[3] < o[1] or o[3] < box[1] for o in taken):
            return box
    return None
