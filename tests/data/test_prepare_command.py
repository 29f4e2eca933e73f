"""The command prints a summary, or a one-line error; its help lists every dataset."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from small_sets import coco_document, write_coco
from typer import Typer
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.cli.app import _Commands
from verl_vision_r1.cli.data import prepare as command
from verl_vision_r1.data.readers import DATASETS
from verl_vision_r1.data.readers.sources import SOURCES


def prepare(source: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["prepare", "coco", "--source", str(source), "--out", str(out), *more])


def test_success_shows_a_table(coco: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["prepare", "coco", "--source", str(coco()), "--out", str(out), "--max-boxes", "3"]
    )
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert ["samples in train.parquet", "4"] in rows
    assert ["negative samples", "0"] in rows
    assert f"{out / 'val.parquet'}: 1 samples" in result.stdout.replace("\n", "")
    assert (out / "val.parquet").is_file()


def test_the_help_lists_every_dataset() -> None:
    names = [name for names in DATASETS.values() for name in names]
    assert sorted(names) == sorted(SOURCES)
    printed = CliRunner().invoke(app, ["prepare", "--help"], env={"COLUMNS": "80"}).output
    arguments = printed.partition("Options")[0].replace("│", "").split()
    assert set(names) <= {word.strip(",.") for word in arguments}


@pytest.mark.parametrize(
    ("panel", "options"),
    [
        (
            "Reading",
            ["--annotations", "--images", "--clip", "--crowd-as-box", "--drop-duplicates", "--follow-symlinks"],
        ),
        ("Questions", ["--ask", "--negatives", "--hard-negatives", "--keep-empty", "--category-list", "--prompt"]),
        ("Selection", ["--min-boxes", "--max-boxes", "--hard-fraction", "--max-images", "--max-samples"]),
        ("Images", ["--min-pixels", "--max-pixels", "--image-check", "--embed"]),
        ("Output", ["--val-fraction", "--alias", "--seed"]),
    ],
)
def test_the_help_has_every_option_in_its_panel(panel: str, options: list[str]) -> None:
    printed = CliRunner().invoke(app, ["prepare", "--help"], env={"COLUMNS": "120", "TERM": "dumb"}).output
    shown = printed.partition(f"─ {panel} ")[2].partition("╰")[0]
    assert [option for option in options if option not in shown] == []


def test_an_error_is_one_line(coco: Callable[..., Path], tmp_path: Path) -> None:
    source = coco(lambda document: document["annotations"][0].update(bbox=[5, 5, 0, 4]))
    result = prepare(source, tmp_path / "out")
    assert result.exit_code == 1
    defect, error = result.stderr.splitlines()
    assert defect.startswith("defect: ")
    assert error.startswith("error: ")
    assert "annotation 10 of image 0: expected x1 < x2" in result.stderr
    assert result.stdout == ""


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["prepare", "coco", "--source", str(tmp_path / "gone"), "--out", str(tmp_path / "out")]
    )
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "gone: expected the folder of a dataset, got no such folder" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--max-pixels", "9" * 30],
            "min_pixels, max_pixels: expected 0 < min <= max <= 10000000000, got 3136 and 9999",
        ),
        (["--images", "decode"], "images: expected a folder of images, got decode, a value of --image-check"),
        (["--max-boxes", "9" * 30, "--seed", "9" * 30], ""),
        (["--negatives", "1e300", "--ask", "category"], ""),
        (["--negatives", "nan"], "negatives: expected a number of at least 0, got nan"),
    ],
)
def test_strange_numbers(tmp_path: Path, options: list[str], message: str) -> None:
    # Under another name, so that --images is not taken for the old name of --image-check.
    alone = Typer(cls=_Commands, pretty_exceptions_enable=False)
    alone.command(name="make")(command)
    alone.callback()(lambda: None)
    source = write_coco(tmp_path / "coco", coco_document())
    result = CliRunner().invoke(
        alone, ["make", "coco", "--source", str(source), "--out", str(tmp_path / "o"), *options]
    )
    assert message in result.stderr
    assert result.exit_code == bool(message)
