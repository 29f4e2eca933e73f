"""verl's trainer as a process of its own: its files, its command, its environment, and what its output says."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
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
"""Seconds that a process has to end by itself."""


@dataclass(frozen=True)
class RunFolder:
    """Where a training's files lie.

    Attributes:
        folder: All that the training makes.
    """

    folder: Path

    @property
    def rollouts(self) -> Path:
        """The answers that were trained on, a file for each step."""
        return self.folder / "rollouts"

    @property
    def log(self) -> Path:
        """All that the training printed."""
        return self.folder / "train.log"

    @property
    def metrics(self) -> Path:
        """Metrics of verl, a JSON line for each step."""
        return self.folder / "metrics.jsonl"

    def files(self, rows: Path, model: Path) -> list[str]:
        """The overrides that say where the training reads and writes.

        Args:
            rows: Folder of train.parquet and val.parquet.
            model: Folder of the model.
        """
        return [
            f"actor_rollout_ref.model.path={model}",
            f"data.train_files={rows / 'train.parquet'}",
            f"data.val_files={rows / 'val.parquet'}",
            f"trainer.default_local_dir={self.folder / 'checkpoints'}",
            f"trainer.rollout_data_dir={self.rollouts}",
            f"hydra.run.dir={self.folder / 'hydra'}",
        ]

    def environment(self, ray_folder: str) -> dict[str, str]:
        """The environment of the training: nothing is fetched, and Ray's files lie where no other run's are.

        Args:
            ray_folder: A folder with a short name: the paths of Ray's sockets must stay under 108 characters.
        """
        own = {"RAY_TMPDIR": ray_folder, "VERL_FILE_LOGGER_PATH": str(self.metrics)}
        quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
        environment = {**os.environ, **quiet, **own}
        keep_bytecode(environment)
        return environment


def trainer_command(overrides: Iterable[str]) -> list[str]:
    """The command of verl's own trainer, for these overrides."""
    return [sys.executable, "-m", "verl.trainer.main_ppo", *overrides]


def train(run: RunFolder, command: list[str]) -> Iterator[str]:
    """Train, and yield the lines that the training prints.

    Args:
        run: Its files and its environment.
        command: From `trainer_command`.

    Raises:
        ChildProcessError: The training failed; with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="vr1-", ignore_cleanup_errors=True) as ray_folder:
        yield from output_of(command, run.environment(ray_folder), run.log)


def output_of(command: list[str], environment: dict[str, str], log: Path) -> Iterator[str]:
    """The lines that a training prints, each also written to the log.

    Raises:
        ChildProcessError: The training failed; with the end of its log.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
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


def end_group(process: "subprocess.Popen[Any]", polite: float = POLITE) -> None:
    """End a process and what it started, which is a group of its own, and nothing else.

    Args:
        process: Started with `start_new_session=True`.
        polite: Seconds that it has to end by itself, before it is killed.
    """
    for signal_, seconds in ((signal.SIGTERM, polite), (signal.SIGKILL, None)):
        if process.poll() is None:
            os.killpg(process.pid, signal_)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue


def read_line(line: str) -> tuple[str, int | None]:
    """What a line of verl's output says about the progress: a note, and the step that is done."""
    if found := STEP.search(line):
        return f"step {found[1]}, mean score of the rollouts {float(found[2]):.3f}", int(found[1])
    return next((note for text, note in MILESTONES if text in line), ""), None
