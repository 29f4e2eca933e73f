"""`vision-r1 ablations`: what each choice of the method is worth, at the demo's scale, over several seeds.

Each run is the demo's, with one thing changed, and leaves its numbers in a file; a run whose file is there is not made
again, so that hours of runs may be cut short and taken up later. docs/background/ablations.md says how far a toy may be believed.
"""

import json
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from verl_vision_r1.demo.lessons import HABIT_RATE, Habit, lessons
from verl_vision_r1.demo.result import evaluated
from verl_vision_r1.demo.run import SCENES, TAUGHT_MODEL, check_engine, prepare_shapes
from verl_vision_r1.demo.teach import BATCH, Example, Examples, batches_of_rows, read_rows, teach
from verl_vision_r1.demo.training import Demo
from verl_vision_r1.rewards.presets import load_prompts
from verl_vision_r1.training.process import train

FORM_STEPS: Final = 300
"""Supervised steps that teach the demo's model another form of answers, the habit kept."""
QUESTIONS: Final = 8
"""In a step of the recipe."""
PRECISION: Final = "vision_r1.reward.tasks.detection.criteria.precision.weight"


@dataclass(frozen=True)
class Variant:
    """One run of the table.

    Attributes:
        says: What is different.
        overrides: What that is in the configuration.
        prompt: The form of the questions and answers, one of `lessons.ANSWERS`.
        supervised: Instead of reinforcement, right answers: how many to each question that reinforcement would ask.
    """

    says: str
    overrides: tuple[str, ...] = ()
    prompt: str = "vision_r1"
    supervised: int = 0


def _preset(name: str, prompt: str = "vision_r1", *more: str) -> Variant:
    return Variant(f"preset {name}", (f"vision_r1/reward={name}", *more), prompt)


def _vision_r1(says: str, *more: str) -> Variant:
    return Variant(f"preset vision_r1, {says}", ("vision_r1/reward=vision_r1", *more))


VARIANTS: Final[dict[str, Variant]] = {
    "robust": Variant("the demo as it is: preset robust, refinement off, no KL"),
    "vision_r1": _vision_r1("the same otherwise"),
    "vision_r1_release_2025": _preset("vision_r1_release_2025"),
    # Its frame of 1,000 units would have to be learnt anew.
    "visual_rft": _preset("visual_rft", "visual_rft", "vision_r1.reward.tasks.detection.frame=resized_pixels"),
    "vlm_r1_od_ap": _preset("vlm_r1_od_ap", "vlm_r1"),
    "vlm_r1_od_length": _preset("vlm_r1_od_length", "vlm_r1"),
    "with_label": _vision_r1("boxes matched with their label", "vision_r1.reward.tasks.detection.matcher=same_label"),
    "no_precision": _vision_r1("without precision", f"{PRECISION}=0"),
    "beginner_only": _vision_r1("refinement beginner_only", "vision_r1/curriculum=beginner_only"),
    "halfway": _vision_r1("refinement halfway", "vision_r1/curriculum=halfway"),
    "third": _vision_r1("refinement third", "vision_r1/curriculum=third"),
    "kl": _vision_r1("KL to the start, 0.01", "actor_rollout_ref.actor.use_kl_loss=true"),
    "supervised": Variant("right answers instead, one to each question", supervised=1),
    "supervised_often": Variant("right answers instead, as many as rollouts", supervised=8),
}
"""By the name that `--only` takes. Of those that are taught another form, the start is another too."""


@dataclass(frozen=True)
class Ablations:
    """Where the runs lie, and how long each is.

    Attributes:
        folder: All that they make.
        steps: Steps of reinforcement.
        seeds: How many runs of each variant.
        only: Names of variants; empty takes all.
    """

    folder: Path
    steps: int
    seeds: int
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.only) - set(VARIANTS))
        if unknown:
            raise ValueError(f"--only: expected names of {', '.join(VARIANTS)}, got {', '.join(unknown)}")

    @property
    def variants(self) -> dict[str, Variant]:
        """The variants that are run."""
        return {name: VARIANTS[name] for name in self.only} or VARIANTS


def run_ablations(plan: Ablations, console: Console) -> None:
    """Make all runs that are not there yet, a seed of every variant before the next, and say where each is.

    Raises:
        ValueError: The machine is not as expected.
        ChildProcessError: A run failed; the message names its log.
    """
    check_engine()
    for seed in range(plan.seeds):
        for name, variant in plan.variants.items():
            if not result_of(plan, name, seed).is_file():
                console.print(f"{time.strftime('%H:%M')} seed {seed}, {name}: {variant.says}")
                _run(plan, name, seed)


def result_of(plan: Ablations, name: str, seed: int) -> Path:
    """The file of a run's numbers."""
    return plan.folder / f"{plan.steps}_steps" / name / str(seed) / "result.json"


def start_of(plan: Ablations, prompt: str) -> Path:
    """The file of the numbers of the model that a form's runs start from."""
    return plan.folder / "starts" / prompt / "result.json"


def _run(plan: Ablations, name: str, seed: int) -> None:
    variant, folder = plan.variants[name], result_of(plan, name, seed).parent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    demo = Demo(
        folder,
        plan.steps,
        seed,
        overrides=("trainer.save_freq=-1", "trainer.val_before_train=false", *variant.overrides),
        rows=_rows(plan, variant.prompt, seed),
        model=_start(plan, variant.prompt),
    )
    if variant.supervised:
        _measure(_supervised(demo, variant), result_of(plan, name, seed))
    else:
        _train(demo)
        _write_numbers(demo, demo.steps, result_of(plan, name, seed))


def _rows(plan: Ablations, prompt: str, seed: int) -> Path:
    """Rows for a form: Visual-RFT asks about one category only. The scenes of a seed are the same for all."""
    asks = tuple(ask for ask in SCENES if ask in load_prompts(prompt).templates)
    folder = plan.folder / "data" / "_".join(asks) / str(seed)
    if not (folder / "rows" / "val.parquet").is_file():
        prepare_shapes(folder, seed, asks)
    return folder / "rows"


def _start(plan: Ablations, prompt: str) -> Path:
    """The demo's model, or one that was taught another form of answers on top of it, with the same habit."""
    folder = start_of(plan, prompt).parent
    if not start_of(plan, prompt).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(TAUGHT_MODEL, folder / "model")
        if prompt != "vision_r1":
            _teach_form(folder / "model", prompt)
        preset = next(variant.overrides for variant in VARIANTS.values() if variant.prompt == prompt)
        _measure(Demo(folder, 1, rows=_rows(plan, prompt, 0), overrides=preset), start_of(plan, prompt))
    return folder / "model"


def _teach_form(model: Path, prompt: str) -> None:
    def lessons_of(examples: Examples) -> Iterator[list[Example]]:
        return lessons(examples, np.random.default_rng(5), BATCH, prompt=prompt, habit=Habit())

    teach(model, lessons_of, FORM_STEPS, lambda step, loss: None, HABIT_RATE)


def _supervised(demo: Demo, variant: Variant) -> Demo:
    """The fair rival: right answers to the questions that reinforcement would have asked."""
    taught = replace(demo, model=demo.folder / "model")
    shutil.copytree(demo.model, taught.model)
    rows = read_rows(demo.rows / "train.parquet")
    random.Random(demo.seed).shuffle(rows)
    asked = rows[: demo.steps * QUESTIONS]
    teach(
        taught.model,
        lambda examples: batches_of_rows(examples, asked),
        len(asked) * variant.supervised // BATCH,
        lambda step, loss: None,
        HABIT_RATE,
    )
    return taught


def _measure(demo: Demo, file: Path) -> None:
    """Only validate: the answers are generated as in training."""
    more = ("trainer.val_before_train=true", "trainer.val_only=true")
    _train(replace(demo, overrides=(*demo.overrides, *more)))
    _write_numbers(demo, 0, file)


def _train(demo: Demo) -> None:
    for _ in train(demo, demo.command()):
        pass


def _write_numbers(demo: Demo, step: int, file: Path) -> None:
    sets = evaluated(demo, step).sets
    file.write_text(json.dumps({found.name.split("/")[0]: found.values for found in sets}), encoding="utf-8")
