"""Contact sheets: pictures of rows with their boxes drawn, to be looked at before training: `vision-r1 view`."""

import io
import random
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image

from verl_vision_r1.data.parquet_checks import checked_rows
from verl_vision_r1.data.picture_grid import COLUMNS, ROWS, draw_boxes, draw_cells, fitted
from verl_vision_r1.data.progress import progress
from verl_vision_r1.targets import Target

COLOURS: Final = (
    *("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#800000", "#808000", "#000075"),
)


@dataclass(frozen=True, eq=False)
class Picture:
    """One row to be drawn."""

    row: dict[str, Any]
    target: Target


def view(file: Path, out: Path, *, count: int = 24, seed: int = 0) -> list[Path]:
    """Draw rows of a file, chosen at random, on sheets of twelve.

    Args:
        file: A `.parquet` or `.jsonl` file of rows.
        out: The folder for the sheets, `NAME-0.jpg` and so on.
        count: How many rows; all of them where there are fewer.
        seed: Decides which.

    Returns:
        The sheets.

    Raises:
        FileNotFoundError, ValueError: As `row_checks.checked_rows`.
    """
    out.mkdir(parents=True, exist_ok=True)
    pictures = _chosen(file, count, random.Random(seed))
    sheets = [pictures[start : start + COLUMNS * ROWS] for start in range(0, len(pictures), COLUMNS * ROWS)]
    written = []
    for index, sheet in enumerate(progress(sheets, desc="sheets", unit="sheet")):
        path = out / f"{file.stem}-{index}.jpg"
        draw_sheet(sheet).save(path, quality=88)
        written.append(path)
    return written


def _chosen(file: Path, count: int, generator: random.Random) -> list[Picture]:
    """A fair choice in one pass over the file (Vitter's algorithm R), in the file's order."""
    chosen: dict[int, tuple[int, Picture]] = {}
    for index, (row, target) in enumerate(checked_rows(file)):
        place = index if index < count else generator.randrange(index + 1)
        if place < count:
            chosen[place] = index, Picture(row, target)
    return [picture for _, picture in sorted(chosen.values(), key=lambda pair: pair[0])]


def draw_sheet(pictures: Sequence[Picture]) -> Image.Image:
    """Up to twelve pictures in a grid, each with a caption below."""
    return draw_cells([(draw(picture), caption(picture)) for picture in pictures])


def draw(picture: Picture) -> Image.Image:
    """The image of a row, scaled to fit its cell, with its boxes and labels."""
    held, target = picture.row["images"][0], picture.target
    with Image.open(io.BytesIO(held["bytes"]) if "bytes" in held else held["image"]) as opened:
        image, scale = fitted(opened)
    colours = {label: COLOURS[index % len(COLOURS)] for index, label in enumerate(dict.fromkeys(target.labels))}
    named = target.labels[: len(target.boxes)]
    draw_boxes(image, target.boxes * scale, named, [colours[label] for label in named])
    return image


def caption(picture: Picture) -> str:
    """What is asked and what the answer is, in three lines."""
    target, extra = picture.target, picture.row["extra_info"]
    words = picture.row["prompt"][-1]["content"].replace("<image>", "").split("\n")[0]
    asked = f"all of {len(target.categories)}" if extra.get("question") == "categories" else extra.get("subject")
    answer = {"classification": ", ".join(target.labels), "counting": str(target.instances)}
    count = len(target.boxes)
    found = answer.get(target.task, f"{count} box{'es' * (count > 1)}" if count else "nothing")
    lines = textwrap.wrap(f"{asked or words} -> {found}", 62, max_lines=2, placeholder=" ...")
    return "\n".join([f"{picture.row['data_source']} {extra['image_id']}"[:62], *lines])
