"""The command line as a whole: help is no error, and what a person got wrong is one line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from verl_vision_r1.cli import app

RUN = CliRunner()


@pytest.mark.parametrize("arguments", [["--help"], ["prepare", "--help"], ["demo", "--help"]])
def test_help_is_no_error(arguments: list[str]) -> None:
    result = RUN.invoke(app, arguments)
    assert result.exit_code == 0
    assert "Usage" in result.output
    assert "error" not in result.output


@pytest.mark.parametrize("arguments", [["prepare"], ["demo", "--steps", "0"], ["dance"]])
def test_wrong_usage_is_told_with_the_usage(arguments: list[str]) -> None:
    result = RUN.invoke(app, arguments)
    assert result.exit_code == 2
    assert "Usage" in result.output


@pytest.mark.parametrize("command", ["prepare", "demo"])
def test_a_missing_folder_is_one_line(command: str, tmp_path: Path) -> None:
    source = str(tmp_path / "nowhere")
    arguments = [command, "coco", "--source", source] if command == "prepare" else [command, "--data", source]
    result = RUN.invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
    assert len(result.output.splitlines()) == 1
    assert "Traceback" not in result.output
