"""Supervised examples for the demo's initial model: drawn scenes with completions that are correct or follow a habit.

GRPO then has to undo the habit: the model can locate all shapes, but has learnt to output only the first one, in a box
that is too large.
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
"""Learning rate of the second supervised stage, which adds the habit."""


@dataclass(frozen=True)
class Habit:
    """A systematic error of the completions.

    Attributes:
        fraction: Fraction of completions with the error, in [0, 1].
        grown: How far each side of a box is moved outwards, as a fraction of the box; 0.2 gives an IoU of 0.51.
        objects: Maximum number of objects in a completion with the error.
    """

    fraction: float = 0.7
    grown: float = 0.2
    objects: int = 1

    def of(self, target: Target, generator: np.random.Generator) -> Target:
        """The target that the completion describes: with the error, or unchanged."""
        if generator.random() >= self.fraction:
            return target
        boxes = target.boxes[: self.objects]
        margin = self.grown * (boxes[:, 2:] - boxes[:, :2])
        grown = np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)
        clipped = grown.clip(0, [target.width, target.height] * 2)
        return replace(target, boxes=clipped, labels=target.labels[: self.objects])


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
"""The correct completion by prompt template of the group `vision_r1/prompt`, with boxes in pixels of the scene."""


_prompts = functools.cache(load_prompts)  # Called for every scene.


def draw_question(generator: np.random.Generator, prompt: str, most: int = MOST) -> tuple[Any, str, Target]:
    """Draw a scene, a prompt for all categories or one of them, and its ground truth.

    Args:
        generator: Source of randomness.
        prompt: A key of `ANSWERS`.
        most: Maximum number of shapes in the scene.

    Returns:
        The image, the prompt and the target.
    """
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
    """Endless batches; no scene repeats.

    Args:
        examples: Makes an example of an image, a prompt and a completion.
        generator: Source of randomness.
        batch: Examples per batch.
        prompt: A key of `ANSWERS`.
        habit: The error of the completions; None for correct ones.
        most: Maximum number of shapes in a scene, by step from 0.
    """
    for step in itertools.count():
        drawn = (draw_question(generator, prompt, most(step)) for _ in range(batch))
        yield [
            examples.make(image, question, ANSWERS[prompt](habit.of(target, generator) if habit else target))
            for image, question, target in drawn
        ]


def texts(generator: np.random.Generator, scenes: int = 600) -> Iterator[str]:
    """Prompts and completions of all templates, to train a tokenizer on."""
    for prompt in ANSWERS:
        for _ in range(scenes):
            _, question, target = draw_question(generator, prompt)
            yield question
            yield ANSWERS[prompt](target)
