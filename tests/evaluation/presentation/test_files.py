"""The output of `vision-r1 evaluate`: printed tables and written files."""

import json
import re
from pathlib import Path
from typing import Any

import prediction_lines
import pytest
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.parquet import write_rows
from verl_vision_r1.evaluation.presentation import figures
from verl_vision_r1.evaluation.presentation.tables import Grid, markdown
from verl_vision_r1.shown import printable


@pytest.fixture
def files(tmp_path: Path, scattered: list[Any]) -> list[str]:
    """Arguments: a predictions file and its sample file."""
    write_rows(tmp_path / "samples.parquet", scattered)
    predictions = prediction_lines.write(
        tmp_path / "7.jsonl", prediction_lines.lines_of(scattered, prediction_lines.perturbed(0))
    )
    return [
        str(predictions),
        "--annotations",
        str(tmp_path / "samples.parquet"),
        "--protocol",
        "plain",
        "--permutations",
        "2",
    ]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty files in the place of the figures, which take seconds: `test_figures.py` draws them."""

    def save(out: Path, truth: Any, detections: Any, ap: Any, matches: Any, comparison: Any) -> list[Path]:
        out.mkdir(parents=True, exist_ok=True)
        written = [out / name for name in ("page.png", *["before_after.png"] * (comparison is not None))]
        for path in written:
            path.write_bytes(b"")
        return written

    monkeypatch.setattr(figures, "save_figures", save)


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner(env={"COLUMNS": "110"}).invoke(app, ["evaluate", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_metrics_assumptions_and_files(tmp_path: Path, files: list[str]) -> None:
    printed = run(*files, "--no-figures")
    assert "detection, protocol plain" in printed
    assert "mean of 2" in printed
    assert "assumed: lenient parsing, not from a publication" in printed
    out = tmp_path / "7-plain"
    assert {path.name for path in out.iterdir()} == {"results.json", "table.md"}
    results = json.loads((out / "results.json").read_text())
    assert results["sets"]["made_up/a/detection"]["values"]["AP"] > 0.1
    assert results["assumptions"]
    assert results["prompt"].startswith("user")
    assert len(results["sets"]["made_up/a/detection"]["precision_recall"]) == 10
    assert "| AP |" in (out / "table.md").read_text()


@pytest.mark.slow
def test_figures_of_each_set_and_a_comparison(tmp_path: Path, scattered: list[Any], files: list[str]) -> None:
    other = prediction_lines.write(
        tmp_path / "0.jsonl", prediction_lines.lines_of(scattered, prediction_lines.perturbed(9, jitter=0.4))
    )
    printed = run(*files, "--against", str(other), "--bootstrap", "50", "--out", str(tmp_path / "out"))
    assert "made_up/a/detection: change" in printed
    assert "mean of 2, detection: change" in printed
    drawn = {path.name for path in (tmp_path / "out" / "made_up-a-detection").iterdir()}
    assert {
        "page.png",
        "before_after.png",
        "precision_recall.png",
        "confusion.png",
        "worst.jpg",
        "errors.jpg",
    } <= drawn
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["differences"]["mean of 2, detection"]["AP"]["excludes_zero"]


def test_json_output_is_the_results_file(tmp_path: Path, files: list[str]) -> None:
    printed = json.loads(run(*files, "--no-figures", "--json"))
    assert printed == json.loads((tmp_path / "7-plain" / "results.json").read_text())
    assert printed["sets"]["made_up/a/detection"]["values"]["AP_small"] is None  # No object is small.


def test_four_data_sets_are_table_rows(tmp_path: Path, scattered: list[Any]) -> None:
    samples = [{**row, "data_source": f"odinw13/{'wxyz'[index % 4]}/detection"} for index, row in enumerate(scattered)]
    write_rows(tmp_path / "samples.parquet", samples)
    predictions = prediction_lines.write(
        tmp_path / "0.jsonl", prediction_lines.lines_of(samples, prediction_lines.perturbed(0))
    )
    printed = run(
        str(predictions), "--annotations", str(tmp_path / "samples.parquet"), "--protocol", "vision_r1", "--no-figures"
    )
    assert "AP, permutations" in printed
    assert "mean of 4" in printed
    assert "odinw13/z/detection" in printed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--protocol", "coco"], "error: protocol: expected one of vision_r1"),
        (["--library", "mine"], "error: library: expected one of hotcoco, faster-coco-eval, pycocotools, got 'mine'"),
        (["--annotations", "nowhere.json"], "nowhere.json"),
        (["--category-list", "nowhere.json"], "nowhere.json"),
    ],
)
def test_errors_are_one_line(files: list[str], change: list[str], message: str) -> None:
    printed = run(*files, "--no-figures", *change, status=1)
    assert message in printed
    assert "Traceback" not in printed


def test_missing_predictions_are_refused_or_reported(tmp_path: Path, files: list[str]) -> None:
    predictions = Path(files[0])
    predictions.write_text("".join(predictions.read_text().splitlines(keepends=True)[:-1]) + '{"cut')
    printed = run(*files, "--no-figures", status=1)
    assert "1 images of made_up/b/detection without a prediction" in " ".join(printed.split())
    printed = " ".join(run(*files, "--no-figures", "--partial").split())
    assert "evaluated on the 29 images with all predictions" in printed
    assert "1 lines of the predictions file are not JSON and are skipped" in printed


def test_results_have_the_settings_and_the_earlier_run(tmp_path: Path, scattered: list[Any], files: list[str]) -> None:
    other = prediction_lines.write(
        tmp_path / "0.jsonl", prediction_lines.lines_of(scattered, lambda target: "no boxes")
    )
    printed = run(*files, "--against", str(other), "--no-figures", "--library", "pycocotools", "--bootstrap", "20")
    assert "coverage and parsing, before" in printed
    results = json.loads((tmp_path / "7-plain" / "results.json").read_text())
    assert results["settings"] == {
        "permutations": 2,
        "seed": 0,
        "library": "pycocotools",
        "confidence": "protocol",
    }
    assert results["against"]["predictions"] == str(other)
    assert results["against"]["sets"]["made_up/a/detection"]["reading"]["unparsed"] == 30


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["coco/[/x]", "..", "a|b\nc", "x" * 300, "coco/[red]", "\x1b]0;x\x07\x9b31m"])
def test_any_name_is_safe_in_tables_and_folders(tmp_path: Path, scattered: list[Any], name: str) -> None:
    samples = [{**row, "data_source": name if index % 2 else "other"} for index, row in enumerate(scattered[:20])]
    write_rows(tmp_path / "samples.parquet", samples)
    predictions = prediction_lines.write(
        tmp_path / "0.jsonl", prediction_lines.lines_of(samples, prediction_lines.perturbed(0))
    )
    arguments = ["--annotations", str(tmp_path / "samples.parquet"), "--protocol", "plain", "--permutations", "0"]
    printed = run(str(predictions), *arguments, "--out", str(tmp_path / "deep" / "out"))
    assert "".join(printable(name).split())[:20] in "".join(printed.split()).replace("│", "")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", printed)
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}
    assert len([path for path in (tmp_path / "deep" / "out").iterdir() if path.is_dir()]) == 2


@pytest.mark.usefixtures("undrawn")
def test_figures_of_an_earlier_evaluation_are_deleted(tmp_path: Path, scattered: list[Any], files: list[str]) -> None:
    samples = [row for row in scattered if "/a/" in row["data_source"]]
    write_rows(tmp_path / "samples.parquet", samples)
    prediction_lines.write(Path(files[0]), prediction_lines.lines_of(samples, prediction_lines.perturbed(0)))
    run(*files, "--against", files[0], "--bootstrap", "10")
    assert (tmp_path / "7-plain" / "before_after.png").exists()
    run(*files)
    assert not (tmp_path / "7-plain" / "before_after.png").exists()


def test_a_bar_in_a_cell_is_escaped() -> None:
    assert markdown(Grid("t", ("a|b",), (("c",),))).splitlines()[2:] == ["| a\\|b |", "|---|", "| c |"]
