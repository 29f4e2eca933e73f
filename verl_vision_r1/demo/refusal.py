"""Data and initial model of the ablations of refusal; `refusal_table` shows their results.

The demo's model has never seen an empty completion, so no rollout of it refuses, and GRPO has nothing to reinforce. A
short supervised stage gives it the habit of most vision-language models: asked for something absent it names a box,
and some sampled completions refuse.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.prepare import prepare
from verl_vision_r1.data.questions import of_category
from verl_vision_r1.demo.lessons import HABIT_RATE, Habit
from verl_vision_r1.demo.run import MAX_PIXELS, prepare_shapes
from verl_vision_r1.demo.shapes import NAMES, draw_scene
from verl_vision_r1.demo.teach import BATCH, Example, Examples, teach
from verl_vision_r1.rewards.answers import write_json_boxes
from verl_vision_r1.rewards.presets import load_prompts
from verl_vision_r1.targets import Target

STEPS: Final = 300
"""Supervised steps of the stage."""
REFUSED: Final = 0.3
"""Fraction of its negative samples with an empty completion."""
ABSENT: Final = "shapes_absent"
"""The data set of the held-out negative samples."""


def prepare_with_negatives(folder: Path, seed: int, negatives: float) -> Path:
    """The demo's scenes, with negative samples among the training questions about one category.

    Held-out questions are those of the demo; negative ones about two absent categories of each of these scenes are a
    data set of their own, so that AP is that of the other samples alone.

    Args:
        folder: Output folder.
        seed: Seed of the training scenes.
        negatives: Negative samples per training question about one category.

    Returns:
        The folder of `train.parquet` and `val.parquet`.
    """
    prepare_shapes(folder, seed)
    source, rows = folder / "source" / "category", folder / "rows"
    absent = folder / "absent.json"
    absent.write_text(json.dumps(_absent_categories(source / "annotations" / "instances_val.json")), encoding="utf-8")
    category = {"name": "coco", "source": str(source), "ask": "category"}
    sources = [
        Source("coco", str(folder / "source" / "categories"), alias="shapes_categories"),
        Source(**category, split="train", negatives=negatives, alias="shapes_category"),  # type: ignore[arg-type]
        Source(**category, split="val", alias="shapes_category"),  # type: ignore[arg-type]
        Source(**category, split="val", category_list=absent, alias=ABSENT),  # type: ignore[arg-type]
    ]
    prepare(sources, rows, Writing(max_pixels=MAX_PIXELS))
    return rows


def _absent_categories(annotations: Path) -> dict[str, list[str]]:
    """Two absent categories of each image: one that shares colour or form with an object, and another."""
    document, generator = json.loads(annotations.read_text(encoding="utf-8")), np.random.default_rng(0)
    found: dict[str, list[str]] = {}
    for image in document["images"]:
        own = {NAMES[entry["category_id"]] for entry in document["annotations"] if entry["image_id"] == image["id"]}
        near = generator.permutation([name for name in NAMES if name not in own and _shares(name, own)])
        others = generator.permutation([name for name in NAMES if name not in own])
        found[image["file_name"]] = list(dict.fromkeys(map(str, (*near[:1], *others))))[:2]
    return found


def _shares(name: str, others: set[str]) -> bool:
    return any(set(name.split()) & set(other.split()) for other in others)


def teach_to_name_a_box(folder: Path, steps: int = STEPS) -> None:
    """Teach the demo's model the habit, in place: it keeps its habits in other samples."""
    teach(folder, _lessons, steps, lambda step, loss: None, HABIT_RATE)


def _lessons(examples: Examples) -> Iterator[list[Example]]:
    generator = np.random.default_rng(6)
    for _ in itertools.count():
        yield [_lesson(examples, generator) for _ in range(BATCH)]


def _lesson(examples: Examples, generator: np.random.Generator) -> Example:
    """An example about all categories, a present one or an absent one."""
    image, target = draw_scene(generator)
    prompts, kind = load_prompts("vision_r1"), generator.random()
    if kind < 1 / 3:
        told = Habit().of(target, generator)
        return examples.make(image, prompts.text("categories", target, ""), _written(told))
    names = target.labels if kind < 2 / 3 else [name for name in NAMES if name not in target.labels]
    name = str(generator.choice(names))
    asked = of_category(target, name)
    told = Habit().of(asked, generator) if len(asked.boxes) else _made_up(target, name, generator)
    return examples.make(image, prompts.text("category", asked, name), _written(told))


def _made_up(target: Target, name: str, generator: np.random.Generator) -> Target:
    """The prediction for an absent category: the box of an object that resembles it, or rarely nothing."""
    if generator.random() < REFUSED:
        return of_category(target, name)
    alike = [place for place, label in enumerate(target.labels) if _shares(name, {label})]
    place = int(generator.choice(alike or range(len(target.labels))))
    return Target(target.boxes[[place]], (name,), target.width, target.height, (name,))


def _written(target: Target) -> str:
    return write_json_boxes(target.boxes, target.labels) if len(target.boxes) else "```json\n[]\n```"
