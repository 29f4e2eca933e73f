"""Boxes are drawn at their coordinates, on sheets with every sample once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.options import Source
from verl_vision_r1.data.parquet_checks import checked_rows
from verl_vision_r1.data.picture_grid import CELL
from verl_vision_r1.data.prepare import prepare
from verl_vision_r1.data.view import COLOURS, Picture, caption, draw, view


@pytest.fixture
def rows(coco: Callable[..., Path], tmp_path: Path) -> Path:
    prepare([Source("coco", str(coco()), ask="category", negatives=0.5)], tmp_path / "rows")
    return tmp_path / "rows"


def test_a_box_is_drawn_at_its_coordinates(rows: Path) -> None:
    pictures = [Picture(row, target) for row, target in checked_rows(rows / "train.parquet")]
    picture = next(picture for picture in pictures if len(picture.target.boxes))
    drawn = draw(picture)
    scale = drawn.width / picture.target.width
    assert drawn.width <= CELL[0]
    colour = tuple(int(COLOURS[0][start : start + 2], 16) for start in (1, 3, 5))
    left, top, right, bottom = (round(side * scale) for side in picture.target.boxes[0])
    for x, y in ((left, bottom - 9), (right, bottom - 9), ((left + right) // 2, bottom)):
        # A line is two pixels wide; rounding of the scale shifts it.
        assert colour in [
            drawn.getpixel((min(x + dx, drawn.width - 1), y + dy)) for dx in (-1, 0, 1) for dy in (-1, 0, 1)
        ]
    assert drawn.getpixel(((left + right) // 2, (top + bottom) // 2)) != colour
    assert caption(picture).endswith("dog -> 1 box")
    assert any(caption(picture).endswith("cat -> no box") for picture in pictures)


def test_sheets_have_every_sample_once_and_the_same_ones_for_a_seed(rows: Path, tmp_path: Path) -> None:
    (sheet,) = view(rows / "train.parquet", tmp_path / "view")
    with Image.open(sheet) as opened:
        assert opened.size[0] == 4 * CELL[0]
    first, again = (view(rows / "train.parquet", tmp_path / name, count=2)[0].read_bytes() for name in "ab")
    assert first == again


def test_the_command_prints_the_paths_of_the_sheets(rows: Path) -> None:
    result = CliRunner().invoke(app, ["view", str(rows), "--count", "3"])
    assert result.exit_code == 0
    assert [Path(line).name for line in result.stdout.split()] == ["train-0.jpg", "val-0.jpg"]
    result = CliRunner().invoke(app, ["view", str(rows / "gone")])
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
