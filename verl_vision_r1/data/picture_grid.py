"""Contact sheets: images in a grid, each with its boxes and a caption below."""

from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.points import Outline, Points

COLUMNS, ROWS = 4, 3
CELL: Final = (400, 300)
CAPTION: Final = 58
LINE: Final = 14
ARM: Final = 6
"""Half the side of a point's mark in pixels."""


def fitted(image: Image.Image) -> tuple[Image.Image, float]:
    """An image scaled to fit a cell, and the scale."""
    scale = min((CELL[0] - 8) / image.width, (CELL[1] - 8) / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size), scale


def draw_boxes(image: Image.Image, boxes: Boxes, labels: Sequence[str], colours: Sequence[str]) -> None:
    """Draw boxes on an image.

    Args:
        image: The image, drawn on in place.
        boxes: (N, 4) `xyxy` in its pixels.
        labels: N names; an empty name is not drawn.
        colours: N colours.
    """
    pen = ImageDraw.Draw(image)
    for box, name, colour in zip(boxes.tolist(), labels, colours, strict=True):
        label = shortened(name)
        pen.rectangle(box, outline=colour, width=2)
        if not label:
            continue
        # Above the box, but inside the image.
        place = (max(0.0, min(box[0] + 2, image.width - pen.textlength(label, font=_font()))), max(0.0, box[1] - LINE))
        pen.rectangle(pen.textbbox(place, label, font=_font()), fill=colour)
        pen.text(place, label, fill="white", font=_font())


def draw_outlines(image: Image.Image, outlines: Sequence[Outline], colours: Sequence[str]) -> None:
    """Draw the polygons of outlines on an image.

    Args:
        image: The image, drawn on in place.
        outlines: N outlines in its pixels.
        colours: N colours.
    """
    pen = ImageDraw.Draw(image)
    for outline, colour in zip(outlines, colours, strict=True):
        for ring in outline:
            corners = list(map(tuple, ring.tolist()))
            pen.line([*corners, corners[0]], fill=colour, width=2)


def draw_points(image: Image.Image, points: Points, colours: Sequence[str], hits: Sequence[bool]) -> None:
    """Draw points on an image: a dot where one hits, else a cross, both with a white border.

    Args:
        image: The image, drawn on in place.
        points: (N, 2) `xy` in its pixels.
        colours: N colours.
        hits: Whether each of the N points hits.
    """
    pen = ImageDraw.Draw(image)
    for (x, y), colour, hit in zip(points.tolist(), colours, hits, strict=True):
        if hit:
            pen.ellipse((x - ARM, y - ARM, x + ARM, y + ARM), fill=colour, outline="white", width=2)
            continue
        for stroke, width in (("white", 7), (colour, 3)):
            pen.line((x - ARM, y - ARM, x + ARM, y + ARM), fill=stroke, width=width)
            pen.line((x - ARM, y + ARM, x + ARM, y - ARM), fill=stroke, width=width)


def shortened(name: str, length: int = 40) -> str:
    r"""A name on one line, truncated to a length.

    Example:
        >>> shortened("traffic\nlight"), len(shortened("x" * 99))
        ('traffic light', 40)
    """
    line = " ".join(name.split())
    return line if len(line) <= length else line[: length - 3] + "..."


def draw_cells(cells: Sequence[tuple[Image.Image, str]]) -> Image.Image:
    """A grid of images that fit a cell, with their captions."""
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL[0], rows * (CELL[1] + CAPTION)), "white")
    for index, (image, caption) in enumerate(cells):
        left, top = index % COLUMNS * CELL[0], index // COLUMNS * (CELL[1] + CAPTION)
        sheet.paste(image, (left + (CELL[0] - image.width) // 2, top + (CELL[1] - image.height) // 2))
        pen = ImageDraw.Draw(sheet)
        pen.multiline_text((left + 4, top + CELL[1] + 2), caption, fill="black", font=_font())
    return sheet


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=12)
