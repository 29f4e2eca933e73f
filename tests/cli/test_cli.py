"""The command line: help with examples, and errors in one line."""

import json
import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.rewards.presets import names_in

RUN = CliRunner()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
MODULE = [sys.executable, "-c", "from verl_vision_r1.cli import main; main()"]


def parsed(words: list[str]) -> click.Context:
    """Parse a command line without running it."""
    assert words[0] == "vision-r1"
    return COMMANDS[words[1]].make_context(words[1], words[2:])


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_is_no_error(arguments: list[str]) -> None:
    result = RUN.invoke(app, [*arguments, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output
    assert "error:" not in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_parses(name: str) -> None:
    shown = COMMANDS[name].epilog
    assert shown.startswith(f"Example: vision-r1 {name}")
    parsed(shlex.split(shown.removeprefix("Example: ")))
    printed = "".join(RUN.invoke(app, [name, "--help"]).output.split())
    assert "".join(shown.split()) in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_option_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)


@pytest.mark.parametrize("arguments", [["prepare"], ["demo", "--steps", "0"], ["dance"]])
def test_wrong_usage_prints_the_usage(arguments: list[str]) -> None:
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


def on_a_terminal(arguments: list[str], **environment: str) -> str:
    """The output on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    variables = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    variables |= {"TERM": "xterm-256color", "COLUMNS": "80", **environment}
    subprocess.run([*MODULE, *arguments], stdout=theirs, stderr=theirs, env=variables, timeout=60, check=False)
    os.close(theirs)
    return b"".join(read_all(ours)).decode()


def read_all(descriptor: int) -> Iterator[bytes]:
    try:
        while chunk := os.read(descriptor, 65536):
            yield chunk
    except OSError:  # The other end is closed.
        return


@pytest.mark.process
@pytest.mark.parametrize("arguments", [["--help"], ["attacks", "--preset", "nothing"]], ids=["help", "error"])
def test_colours_are_only_for_terminals_and_can_be_disabled(arguments: list[str]) -> None:
    colour = "\x1b[31m" if "attacks" in arguments else "\x1b["
    assert colour in on_a_terminal(arguments)
    plain = on_a_terminal(arguments, NO_COLOR="1")
    assert not any(f"\x1b[{code}" in plain for code in range(30, 50))
    piped = subprocess.run([*MODULE, *arguments], capture_output=True, timeout=60, check=False)
    assert b"\x1b[" not in piped.stdout + piped.stderr


@pytest.mark.process
def test_a_closed_pipe_is_no_error() -> None:
    command = shlex.join([*MODULE, "attacks", "--json"])
    script = f"set -o pipefail; {command} | head -n 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.process
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("vision-r1 at", {"attacks"}),
        ("vision-r1 attacks --preset rob", {"robust"}),
        ("vision-r1 attacks --curriculum ", set(names_in("curriculum"))),
        ("vision-r1 prepare ref", {"refcoco", "refcoco+", "refcocog"}),
        ("vision-r1 prepare coco --prompt qw", set()),
    ],
)
def test_shell_completion_of_names(words: str, offered: set[str]) -> None:
    variables = os.environ | {"_VISION_R1_COMPLETE": "complete_bash", "COMP_WORDS": words}
    variables["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    main = "import sys; sys.argv[0] = 'vision-r1'; from verl_vision_r1.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", main], capture_output=True, text=True, env=variables, timeout=60, check=False
    )
    assert set(done.stdout.split()) == offered


def test_with_json_only_json_is_printed(tmp_path: Path) -> None:
    from verl_vision_r1.demo.shapes import write_shapes

    source = write_shapes(tmp_path / "source", "train", 6)
    command = ["prepare", "coco", "--source", str(source), "--out", str(tmp_path / "rows"), "--json"]
    prepared = json.loads(RUN.invoke(app, command).stdout)
    assert sum(prepared["samples"].values()) == 6
    sheets = json.loads(RUN.invoke(app, ["view", str(tmp_path / "rows"), "--json"]).stdout)
    assert len(sheets) == 2
    assert all(Path(sheet).is_file() for sheet in sheets)


def test_the_lines_of_a_failed_run_stay_lines_without_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(*arguments: object) -> None:
        raise ChildProcessError("the training ended with status 1; the end of train.log:\nfirst\x1b[2J\nsecond\n")

    monkeypatch.setattr("verl_vision_r1.demo.ablations.run_ablations", failed)
    result = RUN.invoke(app, ["ablations", "--json"])
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-3:]
    assert last == ["error: the training ended with status 1; the end of train.log:", "first\\x1b[2J", "second"]


def test_settings_of_grpo_need_data_to_run_on() -> None:
    result = RUN.invoke(app, ["ablations", "actor_rollout_ref.rollout.n=4"])
    assert result.exit_code == 1
    assert "expected --data with overrides, got actor_rollout_ref.rollout.n=4 alone" in result.stderr
