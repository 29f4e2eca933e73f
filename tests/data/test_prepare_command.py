"""The command shows what it wrote, or one line that says what is wrong."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from verl_vision_r1.cli import app


def prepare(source: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["prepare", "coco", "--source", str(source), "--out", str(out), *more])


def test_success_shows_a_table(coco: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["prepare", "coco", "--source", str(coco()), "--out", str(out), "--max-boxes", "3"]
    )
    assert result.exit_code == 0
    assert "rows whose answer is nothing" in result.stdout
    assert (out / "val.parquet").is_file()


def test_a_mistake_is_one_line(coco: Callable[..., Path], tmp_path: Path) -> None:
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
    assert "expected the folder of a data set, got no such folder" in result.stderr
