"""`vision-r1 ablations`: the effect of each choice of the method at the scale of the demo, over several seeds.

Each run is the demo with one change; its measures are added to a file of results. A run that is there is not repeated.
docs/background/ablations.md discusses the results.
"""

import random
import shutil
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from verl_vision_r1.demo.ablation_results import Point, Results, measures_of, points_of, start_variant
from verl_vision_r1.demo.ablation_table import INITIAL, ablation_table, time_table
from verl_vision_r1.demo.ablation_variants import DIFFICULTY, NEVER_REFUSES, POOL, VARIANTS, Variant
from verl_vision_r1.demo.lessons import HABIT_RATE, Habit, lessons
from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.refusal import prepare_with_negatives, teach_to_name_a_box
from verl_vision_r1.demo.refusal_table import refusal_table
from verl_vision_r1.demo.run import SCENES, TAUGHT_MODEL, check_engine, prepare_shapes, say
from verl_vision_r1.demo.teach import BATCH, batches_of_rows, read_rows, teach
from verl_vision_r1.evaluation.difficulty import difficulty_of, write_difficulty
from verl_vision_r1.evaluation.presentation.tables import Grid
from verl_vision_r1.rewards.presets import load_prompts
from verl_vision_r1.training.process import quoted, train

FORMAT_STAGES: Final = ((1000, 1e-3), (150, HABIT_RATE))
"""Steps and learning rates that teach the demo's model another output format: correct completions, then the habit."""
PROMPTS: Final = 8
"""Prompts per step of the recipe."""
ROLLOUTS: Final = 4
"""Completions per sample that measure its difficulty."""
DONE: Final = "done"
"""File beside an initial model that is made and measured."""


@dataclass(frozen=True)
class Ablations:
    """The runs to make.

    Attributes:
        folder: Folder of the runs.
        steps: GRPO steps per run.
        seeds: Number of runs per variant.
        only: Names of variants; empty for all.
        validations: Validations per GRPO run, evenly spaced; the last one follows the last step.
        file: File of the results; by default `results.jsonl` in the folder.

    Raises:
        ValueError: A name is unknown.
    """

    folder: Path
    steps: int
    seeds: int
    only: tuple[str, ...] = ()
    validations: int = 1
    file: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.validations <= self.steps or self.steps % self.validations:
            raise ValueError(f"--validations: expected a divisor of --steps {self.steps}, got {self.validations}")
        unknown = sorted(set(self.only) - set(VARIANTS))
        if unknown:
            raise ValueError(f"--only: expected some of {', '.join(VARIANTS)}, got {', '.join(unknown)}")

    @property
    def results(self) -> Results:
        """The measured runs."""
        return Results(self.file or self.folder / "results.jsonl")

    @property
    def variants(self) -> dict[str, Variant]:
        """The variants to run."""
        return {name: VARIANTS[name] for name in self.only} or VARIANTS


def run_ablations(plan: Ablations, console: Console) -> None:
    """Make all runs that are not finished, every variant with one seed before the next seed.

    Args:
        plan: The runs.
        console: For progress.

    Raises:
        ValueError: The machine is not supported.
        ChildProcessError: A run failed; the message names its log.
    """
    check_engine()
    for seed in range(plan.seeds):
        for name, variant in plan.variants.items():
            if seed not in plan.results.of(name, plan.steps):
                say(console, f"{time.strftime('%H:%M')} seed {seed}, {name}: {variant.title}")
                plan.results.add(name, plan.steps, seed, _run(plan, name, seed))


def ablation_tables(results: Results, steps: int) -> list[Grid]:
    """The tables of the finished runs: measures, times and refusals. A table without a run is left out."""
    grids = (make(results, steps) for make in (ablation_table, time_table, refusal_table))
    return [grid for grid in grids if any(row[0] != INITIAL for row in grid.rows)]


def _run(plan: Ablations, name: str, seed: int) -> list[Point]:
    variant, folder = plan.variants[name], plan.folder / f"{plan.steps}_steps" / name / str(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows, model = _rows_and_start(plan, variant, seed)
    demo = Demo(
        folder,
        plan.steps,
        seed,
        overrides=(*_shared(plan), *_with_difficulty(plan, variant.overrides, seed)),
        rows=rows,
        model=model,
    )
    if variant.supervised:
        demo, seconds = _supervised(demo, variant)
        if not variant.then_grpo:
            return [Point(demo.steps, seconds, measure(demo))]
    run_trainer(demo)
    return points_of(demo)


def _rows_and_start(plan: Ablations, variant: Variant, seed: int) -> tuple[Path, Path]:
    """Data and initial model of a variant."""
    if variant.negatives is None:
        return _rows(plan, variant.prompt, seed), _start(plan, variant.prompt)
    return _rows_with_negatives(plan, *variant.negatives, seed), _start_without_refusals(plan)


def _rows_with_negatives(plan: Ablations, negatives: float, absent: float, seed: int) -> Path:
    folder = plan.folder / "data" / f"negatives_{negatives:g}_{absent:g}" / str(seed)
    if not (folder / "rows" / "val.parquet").is_file():
        prepare_with_negatives(folder, seed, negatives, absent)
    return folder / "rows"


def _start_without_refusals(plan: Ablations) -> Path:
    """The demo's initial model with the habit to name a box whatever it is asked for."""
    folder = plan.folder / "starts" / NEVER_REFUSES
    if not (folder / DONE).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(TAUGHT_MODEL, folder / "model")
        teach_to_name_a_box(folder / "model")
        _measure_start(plan, NEVER_REFUSES, Demo(folder, 1, rows=_rows_with_negatives(plan, 0.0, 0.0, 0)))
    return folder / "model"


def _measure_start(plan: Ablations, name: str, demo: Demo) -> None:
    """Measure an initial model; the file `DONE` says that it need not be made again."""
    plan.results.add(start_variant(name), 0, 0, [Point(0, 0.0, measure(demo))])
    (demo.folder / DONE).touch()


def _shared(plan: Ablations) -> tuple[str, ...]:
    every = plan.steps // plan.validations
    return ("trainer.save_freq=-1", "trainer.val_before_train=false", f"trainer.test_freq={every}")


def _with_difficulty(plan: Ablations, overrides: tuple[str, ...], seed: int) -> tuple[str, ...]:
    if not any(DIFFICULTY in override for override in overrides):
        return overrides
    file = str(_measured_difficulty(plan, seed))
    return tuple(quoted(override.replace(DIFFICULTY, file)) for override in overrides)


def _measured_difficulty(plan: Ablations, seed: int) -> Path:
    """The difficulty file of the training samples for the initial model, from a validation on them."""
    folder = plan.folder / "difficulty" / str(seed)
    file = folder / "difficulty.json"
    if not file.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        rows = _rows(plan, "vision_r1", seed)
        sampled = [f"actor_rollout_ref.rollout.val_kwargs.{key}" for key in (f"n={ROLLOUTS}", "temperature=1.0")]
        more = (
            *(f"data.val_max_samples={POOL}", quoted(f"data.val_files={rows / 'train.parquet'}"), *sampled),
            *("actor_rollout_ref.rollout.val_kwargs.do_sample=true", "trainer.val_before_train=true"),
            "trainer.val_only=true",
        )
        demo = Demo(folder, 1, seed, overrides=more, rows=rows, model=_start(plan, "vision_r1"))
        folder.mkdir(parents=True)
        run_trainer(demo)
        write_difficulty(file, difficulty_of([demo.validations / "0.jsonl"]))
    return file


def _rows(plan: Ablations, prompt: str, seed: int) -> Path:
    """Data for a prompt template: Visual-RFT has prompts for one category only. A seed has the same scenes for all."""
    asks = tuple(ask for ask in SCENES if ask in load_prompts(prompt).templates)
    folder = plan.folder / "data" / "_".join(asks) / str(seed)
    if not (folder / "rows" / "val.parquet").is_file():
        prepare_shapes(folder, seed, asks)
    return folder / "rows"


def _start(plan: Ablations, prompt: str) -> Path:
    """The demo's initial model, or one with another output format, trained from it with the same habit."""
    folder = plan.folder / "starts" / prompt
    if not (folder / DONE).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(TAUGHT_MODEL, folder / "model")
        if prompt != "vision_r1":
            _teach_format(folder / "model", prompt)
        preset = next(variant.overrides for variant in VARIANTS.values() if variant.prompt == prompt)
        _measure_start(plan, prompt, Demo(folder, 1, rows=_rows(plan, prompt, 0), overrides=preset))
    return folder / "model"


def _teach_format(model: Path, prompt: str) -> None:
    for habit, (steps, rate) in zip((None, Habit()), FORMAT_STAGES, strict=True):
        draw = partial(lessons, generator=np.random.default_rng(steps), batch=BATCH, prompt=prompt, habit=habit)
        teach(model, draw, steps, lambda step, loss: None, rate)


def _supervised(demo: Demo, variant: Variant) -> tuple[Demo, float]:
    """The supervised baseline: correct completions for the prompts that GRPO would use.

    Returns:
        The demo with the trained model, and the seconds of the training.
    """
    taught = replace(demo, model=demo.folder / "model")
    shutil.copytree(demo.model, taught.model)
    rows = read_rows(demo.rows / "train.parquet")
    random.Random(demo.seed).shuffle(rows)
    prompts = demo.steps * PROMPTS
    samples = rows if variant.fresh else rows[:prompts]
    updates, begin = prompts * variant.supervised // BATCH, time.monotonic()
    teach(
        taught.model, lambda examples: batches_of_rows(examples, samples), updates, lambda step, loss: None, HABIT_RATE
    )
    return taught, round(time.monotonic() - begin, 1)


def measure(demo: Demo) -> dict[str, dict[str, float]]:
    """Validate only; completions are generated as in training."""
    more = ("trainer.val_before_train=true", "trainer.val_only=true")
    run_trainer(replace(demo, overrides=(*demo.overrides, *more)))
    return measures_of(demo, 0)


def run_trainer(demo: Demo) -> None:
    """Make a training run to its end.

    Raises:
        ChildProcessError: It failed; the message names its log.
    """
    for _ in train(demo, demo.command()):
        pass
