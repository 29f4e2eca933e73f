"""What `vision-r1 evaluate` prints and leaves behind."""

import json
from pathlib import Path
from typing import Any

import prediction_lines
import pytest
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.parquet import write_rows
from verl_vision_r1.evaluation.presentation.tables import Grid, markdown


@pytest.fixture
def files(tmp_path: Path, scattered: list[Any]) -> list[str]:
    """The arguments: a dump and its rows."""
    write_rows(tmp_path / "rows.parquet", scattered)
    dump = prediction_lines.write(
        tmp_path / "7.jsonl", prediction_lines.lines_of(scattered, prediction_lines.perturbed(0))
    )
    return [str(dump), "--annotations", str(tmp_path / "rows.parquet"), "--protocol", "plain", "--permutations", "2"]


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner(env={"COLUMNS": "110"}).invoke(app, ["evaluate", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_numbers_assumptions_and_files(tmp_path: Path, files: list[str]) -> None:
    said = run(*files, "--no-figures")
    assert "detection, protocol plain" in said
    assert "mean of 2" in said
    assert "assumed: nobody's protocol" in said
    out = tmp_path / "7-plain"
    assert {path.name for path in out.iterdir()} == {"results.json", "table.md"}
    results = json.loads((out / "results.json").read_text())
    assert results["sets"]["made_up/a/detection"]["values"]["AP"] > 0.1
    assert results["assumes"]
    assert results["prompt"].startswith("user")
    assert len(results["sets"]["made_up/a/detection"]["precision_recall"]) == 10
    assert "| AP |" in (out / "table.md").read_text()


def test_figures_of_each_set_and_a_comparison(tmp_path: Path, scattered: list[Any], files: list[str]) -> None:
    other = prediction_lines.write(
        tmp_path / "0.jsonl", prediction_lines.lines_of(scattered, prediction_lines.perturbed(9, jitter=0.4))
    )
    said = run(*files, "--against", str(other), "--bootstrap", "50", "--out", str(tmp_path / "out"))
    assert "made_up/a/detection: change" in said
    assert "mean of 2, detection: change" in said
    drawn = {path.name for path in (tmp_path / "out" / "made_up-a-detection").iterdir()}
    assert {"page.png", "before_after.png", "precision_recall.png", "confusion.png", "worst.jpg"} <= drawn
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["differences"]["mean of 2, detection"]["AP"]["sure"]


def test_json_for_machines(tmp_path: Path, files: list[str]) -> None:
    said = json.loads(run(*files, "--no-figures", "--json"))
    assert said == json.loads((tmp_path / "7-plain" / "results.json").read_text())
    assert said["sets"]["made_up/a/detection"]["values"]["AP_small"] is None  # No object is small.


def test_four_sets_are_rows(tmp_path: Path, scattered: list[Any]) -> None:
    rows = [{**row, "data_source": f"odinw13/{'wxyz'[index % 4]}/detection"} for index, row in enumerate(scattered)]
    write_rows(tmp_path / "rows.parquet", rows)
    dump = prediction_lines.write(tmp_path / "0.jsonl", prediction_lines.lines_of(rows, prediction_lines.perturbed(0)))
    said = run(str(dump), "--annotations", str(tmp_path / "rows.parquet"), "--protocol", "vision_r1", "--no-figures")
    assert "AP, other orders" in said
    assert "mean of 4" in said
    assert "odinw13/z/detection" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--protocol", "coco"], "error: protocol: expected one of vision_r1"),
        (["--library", "mine"], "error: library: expected one of faster-coco-eval, pycocotools, got 'mine'"),
        (["--annotations", "nowhere.json"], "nowhere.json"),
        (["--category-list", "nowhere.json"], "nowhere.json"),
    ],
)
def test_what_a_person_got_wrong_is_one_line(files: list[str], change: list[str], message: str) -> None:
    said = run(*files, "--no-figures", *change, status=1)
    assert message in said
    assert "Traceback" not in said


def test_a_part_of_the_images_is_said(tmp_path: Path, files: list[str]) -> None:
    dump = Path(files[0])
    dump.write_text("".join(dump.read_text().splitlines(keepends=True)[:-1]) + '{"cut')
    said = run(*files, "--no-figures", status=1)
    assert "1 images of made_up/b/detection without an answer" in " ".join(said.split())
    said = " ".join(run(*files, "--no-figures", "--partial").split())
    assert "rest on the 29 images that are answered whole" in said
    assert "1 lines of the dump are no JSON and were left out" in said


def test_what_a_run_was_made_with_stays_with_it(tmp_path: Path, scattered: list[Any], files: list[str]) -> None:
    other = prediction_lines.write(
        tmp_path / "0.jsonl", prediction_lines.lines_of(scattered, lambda target: "nothing")
    )
    said = run(*files, "--against", str(other), "--no-figures", "--library", "pycocotools", "--bootstrap", "20")
    assert "what the numbers before rest on" in said
    results = json.loads((tmp_path / "7-plain" / "results.json").read_text())
    assert results["effort"] == {"permutations": 2, "seed": 0, "library": "pycocotools"}
    assert results["against"]["dump"] == str(other)
    assert results["against"]["sets"]["made_up/a/detection"]["reading"]["unparsed"] == 30


@pytest.mark.parametrize("name", ["coco/[/x]", "..", "a|b\nc", "x" * 300, "coco/[red]"])
def test_names_are_text_in_tables_and_folders(tmp_path: Path, scattered: list[Any], name: str) -> None:
    rows = [{**row, "data_source": name if index % 2 else "other"} for index, row in enumerate(scattered[:20])]
    write_rows(tmp_path / "rows.parquet", rows)
    dump = prediction_lines.write(tmp_path / "0.jsonl", prediction_lines.lines_of(rows, prediction_lines.perturbed(0)))
    arguments = ["--annotations", str(tmp_path / "rows.parquet"), "--protocol", "plain", "--permutations", "0"]
    said = run(str(dump), *arguments, "--out", str(tmp_path / "deep" / "out"))
    assert "".join(name.split())[:30] in "".join(said.split()).replace("│", "")
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}
    assert len([path for path in (tmp_path / "deep" / "out").iterdir() if path.is_dir()]) == 2


def test_figures_of_a_run_before_do_not_stay(tmp_path: Path, scattered: list[Any], files: list[str]) -> None:
    rows = [row for row in scattered if "/a/" in row["data_source"]]
    write_rows(tmp_path / "rows.parquet", rows)
    prediction_lines.write(Path(files[0]), prediction_lines.lines_of(rows, prediction_lines.perturbed(0)))
    run(*files, "--against", files[0], "--bootstrap", "10")
    assert (tmp_path / "7-plain" / "before_after.png").exists()
    run(*files)
    assert not (tmp_path / "7-plain" / "before_after.png").exists()


def test_a_bar_in_a_name_is_no_column() -> None:
    assert markdown(Grid("t", ("a|b",), (("c",),))).splitlines()[2:] == ["| a\\|b |", "|---|", "| c |"]
