"""What GRPO makes of a policy under each preset: a simulation over strategies, which single completions cannot show.

A policy chooses one of a few strategies for every prompt: answer honestly at a stated quality, always answer with no
box, always with the whole image, and the like. Its preferences are trained as GRPO trains: groups of rollouts of one
prompt, advantages against the group's mean, divided by the group's deviation or not. Prompts are real: one category of
one image of COCO, or one that the image does not have.
"""

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import NO_BOXES, Boxes, as_boxes
from verl_vision_r1.frames import frame_size, in_axes_of, to_frame
from verl_vision_r1.rewards.forms import form_of
from verl_vision_r1.rewards.presets import Preset
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.rewards.scoring import score_completion
from verl_vision_r1.targets import Target

LABEL: Final = "object"
HONEST: Final = "honest"
START: Final = 0.7
"""Probability of the honest strategy before training; the others share the rest."""
STEPS, PROMPTS, ROLLOUTS = 200, 16, 8
RATE: Final = 4.0
"""Learning rate of the preferences."""


@dataclass(frozen=True)
class Cell:
    """One setting of the simulation.

    Attributes:
        negatives: Negative samples for each positive one, at least 0.
        quality: IoU of the boxes of an honest answer, which misses one object where there are several, and is right
            about half of the negative samples; in (0, 1].
        divided: Whether advantages are divided by the group's standard deviation, verl's
            `algorithm.norm_adv_by_std_in_grpo`.
    """

    negatives: float
    quality: float
    divided: bool


CELLS: Final = tuple(
    Cell(negatives, quality, divided)
    for divided in (True, False)
    for negatives in (0.0, 0.25, 1.0)
    for quality in (0.6, 0.75, 0.9)
)


@dataclass(frozen=True)
class Outcome:
    """What training makes of the policy.

    Attributes:
        honest: Probability of the honest strategy at the end.
        favourite: The strategy of greatest probability at the end.
        rewards: Mean reward of each strategy over positive and negative samples, as a fraction of the maximum.
    """

    honest: float
    favourite: str
    rewards: dict[str, float]


Rewards = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(P, S) reward of each strategy on each positive sample; (2, S) on a negative one answered wrongly, and rightly."""


def outcomes(preset: Preset, stage: Stage, seed: int = 0) -> dict[Cell, Outcome]:
    """What each cell of `CELLS` makes of the policy.

    Args:
        preset: It has rules for detection, with one of the parsers that come with the package.
        stage: The thresholds of refinement.
        seed: Random seed for prompts and rollouts.

    Raises:
        ValueError: The parser is a custom one.
    """
    rewards = {quality: _rewards(preset, quality, stage) for quality in sorted({cell.quality for cell in CELLS})}
    return {cell: simulate(rewards[cell.quality], cell, seed) for cell in CELLS}


def simulate(rewards: Rewards, cell: Cell, seed: int = 0, strategies: Collection[str] = ()) -> Outcome:
    """Train a policy over strategies for `STEPS` steps of `PROMPTS` prompts with `ROLLOUTS` rollouts each.

    Args:
        rewards: The reward of each strategy on each sample.
        cell: The setting.
        seed: Random seed for prompts and rollouts.
        strategies: Names of the strategies; by default those of `STRATEGIES`.
    """
    positive, negative = rewards
    names = tuple(strategies or STRATEGIES)
    honest = names.index(HONEST)
    generator = np.random.default_rng(seed)
    preferences = np.full(len(names), np.log((1 - START) / (len(names) - 1)))
    preferences[honest] = np.log(START)
    for _ in range(STEPS):
        chance = _softmax(preferences)
        chosen = generator.choice(len(names), size=(PROMPTS, ROLLOUTS), p=chance)
        samples = generator.integers(len(positive), size=(PROMPTS, 1))
        absent = generator.random((PROMPTS, 1)) < cell.negatives / (1 + cell.negatives)
        right = generator.integers(2, size=chosen.shape)
        reward = np.where(absent, negative[right, chosen], positive[samples, chosen])
        advantage = reward - reward.mean(axis=1, keepdims=True)
        if cell.divided:
            advantage = advantage / (reward.std(axis=1, ddof=1, keepdims=True) + 1e-6)
        gradient = np.bincount(chosen.ravel(), advantage.ravel(), minlength=len(names)) - advantage.sum() * chance
        preferences = preferences + RATE * gradient / chosen.size
    chance = _softmax(preferences)
    mean = (positive.mean(axis=0) + cell.negatives * negative.mean(axis=0)) / (1 + cell.negatives)
    return Outcome(float(chance[honest]), names[int(chance.argmax())], dict(zip(names, mean.tolist(), strict=True)))


def table(presets: Mapping[str, Preset], stages: Mapping[str, Stage]) -> str:
    """Final probability of the honest strategy by cell, refinement and preset, as a table in Markdown.

    Where another strategy wins, the table names it.
    """
    found = {name: [outcomes(preset, stage) for preset in presets.values()] for name, stage in stages.items()}
    return as_table([f"`{name}`" for name in presets], found)


def as_table(names: Sequence[str], found: Mapping[str, Sequence[Mapping[Cell, Outcome]]]) -> str:
    """The table in Markdown: a column for each reward, and by refinement the outcomes of each reward by cell."""
    rows = [("negatives", "quality", "advantage", "refinement", *names)]
    rows.append(("---:", "---:", "---", "---", *("---" for _ in names)))
    for name, outcomes_by_reward in found.items():
        for cell in outcomes_by_reward[0]:
            kind = "divided" if cell.divided else "not divided"
            cells = [_cell(by_cell[cell]) for by_cell in outcomes_by_reward]
            rows.append((f"{cell.negatives:g}", f"{cell.quality:g}", kind, name, *cells))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(outcome: Outcome) -> str:
    return f"{outcome.honest:.2f}" + ("" if outcome.favourite == HONEST else f": {outcome.favourite}")


def _softmax(preferences: NDArray[np.float64]) -> NDArray[np.float64]:
    grown = np.exp(preferences - preferences.max())
    chance: NDArray[np.float64] = grown / grown.sum()
    return chance


def _rewards(preset: Preset, quality: float, stage: Stage) -> Rewards:
    """The rewards, as a fraction of the preset's maximum."""
    rules = preset.tasks["detection"]
    form = form_of(rules.parser)
    if form is None:
        raise ValueError(f"policies: expected one of the parsers that come with the package, got {rules.parser}")
    most = 1.0 if rules.total == "mean" else sum(item.weight for item in rules.criteria)

    def reward(boxes: Boxes, confidence: float, target: Target) -> float:
        size = target.width, target.height
        frame = frame_size(rules.frame, size) if rules.frame else size
        placed = in_axes_of(frame, to_frame(boxes, size, frame)).round(1)
        text = form.answer(((*box,), LABEL) for box in placed.tolist()) if len(boxes) else form.answer([])
        if not confidence:
            text = text.replace("'Confidence': 1", "'Confidence': 0")
        return score_completion(text, target, rules, frame, stage).total / most

    positive = [
        [reward(write(target, quality), confidence, target) for write, confidence in STRATEGIES.values()]
        for target in prompts()
    ]
    absent = Target(NO_BOXES, (), 640, 480, (LABEL,))
    blind = [reward(write(absent, quality), confidence, absent) for write, confidence in STRATEGIES.values()]
    wrong = [
        reward(_middle(0.5)(absent, quality), 1.0, absent) if name == HONEST else value
        for name, value in zip(STRATEGIES, blind, strict=True)
    ]
    return np.array(positive), np.array([wrong, blind])


@functools.cache
def prompts() -> tuple[Target, ...]:
    """The positive samples: the boxes of one category in one image of COCO, 362 of them."""
    text = resources.files("verl_vision_r1.rewards").joinpath("box_statistics.json").read_text(encoding="utf-8")
    return tuple(
        Target(as_boxes(boxes), (LABEL,) * len(boxes), width, height, (LABEL,))
        for width, height, boxes in json.loads(text)
    )


Strategy = Callable[[Target, float], Boxes]
"""(ground truth, quality) -> (N, 4) boxes in original-image pixels. A blind one uses the size of the image alone."""


def _honestly(target: Target, quality: float) -> Boxes:
    """All objects but one, where there are several, each in a box of that IoU: moved aside."""
    kept = target.boxes[: max(len(target.boxes) - 1, 1)]
    if not len(kept):
        return NO_BOXES
    aside = (kept[:, 2] - kept[:, 0]) * (1 - quality) / (1 + quality)
    aside = np.where(kept[:, 2] + aside > target.width, -aside, aside)
    return kept + np.stack([aside, np.zeros_like(aside), aside, np.zeros_like(aside)], axis=1)


def _nothing(target: Target, quality: float) -> Boxes:
    return NO_BOXES


def _middle(fraction: float) -> Strategy:
    margin = (1 - fraction) / 2
    sides = np.array([[margin, margin, 1 - margin, 1 - margin]])

    def write(target: Target, quality: float) -> Boxes:
        boxes: Boxes = sides * np.array([target.width, target.height, target.width, target.height])
        return boxes

    return write


def _junk(target: Target, quality: float) -> Boxes:
    """Ten small boxes along the top."""
    left = np.arange(10.0)[:, None] / 10 * target.width
    side = min(target.width, target.height) / 20
    return np.concatenate([left, np.zeros_like(left), left + side, np.full_like(left, side)], axis=1)


STRATEGIES: Final[dict[str, tuple[Strategy, float]]] = {
    HONEST: (_honestly, 1.0),
    "no box": (_nothing, 1.0),
    "whole image": (_middle(1.0), 1.0),
    "central 80 %": (_middle(0.8), 1.0),
    "junk, confidence 0": (_junk, 0.0),
}
"""Boxes and confidence of each strategy; a confidence is written where the form has one."""
