"""`vision-r1 ablations --data`: the demo on a dataset over several seeds, beside supervised training of the same time.

Each seed is the demo with another division of the training images, another augmentation and other rollouts; the
held-out images of `val.parquet` are the same. Its measures are added to a file of results. Other settings of GRPO
start from the supervised models of these runs.
"""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from verl_vision_r1.demo.ablation_results import Point, Results, measures_in, start_variant
from verl_vision_r1.demo.ablations import measure, run_trainer
from verl_vision_r1.demo.photograph_table import GRPO, SUPERVISED, TRIED
from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.result import evaluated
from verl_vision_r1.demo.run import TAUGHT_MODEL, on_photographs, run_demo, say
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
        overrides: Other settings of GRPO; with some, they are run instead of the supervised training.
    """

    folder: Path
    data: Path
    steps: int
    seeds: int
    results: Results
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the dataset."""
        return self.data.resolve().name

    @property
    def tried(self) -> str:
        """The name of the other settings, after that of the dataset."""
        return TRIED + " ".join(self.overrides)

    def folder_of(self, variant: str, seed: int) -> Path:
        """The folder of one run."""
        return self.folder / variant / str(seed) / self.name


def run_photographs(plan: PhotographRuns, console: Console) -> None:
    """Make all runs that are not finished: for each seed GRPO, then supervised training of the same time.

    Args:
        plan: The runs.
        console: For progress.

    Raises:
        ValueError, OSError: The data is invalid, a supervised model is missing or the machine is not supported.
        ChildProcessError: A training run failed; the message names its log.
    """
    following = {plan.tried: _tried} if plan.overrides else {SUPERVISED: _supervised}
    for seed in range(plan.seeds):
        for variant, run in ({GRPO: _grpo} | following).items():
            if seed not in plan.results.of(plan.name + variant, plan.steps):
                run(plan, Demo(plan.folder_of("grpo", seed), plan.steps, seed), console)


def _grpo(plan: PhotographRuns, demo: Demo, console: Console) -> None:
    begin = time.monotonic()
    result = run_demo(demo, plan.data, console)
    seconds = round(time.monotonic() - begin, 1)
    before, after = _before_and_after(demo)
    start = Point(result["supervised"]["steps"], result["supervised"]["seconds"], before)
    plan.results.add(start_variant(plan.name), 0, demo.seed, [start])
    plan.results.add(plan.name + GRPO, demo.steps, demo.seed, [Point(demo.steps, seconds, after)])


def _before_and_after(demo: Demo) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """The measures before the first step and after the last, the latter with the interval of the change."""
    first, last = evaluated(demo, 0), evaluated(demo, demo.steps)
    before, after = measures_in(first), measures_in(last)
    for where, differences in compare(first, last).items():
        if (change := differences.get("AP")) and where.split("/")[0] in after:
            after[where.split("/")[0]] |= {"AP_change_low": change.low, "AP_change_high": change.high}
    return before, after


def _tried(plan: PhotographRuns, demo: Demo, console: Console) -> None:
    """Other settings of GRPO, from the supervised model of the demo with this seed."""
    if not (demo.model / "config.json").is_file():
        raise FileNotFoundError(
            f"{demo.model}: expected the supervised model of seed {demo.seed}, got none; --out:"
            f" give the folder of the runs that {plan.results.file} lists"
        )
    folder, overrides = plan.folder_of("tried", demo.seed), (*plan.overrides, "trainer.save_freq=-1")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    say(console, f"{time.strftime('%H:%M')} {plan.name}, seed {demo.seed}: {' '.join(plan.overrides)}")
    begin, other = time.monotonic(), on_photographs(replace(demo, folder=folder, overrides=overrides))
    run_trainer(other)
    seconds = round(time.monotonic() - begin, 1)
    before, after = _before_and_after(other)
    points = [Point(0, 0.0, before), Point(demo.steps, seconds, after)]
    plan.results.add(plan.name + plan.tried, demo.steps, demo.seed, points)


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
