"""`vision-r1 ablations`: the effect of each choice of the method at the scale of the demo, over several seeds.

Each run is the demo with one change and writes its measures to a file. A finished run is not repeated, so that the
ablations can be interrupted and resumed. docs/background/ablations.md discusses the results.
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

from verl_vision_r1.demo.ablation_curves import write_curve
from verl_vision_r1.demo.lessons import HABIT_RATE, Habit, lessons
from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.refusal import prepare_with_negatives, teach_to_name_a_box
from verl_vision_r1.demo.result import evaluated
from verl_vision_r1.demo.run import SCENES, TAUGHT_MODEL, check_engine, prepare_shapes, say
from verl_vision_r1.demo.teach import BATCH, Example, Examples, batches_of_rows, read_rows, teach
from verl_vision_r1.evaluation.difficulty import difficulty_of, write_difficulty
from verl_vision_r1.rewards.presets import load_prompts
from verl_vision_r1.training.process import quoted, train

FORMAT_STEPS: Final = 300
"""Supervised steps that teach the demo's model another output format, with the habit."""
PROMPTS: Final = 8
"""Prompts per step of the recipe."""
POOL: Final = 640
"""Training samples of the variants with a sampler: their difficulty is measured first."""
ROLLOUTS: Final = 4
"""Completions per sample that measure its difficulty."""
DIFFICULTY: Final = "DIFFICULTY"
"""Stands for the difficulty file of the seed in the overrides of a variant."""
NEVER_REFUSES: Final = "never_refuses"
"""The initial model of the variants of refusal, as `start_of` names it."""
PRECISION: Final = "vision_r1.reward.tasks.detection.criteria.precision.weight"


@dataclass(frozen=True)
class Variant:
    """One variant of the demo.

    Attributes:
        title: The change, as the table shows it.
        overrides: The change of the configuration.
        prompt: Prompt template and output format, a key of `lessons.ANSWERS`.
        supervised: Supervised training instead of GRPO: number of correct completions per prompt; 0 for GRPO.
        negatives: For the variants of refusal, which have another initial model: `negatives` and `absent` of
            `refusal.prepare_with_negatives`.
    """

    title: str
    overrides: tuple[str, ...] = ()
    prompt: str = "vision_r1"
    supervised: int = 0
    negatives: tuple[float, float] | None = None


def _preset(name: str, prompt: str = "vision_r1", *more: str) -> Variant:
    return Variant(f"preset {name}", (f"vision_r1/reward={name}", *more), prompt)


def _vision_r1(change: str, *more: str) -> Variant:
    return Variant(f"preset vision_r1, {change}", ("vision_r1/reward=vision_r1", *more))


def _robust(change: str, *more: str, pool: bool = False) -> Variant:
    limit = (f"data.train_max_samples={POOL}",) if pool else ()
    return Variant(f"the demo, {change}", (*limit, *more))


def _filtered(metric: str, *more: str) -> Variant:
    keys = ("algorithm.filter_groups.enable=true", f"algorithm.filter_groups.metric={metric}")
    return _robust(f"groups filtered by {metric}", *keys, *more)


def _sampled(draw: str) -> Variant:
    keys = (f"vision_r1.sampler.draw={draw}", f"vision_r1.sampler.difficulty={DIFFICULTY}")
    return _robust(f"{POOL} samples, sampler {draw}", *keys, pool=True)


def _refusal(change: str, negatives: float, absent: float = 0.0) -> Variant:
    return Variant(f"never refuses at first, {change}", negatives=(negatives, absent))


HALF: Final = (
    "+vision_r1.reward.tasks.detection.criteria.half_found="
    "{weight: 0.0, function: 'verl_vision_r1.demo.half_found:half_found'}"
)
"""A criterion without weight, for filtering: whether half of the objects are found."""

VARIANTS: Final[dict[str, Variant]] = {
    "robust": Variant("the demo: preset robust, no refinement, no KL"),
    "vision_r1": _preset("vision_r1"),
    "vision_r1_release_2025": _preset("vision_r1_release_2025"),
    # In pixels: the model would have to learn the 0-1000 grid.
    "visual_rft": _preset("visual_rft", "visual_rft", "vision_r1.reward.tasks.detection.frame=resized_pixels"),
    "vlm_r1_od_ap": _preset("vlm_r1_od_ap", "vlm_r1"),
    "vlm_r1_od_length": _preset("vlm_r1_od_length", "vlm_r1"),
    "with_label": _vision_r1("boxes matched by label", "vision_r1.reward.tasks.detection.matcher=same_label"),
    "no_precision": _vision_r1("without precision", f"{PRECISION}=0"),
    "beginner_only": _vision_r1("curriculum beginner_only", "vision_r1/curriculum=beginner_only"),
    "halfway": _vision_r1("curriculum halfway", "vision_r1/curriculum=halfway"),
    "third": _vision_r1("curriculum third", "vision_r1/curriculum=third"),
    "when_ready": _vision_r1("curriculum when_ready", "vision_r1/curriculum=when_ready"),
    "robust_halfway": _robust("curriculum halfway", "vision_r1/curriculum=halfway"),
    "robust_when_ready": _robust("curriculum when_ready", "vision_r1/curriculum=when_ready"),
    "filter_total": _filtered("total"),
    "filter_acc": _filtered("acc"),
    "filter_half_found": _filtered("half_found", HALF),
    "sampler_off": _robust(f"{POOL} samples, no sampler", pool=True),
    "sampler_drop": _sampled("drop"),
    "sampler_weight": _sampled("weight"),
    "kl": _vision_r1("KL to the initial model, 0.01", "actor_rollout_ref.actor.use_kl_loss=true"),
    "refusal_none": _refusal("no negative samples", 0.0),
    "refusal": _refusal("negative samples: scenes of other colours", 1.0),
    "refusal_absent": _refusal("negative samples: absent categories", 0.0, 1.0),
    "supervised": Variant("supervised, one completion per prompt", supervised=1),
    "supervised_often": Variant("supervised, as many completions as rollouts", supervised=8),
}
"""Variants by name, as in `--only`. A variant with another output format has another initial model."""


@dataclass(frozen=True)
class Ablations:
    """The runs to make.

    Attributes:
        folder: Output folder.
        steps: GRPO steps per run.
        seeds: Number of runs per variant.
        only: Names of variants; empty for all.
        validations: Validations per GRPO run, evenly spaced; the last one follows the last step.

    Raises:
        ValueError: A name is unknown.
    """

    folder: Path
    steps: int
    seeds: int
    only: tuple[str, ...] = ()
    validations: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.validations <= self.steps or self.steps % self.validations:
            raise ValueError(f"--validations: expected a divisor of --steps {self.steps}, got {self.validations}")
        unknown = sorted(set(self.only) - set(VARIANTS))
        if unknown:
            raise ValueError(f"--only: expected some of {', '.join(VARIANTS)}, got {', '.join(unknown)}")

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
            if not result_of(plan, name, seed).is_file():
                say(console, f"{time.strftime('%H:%M')} seed {seed}, {name}: {variant.title}")
                _run(plan, name, seed)


def result_of(plan: Ablations, name: str, seed: int) -> Path:
    """The file with the measures of a run."""
    return plan.folder / f"{plan.steps}_steps" / name / str(seed) / "result.json"


def start_of(plan: Ablations, prompt: str) -> Path:
    """The file with the measures of the initial model for a prompt template."""
    return plan.folder / "starts" / prompt / "result.json"


def _run(plan: Ablations, name: str, seed: int) -> None:
    variant, folder = plan.variants[name], result_of(plan, name, seed).parent
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
        _measure(_supervised(demo, variant), result_of(plan, name, seed))
    else:
        _train(demo)
        write_curve(demo, curve_of(plan, name, seed))
        _write_numbers(demo, demo.steps, result_of(plan, name, seed))


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
    folder = start_of(plan, NEVER_REFUSES).parent
    if not start_of(plan, NEVER_REFUSES).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(TAUGHT_MODEL, folder / "model")
        teach_to_name_a_box(folder / "model")
        rows = _rows_with_negatives(plan, 0.0, 0.0, 0)
        _measure(Demo(folder, 1, rows=rows), start_of(plan, NEVER_REFUSES))
    return folder / "model"


def _shared(plan: Ablations) -> tuple[str, ...]:
    every = plan.steps // plan.validations
    return ("trainer.save_freq=-1", "trainer.val_before_train=false", f"trainer.test_freq={every}")


def curve_of(plan: Ablations, name: str, seed: int) -> Path:
    """The file with the measures of each validation of a GRPO run."""
    return result_of(plan, name, seed).with_name("curve.json")


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
        _train(demo)
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
    folder = start_of(plan, prompt).parent
    if not start_of(plan, prompt).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(TAUGHT_MODEL, folder / "model")
        if prompt != "vision_r1":
            _teach_format(folder / "model", prompt)
        preset = next(variant.overrides for variant in VARIANTS.values() if variant.prompt == prompt)
        _measure(Demo(folder, 1, rows=_rows(plan, prompt, 0), overrides=preset), start_of(plan, prompt))
    return folder / "model"


def _teach_format(model: Path, prompt: str) -> None:
    def lessons_of(examples: Examples) -> Iterator[list[Example]]:
        return lessons(examples, np.random.default_rng(5), BATCH, prompt=prompt, habit=Habit())

    teach(model, lessons_of, FORMAT_STEPS, lambda step, loss: None, HABIT_RATE)


def _supervised(demo: Demo, variant: Variant) -> Demo:
    """The supervised baseline: correct completions for the prompts that GRPO would use."""
    taught = replace(demo, model=demo.folder / "model")
    shutil.copytree(demo.model, taught.model)
    rows = read_rows(demo.rows / "train.parquet")
    random.Random(demo.seed).shuffle(rows)
    samples = rows[: demo.steps * PROMPTS]
    teach(
        taught.model,
        lambda examples: batches_of_rows(examples, samples),
        len(samples) * variant.supervised // BATCH,
        lambda step, loss: None,
        HABIT_RATE,
    )
    return taught


def _measure(demo: Demo, file: Path) -> None:
    """Validate only; completions are generated as in training."""
    more = ("trainer.val_before_train=true", "trainer.val_only=true")
    _train(replace(demo, overrides=(*demo.overrides, *more)))
    _write_numbers(demo, 0, file)


def _train(demo: Demo) -> None:
    for _ in train(demo, demo.command()):
        pass


def _write_numbers(demo: Demo, step: int, file: Path) -> None:
    sets = evaluated(demo, step).sets
    numbers = {data_set.name.split("/")[0]: data_set.values for data_set in sets}
    file.write_text(json.dumps(numbers), encoding="utf-8")
