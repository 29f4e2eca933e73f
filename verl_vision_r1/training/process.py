"""verl's trainer as a subprocess: its files, command, environment and progress."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.cpu import keep_bytecode

MILESTONES: Final = (
    ("Started a local Ray instance", "Ray is up"),
    ("actor and ref model engine initialized", "the model is loaded"),
    ("LLMServerManager", "vLLM is up"),
    ("/validation/", "validated"),
)
STEP: Final = re.compile(r"\bstep:(\d+) - .*?critic/score/mean:([-.\d]+)")
POLITE: Final = 20.0
"""Seconds between SIGTERM and SIGKILL."""


PLAIN: Final = re.compile(r"[\w./@%+-]*")
"""A value that Hydra reads as it is."""


def quoted(override: str) -> str:
    """A Hydra override whose value is a path, in quotes if Hydra would read it otherwise.

    Example:
        >>> quoted("trainer.default_local_dir=/data/[1]"), quoted("trainer.default_local_dir=/data/1")
        ("trainer.default_local_dir='/data/[1]'", 'trainer.default_local_dir=/data/1')
    """
    key, _, value = override.partition("=")
    if PLAIN.fullmatch(value):
        return override
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return f"{key}='{escaped}'"


@dataclass(frozen=True)
class RunFolder:
    """The files of a training run.

    Attributes:
        folder: The folder of all its outputs.
    """

    folder: Path

    @property
    def rollouts(self) -> Path:
        """The rollouts, one file per step."""
        return self.folder / "rollouts"

    @property
    def log(self) -> Path:
        """The output of the training run."""
        return self.folder / "train.log"

    @property
    def metrics(self) -> Path:
        """Metrics of verl, one JSON line per step."""
        return self.folder / "metrics.jsonl"

    def files(self, rows: Path, model: Path) -> list[str]:
        """The overrides for the input and output paths.

        Args:
            rows: Folder of train.parquet and val.parquet.
            model: Folder of the model.
        """
        paths = {
            "actor_rollout_ref.model.path": model,
            "data.train_files": rows / "train.parquet",
            "data.val_files": rows / "val.parquet",
            "trainer.default_local_dir": self.folder / "checkpoints",
            "trainer.rollout_data_dir": self.rollouts,
            "hydra.run.dir": self.folder / "hydra",
        }
        return [quoted(f"{key}={path}") for key, path in paths.items()]

    def environment(self, ray_folder: str) -> dict[str, str]:
        """The environment of the training run: offline, and with its own folder for Ray.

        Args:
            ray_folder: A folder with a short path: Ray's socket paths must stay under 108 characters.
        """
        own = {"RAY_TMPDIR": ray_folder, "VERL_FILE_LOGGER_PATH": str(self.metrics)}
        quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
        environment = {**os.environ, **quiet, **own}
        keep_bytecode(environment)
        return environment


def trainer_command(overrides: Iterable[str]) -> list[str]:
    """The command of verl's trainer with these overrides."""
    return [sys.executable, "-m", "verl.trainer.main_ppo", *overrides]


def train(run: RunFolder, command: list[str]) -> Iterator[str]:
    """Run the training and yield the lines that it prints.

    Args:
        run: Its files and environment.
        command: From `trainer_command`.

    Raises:
        ChildProcessError: The training failed; the message has the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="vr1-", ignore_cleanup_errors=True) as ray_folder:
        yield from output_of(command, run.environment(ray_folder), run.log)


def output_of(command: list[str], environment: dict[str, str], log: Path) -> Iterator[str]:
    """Run a command, yield the lines that it prints, and write them to the log.

    Raises:
        ChildProcessError: The command failed; the message has the end of its log.
    """
    process = start_group(command, environment)
    try:
        with log.open("w", encoding="utf-8") as file:
            for line in process.stdout or ():
                file.write(line)
                yield line
    except BaseException:
        end_group(process)
        raise
    if process.wait() != 0:
        end = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-15:])
        raise ChildProcessError(f"the training ended with status {process.returncode}; the end of {log}:\n{end}")


def start_group(
    command: Sequence[str], environment: Mapping[str, str], stderr: int = subprocess.STDOUT
) -> "subprocess.Popen[str]":
    """Start a command in its own process group, for `end_group`. Its output is text.

    Args:
        command: The program and its arguments.
        environment: Its environment variables.
        stderr: `subprocess.STDOUT` to merge its errors into its output, or `subprocess.PIPE`.
    """
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def end_group(process: "subprocess.Popen[Any]", polite: float = POLITE) -> None:
    """End a process and its children, which are in their own process group.

    Args:
        process: From `start_group`, or started with `start_new_session=True`.
        polite: Seconds between SIGTERM and SIGKILL.
    """
    for signal_, seconds in ((signal.SIGTERM, polite), (signal.SIGKILL, None)):
        if process.poll() is None:
            os.killpg(process.pid, signal_)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue


def read_line(line: str) -> tuple[str, int | None]:
    """The progress in a line of verl's output: a note, and the completed step."""
    if found := STEP.search(line):
        return f"step {found[1]}, mean score of the rollouts {float(found[2]):.3f}", int(found[1])
    return next((note for text, note in MILESTONES if text in line), ""), None
