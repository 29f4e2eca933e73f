"""What the trainers of the benchmark share: the samples in their order, the reward, and the record of the steps."""

import json
import random
import time
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.demo.teach import read_rows
from verl_vision_r1.rewards.presets import load_preset
from verl_vision_r1.rewards.scoring import score_completion
from verl_vision_r1.targets import Target

PROMPTS: Final = 8
"""Prompts per step."""
ROLLOUTS: Final = 8
"""Completions per prompt."""
TOKENS: Final = 48
"""Maximum number of tokens per completion."""
RATE: Final = 2e-4
"""Learning rate, constant, AdamW."""
PRESET: Final = load_preset("robust")


def read_samples(file: Path, seed: int = 0) -> list[dict[str, Any]]:
    """The training samples in the order in which they are used."""
    rows = read_rows(file)
    random.Random(seed).shuffle(rows)
    return rows


def question(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a sample."""
    text = row["prompt"][0]["content"].replace("<image>", "")
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]


def reward(completion: str, ground_truth: str) -> float:
    """The score of a completion, its boxes in pixels of the image, which has the size that the model sees."""
    target = Target.from_json(ground_truth)
    return score_completion(completion, target, PRESET.rules_of(target), (target.width, target.height)).total


class Record:
    """Times of each step, written after every step.

    Args:
        file: Where they are written.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.steps: list[dict[str, float]] = []

    def add(self, begin: float, generated: float) -> None:
        """A step that began and had generated and scored its completions at these times of `time.time`."""
        end = time.time()
        self.steps.append(
            {"end": end, "step": end - begin, "generation": generated - begin, "update": end - generated}
        )
        self.file.write_text(json.dumps(self.steps), encoding="utf-8")
