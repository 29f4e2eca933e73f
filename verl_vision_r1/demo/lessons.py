"""What the demo's model is taught before: scenes without end, and answers that are right or follow a bad habit.

The habit is what reinforcement then has to undo: the model sees where the shapes are, but has learnt to say only the
first of them and to draw its box too large, as a model does that was taught by hurried annotators.
"""

import functools
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from verl_vision_r1.data.questions import of_category
from verl_vision_r1.demo.shapes import MOST, draw_scene
from verl_vision_r1.demo.teach import Example, Examples
from verl_vision_r1.rewards.answers import write_json_boxes
from verl_vision_r1.rewards.presets import load_prompts
from verl_vision_r1.targets import Target

HABIT_RATE: Final = 5e-4
"""Learning rate of what is taught on top of the ability."""


@dataclass(frozen=True)
class Habit:
    """Answers that are wrong in the same way.

    Attributes:
        share: Of the answers that are wrong.
        grown: By how much of its size a box is moved outwards on each side; 0.2 leaves an IoU of 0.51.
        named: How many objects are said at most.
    """

    share: float = 0.7
    grown: float = 0.2
    named: int = 1

    def of(self, target: Target, generator: np.random.Generator) -> Target:
        """What is said of a target: by habit, or else all of it as it is."""
        if generator.random() >= self.share:
            return target
        boxes = target.boxes[: self.named]
        margin = self.grown * (boxes[:, 2:] - boxes[:, :2])
        grown = np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)
        return replace(
            target, boxes=grown.clip(0, [target.width, target.height] * 2), labels=target.labels[: self.named]
        )


def _write_vlm_r1(target: Target) -> str:
    rows = np.rint(target.boxes).astype(int).tolist()
    items = [{"bbox_2d": row, "label": label} for row, label in zip(rows, target.labels, strict=True)]
    return f"<think> </think> <answer>```json{json.dumps(items)}```</answer>"


def _write_visual_rft(target: Target) -> str:
    rows = np.rint(target.boxes).astype(int).tolist()
    items = ", ".join(f"{{'Position': {row}, 'Confidence': 0.90}}" for row in rows)
    return f"<think> </think> <answer>[{items}]</answer>"


ANSWERS: Final[dict[str, Callable[[Target], str]]] = {
    "vision_r1": lambda target: write_json_boxes(target.boxes, target.labels),
    "vlm_r1": _write_vlm_r1,
    "visual_rft": _write_visual_rft,
}
"""The answer that each prompt of the group `vision_r1/prompt` asks for, with boxes in pixels of the scene."""


_prompts = functools.cache(load_prompts)  # They are read from a file, and asked for with every scene.


def draw_question(generator: np.random.Generator, prompt: str, most: int = MOST) -> tuple[Any, str, Target]:
    """A scene, a question about all that is in it or about one category, and the target of that question."""
    image, target = draw_scene(generator, most)
    prompts = _prompts(prompt)
    if "categories" in prompts.templates and generator.random() < 0.5:
        return image, prompts.text("categories", target, ""), target
    name = str(generator.choice(target.labels))
    alone = of_category(target, name)
    return image, prompts.text("category", alone, name), alone


def lessons(
    examples: Examples,
    generator: np.random.Generator,
    batch: int,
    *,
    prompt: str = "vision_r1",
    habit: Habit | None = None,
    most: Callable[[int], int] = lambda _: MOST,
) -> Iterator[list[Example]]:
    """Batches without end, no scene twice.

    Args:
        examples: Makes an example of an image, a question and an answer.
        generator: Decides the scenes.
        batch: Examples in each.
        prompt: One of `ANSWERS`.
        habit: How answers are wrong; None makes them right.
        most: Greatest number of shapes in a scene, by step, from 0.
    """
    for step in itertools.count():
        drawn = (draw_question(generator, prompt, most(step)) for _ in range(batch))
        yield [
            examples.make(image, question, ANSWERS[prompt](habit.of(target, generator) if habit else target))
            for image, question, target in drawn
        ]


def texts(generator: np.random.Generator, scenes: int = 600) -> Iterator[str]:
    """Questions and answers in all forms, as a tokenizer is trained on them."""
    for prompt in ANSWERS:
        for _ in range(scenes):
            _, question, target = draw_question(generator, prompt)
            yield question
            yield ANSWERS[prompt](target)
