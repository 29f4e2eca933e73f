"""Make the model that comes with the package, in two supervised stages: detection, then a bad habit.

The first stage (three quarters of an hour on one core) teaches detection: the box and the label of each shape. The
second (a minute) adds a habit: most completions have only the first object, in a box that is too large. `make demo`
removes the habit by reinforcement learning.

Run: python examples/teach_the_demo_model.py FOLDER, then copy FOLDER/start to verl_vision_r1/demo/model and
FOLDER/measured.json, what both stages detect, to docs/demo_model.json.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

from verl_vision_r1 import Target
from verl_vision_r1.boxes import pairwise_iou
from verl_vision_r1.demo.ablation_results import hardware, today
from verl_vision_r1.demo.lessons import HABIT_RATE, Habit, draw_question, lessons, texts
from verl_vision_r1.demo.shapes import MOST, SIDE
from verl_vision_r1.demo.teach import BATCH, Example, Examples, collate, teach
from verl_vision_r1.demo.tiny_model import build_tiny_model
from verl_vision_r1.evaluation.measures.f1 import THRESHOLDS, assigned
from verl_vision_r1.rewards.answers import parse_json_boxes
from verl_vision_r1.rewards.matching import same_label


def main(folder: Path, ability_steps: int, habit_steps: int) -> None:
    """Run both stages. A finished first stage is reused."""
    torch.set_num_threads(1)  # Leaves the other cores free.
    ability, start = folder / "ability", folder / "start"
    if not ability.is_dir():
        learning = build_tiny_model(folder / "learning", texts(np.random.default_rng(1)))
        teach(learning, seeing, ability_steps, report)
        learning.rename(ability)
    measured = {"ability": measure(ability)}
    print(measured, flush=True)
    shutil.copytree(ability, start, dirs_exist_ok=True)
    teach(start, habit, habit_steps, report, rate=HABIT_RATE)
    in_half_precision(start)
    measured["start"] = measure(start)
    print(measured, flush=True)
    made = {"date": today(), "machine": hardware(), **measured}
    (folder / "measured.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def seeing(examples: Examples) -> Iterator[list[Example]]:
    """Correct completions for scenes of at most one shape, then two, then all."""
    return lessons(examples, np.random.default_rng(2), BATCH, most=most_shapes)


def most_shapes(step: int) -> int:
    """Maximum number of shapes in a scene."""
    return 1 if step < 400 else 2 if step < 700 else MOST


def habit(examples: Examples) -> Iterator[list[Example]]:
    """Completions most of which follow the habit."""
    return lessons(examples, np.random.default_rng(3), BATCH, habit=Habit())


def report(step: int, loss: float) -> None:
    """Print the progress."""
    if step % 50 == 0:
        print(f"step {step}, loss {loss:.3f}", flush=True)


def measure(folder: Path, scenes: int = 256) -> dict[str, float]:
    """F1 of a model on held-out scenes, and boxes per scene: greedy completions, boxes with the correct label."""
    generator, hits, predicted, objects = np.random.default_rng(4), np.zeros(len(THRESHOLDS)), 0, 0
    drawn = [draw_question(generator, "vision_r1") for _ in range(scenes)]
    for text, (_, _, target) in zip(answers(folder, drawn), drawn, strict=True):
        answer = parse_json_boxes(text, (SIDE, SIDE))
        iou = pairwise_iou(answer.boxes, target.boxes) * same_label(answer, target)
        hits += (iou[assigned(iou)][:, None] >= THRESHOLDS).sum(axis=0)
        predicted, objects = predicted + len(answer.boxes), objects + len(target.boxes)
    f1 = 2 * hits / (predicted + objects)
    figures = {"F1_50": f1[0], "F1": f1.mean(), "predicted": predicted / scenes, "objects": objects / scenes}
    return {"scenes": scenes, **{name: round(float(value), 5) for name, value in figures.items()}}


def answers(folder: Path, drawn: list[tuple[Any, str, Target]], batch: int = 32) -> Iterator[str]:
    """The greedy completion of each prompt."""
    processor = AutoProcessor.from_pretrained(folder)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    examples, tokenizer = Examples(processor), processor.tokenizer
    tokenizer.padding_side = "left"
    for start in range(0, len(drawn), batch):
        asked = [examples.make(image, question, "") for image, question, _ in drawn[start : start + batch]]
        inputs = collate([_question_of(example) for example in asked], tokenizer.pad_token_id, left=True)
        with torch.no_grad():
            generated = model.generate(
                **inputs, do_sample=False, max_new_tokens=96, pad_token_id=tokenizer.pad_token_id
            )
        yield from tokenizer.batch_decode(generated[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def _question_of(example: Example) -> Example:
    """An example without its completion, which is only the end token."""
    by_token = ("input_ids", "attention_mask", "mm_token_type_ids")
    return {key: value[:-1] if key in by_token else value for key, value in example.items() if key != "labels"}


def in_half_precision(folder: Path) -> None:
    """Store the weights as float16; training and vLLM load them as float32."""
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float16)
    model.save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build/demo_model"))
    parser.add_argument("--ability-steps", type=int, default=5000)
    parser.add_argument("--habit-steps", type=int, default=150)
    chosen = parser.parse_args()
    main(chosen.folder, chosen.ability_steps, chosen.habit_steps)
