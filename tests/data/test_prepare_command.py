"""The command prints a summary, or a one-line error; its help lists every dataset."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from verl_vision_r1.cli import app
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
