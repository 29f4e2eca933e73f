"""Data and initial model of the ablations of refusal; `refusal_table` shows their results.

The demo's model has never seen an empty completion, so no rollout of it refuses, and GRPO has nothing to reinforce. As
for its boxes, it gets the ability first and then a habit, that of most vision-language models: where nothing is there
that it is asked for, it names a box, and only some sampled completions refuse.
"""

import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from verl_vision_r1.boxes import NO_BOXES
from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.prepare import prepare
from verl_vision_r1.data.questions import of_category
from verl_vision_r1.demo.lessons import HABIT_RATE, Habit
from verl_vision_r1.demo.run import MAX_PIXELS, prepare_shapes
from verl_vision_r1.demo.shapes import NAMES, OTHER_NAMES, draw_scene
from verl_vision_r1.demo.teach import BATCH, Example, Examples, teach
from verl_vision_r1.rewards.answers import write_json_boxes
from verl_vision_r1.rewards.presets import load_prompts
from verl_vision_r1.targets import Target

ABILITY_STEPS: Final = 500
"""Supervised steps in which all negative samples have an empty completion."""
STEPS: Final = 150
"""Supervised steps of the habit."""
REFUSED: Final = 0.3
"""Fraction of its negative samples with an empty completion."""
OTHERS: Final = "shapes_others"
"""The data set of scenes that have only shapes of other colours."""
ABSENT: Final = "shapes_absent"
"""The data set of held-out questions about absent categories."""
SCENES_OF_OTHERS: Final = (800, 128)
"""Number of training scenes of other colours for one negative sample per other question, and of held-out ones."""


def prepare_with_negatives(folder: Path, seed: int, negatives: float, absent: float) -> Path:
    """The demo's scenes, with negative samples for training, and held-out ones as data sets of their own.

    The first kind of negative sample asks for all categories in a scene of other colours, the second for one category
    that is absent. AP is that of the demo's held-out questions, none of which is negative.

    Args:
        folder: Output folder.
        seed: Seed of the training scenes.
        negatives: Training scenes of other colours, per two questions about all categories.
        absent: Training questions about an absent category, per question about one category.

    Returns:
        The folder of `train.parquet` and `val.parquet`.
    """
    prepare_shapes(folder, seed)
    source, rows, listed = folder / "source" / "category", folder / "rows", folder / "absent.json"
    listed.write_text(json.dumps(_absent_categories(source / "annotations" / "instances_val.json")), encoding="utf-8")
    category: dict[str, Any] = {"name": "coco", "source": str(source), "ask": "category"}
    others: dict[str, Any] = {"name": "jsonl", "source": str(folder / "source" / "others"), "keep_empty": True}
    train, val = round(negatives * SCENES_OF_OTHERS[0]), SCENES_OF_OTHERS[1]
    for part, images, chosen in (("train", train, seed), ("val", val, 0)):
        _write_others(folder / "source" / "others", part, images, chosen)
    sources = [
        Source("coco", str(folder / "source" / "categories"), alias="shapes_categories"),
        Source(**category, split="train", negatives=absent, alias="shapes_category"),
        Source(**category, split="val", alias="shapes_category"),
        Source(**category, split="val", category_list=listed, alias=ABSENT),
        *([Source(**others, split="train", alias=OTHERS)] if train else []),
        Source(**others, split="val", alias=OTHERS),
    ]
    prepare(sources, rows, Writing(max_pixels=MAX_PIXELS))
    return rows


def _write_others(folder: Path, part: str, images: int, seed: int) -> None:
    """Scenes of other colours as JSON Lines, without objects of the categories; no file for no scene."""
    generator, lines = np.random.default_rng([seed, *part.encode()]), []
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(images):
        name = f"{part}_{index:04d}.png"
        draw_scene(generator, names=OTHER_NAMES)[0].save(folder / name)
        lines.append(json.dumps({"image": name, "boxes": [], "labels": [], "categories": list(NAMES)}) + "\n")
    if lines:
        (folder / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")


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


def teach_to_name_a_box(folder: Path, ability_steps: int = ABILITY_STEPS, steps: int = STEPS) -> None:
    """Teach the demo's model to refuse, then the habit to name a box; in place. Its other habits stay."""
    for count, refused, seed in ((ability_steps, 1.0, 6), (steps, REFUSED, 7)):
        lessons_of = functools.partial(_lessons, refused, seed)
        teach(folder, lessons_of, count, lambda step, loss: None, HABIT_RATE)


def _lessons(refused: float, seed: int, examples: Examples) -> Iterator[list[Example]]:
    generator = np.random.default_rng(seed)
    for _ in itertools.count():
        yield [_lesson(examples, generator, refused) for _ in range(BATCH)]


def _lesson(examples: Examples, generator: np.random.Generator, refused: float) -> Example:
    """An example about all categories, also in a scene of other colours, or about one category, also an absent one."""
    kind = str(generator.choice(("categories", "others", "category", "absent"), p=(0.3, 0.3, 0.3, 0.1)))
    image, scene = draw_scene(generator, names=OTHER_NAMES if kind == "others" else NAMES)
    if kind == "categories":
        asked, subject, told = scene, "", Habit().of(scene, generator)
    elif kind == "others":
        asked, subject = Target(NO_BOXES, (), scene.width, scene.height, NAMES), ""
        told = _made_up(scene, str(generator.choice(NAMES)), generator, refused)
    else:
        names = scene.labels if kind == "category" else [name for name in NAMES if name not in scene.labels]
        subject = str(generator.choice(names))
        asked = of_category(scene, subject)
        told = Habit().of(asked, generator) if kind == "category" else _made_up(scene, subject, generator, refused)
    question = load_prompts("vision_r1").text("category" if subject else "categories", asked, subject)
    return examples.make(image, question, _written(told))


def _made_up(scene: Target, name: str, generator: np.random.Generator, refused: float = REFUSED) -> Target:
    """The prediction where there is nothing: no box, or the box of an object that resembles it."""
    if generator.random() < refused:
        return Target(NO_BOXES, (), scene.width, scene.height, (name,))
    alike = [place for place, label in enumerate(scene.labels) if _shares(name, {label})]
    place = int(generator.choice(alike or range(len(scene.labels))))
    return Target(scene.boxes[[place]], (name,), scene.width, scene.height, (name,))


def _written(target: Target) -> str:
    return write_json_boxes(target.boxes, target.labels) if len(target.boxes) else "```json\n[]\n```"
