"""`vision-r1 ablations --data`: the demo on a dataset over several seeds, beside supervised training of the same time.

Each seed is the demo with another division of the training images, another augmentation and other rollouts; the
held-out images of `val.parquet` are the same. Its measures are added to a file of results.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from verl_vision_r1.demo.ablation_results import Point, Results, measures_in, start_variant
from verl_vision_r1.demo.ablations import measure
from verl_vision_r1.demo.photograph_table import GRPO, SUPERVISED
from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.result import evaluated
from verl_vision_r1.demo.run import TAUGHT_MODEL, run_demo, say
from verl_vision_r1.evaluation.compare import compare


@dataclass(frozen=True)
class PhotographRuns:
    """The runs to make.

    Attributes:
        folder: Folder of the runs.
        data: The dataset, a folder in COCO or Pascal VOC layout.
        steps: GRPO steps per run.
        seeds: Number of runs.
        results: The measured runs.
    """

    folder: Path
    data: Path
    steps: int
    seeds: int
    results: Results

    @property
    def name(self) -> str:
        """The name of the dataset."""
        return self.data.resolve().name

    def folder_of(self, variant: str, seed: int) -> Path:
        """The folder of one run."""
        return self.folder / variant / str(seed) / self.name


def run_photographs(plan: PhotographRuns, console: Console) -> None:
    """Make all runs that are not finished: for each seed GRPO, then supervised training of the same time.

    Args:
        plan: The runs.
        console: For progress.

    Raises:
        ValueError, OSError: The data is invalid or the machine is not supported.
        ChildProcessError: A training run failed; the message names its log.
    """
    for seed in range(plan.seeds):
        demo = Demo(plan.folder_of("grpo", seed), plan.steps, seed)
        if seed not in plan.results.of(plan.name + GRPO, plan.steps):
            _grpo(plan, demo, console)
        if seed not in plan.results.of(plan.name + SUPERVISED, plan.steps):
            _supervised(plan, demo, console)


def _grpo(plan: PhotographRuns, demo: Demo, console: Console) -> None:
    begin = time.monotonic()
    result = run_demo(demo, plan.data, console)
    seconds = round(time.monotonic() - begin, 1)
    first, last = evaluated(demo, 0), evaluated(demo, demo.steps)
    before, after = measures_in(first), measures_in(last)
    for where, differences in compare(first, last).items():
        if (change := differences.get("AP")) and where.split("/")[0] in after:
            after[where.split("/")[0]] |= {"AP_change_low": change.low, "AP_change_high": change.high}
    start = Point(result["supervised"]["steps"], result["supervised"]["seconds"], before)
    plan.results.add(start_variant(plan.name), 0, demo.seed, [start])
    plan.results.add(plan.name + GRPO, demo.steps, demo.seed, [Point(demo.steps, seconds, after)])


def _supervised(plan: PhotographRuns, demo: Demo, console: Console) -> None:
    """Supervised training alone, for as long as the demo took with this seed."""
    from verl_vision_r1.demo.photographs import teach_photographs
    from verl_vision_r1.demo.teach import read_rows

    grpo, start = plan.results.of(plan.name + GRPO, plan.steps), plan.results.of(start_variant(plan.name), 0)
    taught, total = start[demo.seed].points[-1], grpo[demo.seed].points[-1].seconds
    steps = round(taught.step * total / taught.seconds)
    alone = Demo(plan.folder_of("supervised", demo.seed), demo.steps, demo.seed, steps, rows=demo.rows)
    shutil.copytree(TAUGHT_MODEL, alone.model, dirs_exist_ok=True)
    say(console, f"{time.strftime('%H:%M')} {plan.name}, seed {demo.seed}: {steps} supervised steps")
    rows, begin = read_rows(demo.rows / "train.parquet"), time.monotonic()
    made = teach_photographs(alone.model, rows, steps, demo.seed, lambda step, loss: None)
    seconds = round(time.monotonic() - begin, 1)
    plan.results.add(plan.name + SUPERVISED, demo.steps, demo.seed, [Point(made, seconds, measure(alone))])
