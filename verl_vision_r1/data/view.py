"""Contact sheets of samples with their ground-truth boxes, to look at before training: `vision-r1 view`."""

import io
import random
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image

from verl_vision_r1.data.parquet_checks import checked_rows
from verl_vision_r1.data.picture_grid import (
    COLUMNS,
    ROWS,
    draw_boxes,
    draw_cells,
    draw_outlines,
    draw_points,
    fitted,
)
from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.readers.image_size import read_size
from verl_vision_r1.documents import replaced
from verl_vision_r1.targets import Target

COLOURS: Final = (
    *("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#800000", "#808000", "#000075"),
)


@dataclass(frozen=True, eq=False)
class Picture:
    """One sample to draw."""

    row: dict[str, Any]
    target: Target


def view(file: Path, out: Path, *, count: int = 24, seed: int = 0) -> list[Path]:
    """Draw random samples of a file on sheets of twelve.

    Args:
        file: A `.parquet` or `.jsonl` sample file.
        out: Folder for the sheets, `NAME-0.jpg` and so on.
        count: Number of samples; all of them if the file has fewer.
        seed: Random seed for the choice of samples.

    Returns:
        The paths of the sheets.

    Raises:
        FileNotFoundError, ValueError: As in `parquet_checks.checked_rows`.
    """
    pictures = _sampled(file, count, random.Random(seed))
    out.mkdir(parents=True, exist_ok=True)
    sheets = [pictures[start : start + COLUMNS * ROWS] for start in range(0, len(pictures), COLUMNS * ROWS)]
    written = []
    for index, sheet in enumerate(progress(sheets, desc="sheets", unit="sheet")):
        path = out / f"{file.stem}-{index}.jpg"
        drawn = draw_sheet(sheet)
        with replaced(path) as unfinished:
            drawn.save(unfinished, quality=88)
        written.append(path)
    return written


def _sampled(file: Path, count: int, generator: random.Random) -> list[Picture]:
    """A uniform random choice in one pass over the file (Vitter's algorithm R), in the order of the file."""
    chosen: dict[int, tuple[int, Picture]] = {}
    for index, (row, target) in enumerate(checked_rows(file)):
        place = index if index < count else generator.randrange(index + 1)
        if place < count:
            chosen[place] = index, Picture(row, target)
    return [picture for _, picture in sorted(chosen.values(), key=lambda pair: pair[0])]


def draw_sheet(pictures: Sequence[Picture]) -> Image.Image:
    """A grid of up to twelve samples, each with a caption below."""
    return draw_cells([(draw(picture), caption(picture)) for picture in pictures])


def draw(picture: Picture) -> Image.Image:
    """The image of a sample, scaled to fit its cell, with its boxes, labels, and outlines and middles for pointing."""
    stored, target = picture.row["images"][0], picture.target
    content = io.BytesIO(stored["bytes"]) if "bytes" in stored else Path(stored["image"])
    read_size(content)  # Raises unless the image decodes and has no more pixels than Pillow considers safe.
    with Image.open(content) as opened:
        image, scale = fitted(opened)
    colours = {label: COLOURS[index % len(COLOURS)] for index, label in enumerate(dict.fromkeys(target.labels))}
    named = target.labels[: len(target.boxes)]
    drawn = [colours[label] for label in named]
    draw_boxes(image, target.boxes * scale, named, drawn)
    if target.task == "pointing":
        outlines = [tuple(ring * scale for ring in outline) for outline in target.outlines]
        draw_outlines(image, outlines, drawn[: len(outlines)])
        draw_points(image, target.regions.middles()[0] * scale, drawn, [True] * len(drawn))
    return image


def caption(picture: Picture) -> str:
    """What the prompt asks for and the ground truth, in up to three lines."""
    target, extra = picture.target, picture.row["extra_info"]
    prompt = picture.row["prompt"][-1]["content"].replace("<image>", "").split("\n")[0]
    every = f"all categories ({len(target.categories)})"
    asked = every if extra.get("question") == "categories" else extra.get("subject")
    answers = {"classification": ", ".join(target.labels), "counting": str(target.instances)}
    count = len(target.boxes)
    boxes = f"{count} box{'es' * (count > 1)}" if count else "no box"
    points = f"{count} point{'s' * (count > 1)}" if count else "no point"
    answer = answers.get(target.task, points if target.task == "pointing" else boxes)
    lines = textwrap.wrap(f"{asked or prompt} -> {answer}", 62, max_lines=2, placeholder=" ...")
    return "\n".join([f"{picture.row['data_source']} {extra['image_id']}"[:62], *lines])
