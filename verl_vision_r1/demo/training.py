"""verl's trainer as the demo runs it: the command, its environment, and what its output says about the progress."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verl_vision_r1.cpu import keep_bytecode

MILESTONES: Final = (
    ("Started a local Ray instance", "Ray is up"),
    ("actor and ref model engine initialized", "the model is loaded"),
    ("LLMServerManager", "vLLM is up"),
    ("/validation/", "validated"),
)
STEP: Final = re.compile(r"\bstep:(\d+) - .*?critic/score/mean:([-.\d]+)")


@dataclass(frozen=True)
class Demo:
    """Where a demo's files lie and how it trains.

    Attributes:
        folder: All that the demo makes.
        steps: Steps of reinforcement.
        seed: Of the scenes that are trained on, their order and the rollouts.
        teaching_steps: Supervised steps before, on images of your own. Few rows are then known by heart, but with
            fewer steps the form of an answer is not learnt, and where every rollout of a group fails alike there is no
            gradient.
        overrides: Further overrides of the training's configuration.
        rows: Folder of train.parquet and val.parquet.
        model: Folder of the taught model, which the reinforcement starts from.
    """

    folder: Path
    steps: int
    seed: int = 0
    teaching_steps: int = 150
    overrides: tuple[str, ...] = ()
    rows: Path = None  # type: ignore[assignment]  # By default in the demo's own folder, as is the model.
    model: Path = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name in ("rows", "model"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.folder / name)

    @property
    def validations(self) -> Path:
        """The answers to the validation rows, a file for each step that was validated."""
        return self.folder / "validation"

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


def training_command(demo: Demo) -> list[str]:
    """The command of the training: verl's own trainer with our recipe, and the demo's files."""
    return [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+recipe=vision_r1_cpu"),
        f"data.train_files={demo.rows / 'train.parquet'}",
        f"data.val_files={demo.rows / 'val.parquet'}",
        f"actor_rollout_ref.model.path={demo.model}",
        f"trainer.default_local_dir={demo.folder / 'checkpoints'}",
        f"trainer.validation_data_dir={demo.validations}",
        f"trainer.rollout_data_dir={demo.rollouts}",
        f"trainer.total_training_steps={demo.steps}",
        f"trainer.test_freq={demo.steps}",
        f"data.seed={demo.seed}",
        f"actor_rollout_ref.rollout.seed={demo.seed}",
        f"hydra.run.dir={demo.folder / 'hydra'}",
        *demo.overrides,
    ]


def training_environment(demo: Demo, ray_folder: str) -> dict[str, str]:
    """The environment of the training: the CPU platform, and Ray's files where no other run's are."""
    own = {"VERL_PLATFORM": "cpu", "RAY_TMPDIR": ray_folder, "VERL_FILE_LOGGER_PATH": str(demo.metrics)}
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    environment = {**os.environ, **quiet, **own}
    keep_bytecode(environment)
    return environment


def train(demo: Demo) -> Iterator[str]:
    """Train, and yield the lines that the training prints.

    Raises:
        ChildProcessError: The training failed; with the end of its log.
    """
    # Ray's socket paths must stay under 108 characters, so its folder is a short one of its own.
    with tempfile.TemporaryDirectory(prefix="vr1-", ignore_cleanup_errors=True) as ray_folder:
        yield from output_of(training_command(demo), training_environment(demo, ray_folder), demo.log)


def output_of(command: list[str], environment: dict[str, str], log: Path) -> Iterator[str]:
    """The lines that a command prints, each also written to the log.

    Raises:
        ChildProcessError: The command failed; with the end of its log.
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
        os.killpg(process.pid, signal.SIGTERM)  # The process group that was started here, and nothing else.
        process.wait()
        raise
    if process.wait() != 0:
        end = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-15:])
        raise ChildProcessError(f"demo: the training ended with status {process.returncode}; the end of {log}:\n{end}")


def read_line(line: str) -> tuple[str, int | None]:
    """What a line of verl's output says about the progress: a note, and the step that is done."""
    if found := STEP.search(line):
        return f"step {found[1]}, mean score of the rollouts {float(found[2]):.3f}", int(found[1])
    return next((note for text, note in MILESTONES if text in line), ""), None
