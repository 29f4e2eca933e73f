"""What GRPO makes of a pointing policy: `policies` for points, and for the reward exp(-distance).

A model that still points badly hits in a fraction of its points, and is anywhere in the image with the others.
Strategies that do not look at the image point at its centre, at a grid, or nowhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from verl_vision_r1.points import Points
from verl_vision_r1.rewards.forms import form_of
from verl_vision_r1.rewards.policies import HONEST, LABEL, Cell, Outcome, Rewards, as_table, prompts, simulate
from verl_vision_r1.rewards.presets import Preset
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.rewards.scoring import score_completion
from verl_vision_r1.targets import Target

POINT_CELLS: Final = tuple(
    Cell(negatives, quality, divided)
    for divided in (True, False)
    for negatives in (0.0, 0.25, 1.0)
    for quality in (0.3, 0.6, 0.9)
)
"""The settings; their quality is the fraction of an honest answer's points that hit."""
BY_DISTANCE: Final = "exp(-distance)"

Reward = Callable[[Points, Target], float]
"""((N, 2) points in original-image pixels, ground truth) -> reward in [0, 1]."""


def point_table(presets: Mapping[str, Preset], stages: Mapping[str, Stage]) -> str:
    """Final probability of the honest strategy by cell, refinement and reward, as a table in Markdown.

    Where another strategy wins, the table names it. The last column is the reward exp(-distance).
    """
    found = {
        name: [*(point_outcomes(preset_reward(preset, stage)) for preset in presets.values()), point_outcomes(nearest)]
        for name, stage in stages.items()
    }
    return as_table([*(f"`{name}`" for name in presets), BY_DISTANCE], found)


def point_outcomes(reward: Reward, seed: int = 0) -> dict[Cell, Outcome]:
    """What each cell of `POINT_CELLS` makes of the policy.

    Args:
        reward: The reward of an answer.
        seed: Random seed for prompts, rollouts and misses.
    """
    rewards = {quality: _rewards(reward, quality, seed) for quality in sorted({cell.quality for cell in POINT_CELLS})}
    return {cell: simulate(rewards[cell.quality], cell, seed, POINT_STRATEGIES) for cell in POINT_CELLS}


def preset_reward(preset: Preset, stage: Stage) -> Reward:
    """The total of a preset for points, as a fraction of its maximum.

    Raises:
        ValueError: The parser is a custom one.
    """
    rules = preset.tasks["pointing"]
    form = form_of(rules.parser)
    if form is None:
        raise ValueError(f"policies: expected one of the parsers that come with the package, got {rules.parser}")
    most = 1.0 if rules.total == "mean" else sum(item.weight for item in rules.criteria)

    def reward(points: Points, target: Target) -> float:
        text = form.answer([((x, y, x, y), LABEL) for x, y in points.round(1).tolist()])
        return score_completion(text, target, rules, (target.width, target.height), stage).total / most

    return reward


def nearest(points: Points, target: Target) -> float:
    """The reward exp(-distance): for each target, from its middle to the nearest point, in fractions of the image.

    Without objects, 1 for no point, else 0.

    Source:
        The reward of https://github.com/om-ai-lab/VLM-R1/issues/84, of which the reporter found that the model only
        learned to point to the middle of the image.

    Example:
        >>> target = Target([[40, 40, 60, 60]], ["cat"], width=100, height=100, task="pointing")
        >>> round(nearest(np.array([[50.0, 20.0]]), target), 3)
        0.741
    """
    if not len(target.boxes) or not len(points):
        return float(len(points) == len(target.boxes))
    size = np.array([target.width, target.height])
    apart = (points[:, None] - target.regions.middles()[0]) / size
    return float(np.exp(-np.sqrt((apart**2).sum(axis=2)).min(axis=0)).mean())


def _rewards(reward: Reward, quality: float, seed: int) -> Rewards:
    generator = np.random.default_rng(seed)
    samples = [replace(target, task="pointing") for target in prompts()]
    positive = [
        [reward(write(target, quality, generator), target) for write in POINT_STRATEGIES.values()]
        for target in samples
    ]
    absent = replace(samples[0], boxes=np.zeros((0, 4)), labels=())
    blind = [reward(write(absent, quality, generator), absent) for write in POINT_STRATEGIES.values()]
    wrong = [reward(_centre(absent, quality, generator), absent), *blind[1:]]
    return np.array(positive), np.array([wrong, blind])


Strategy = Callable[[Target, float, np.random.Generator], Points]
"""(ground truth, quality, generator) -> (N, 2) points in original-image pixels. A blind one uses the size alone."""


def _honestly(target: Target, quality: float, generator: np.random.Generator) -> Points:
    """A point for each object; a fraction `quality` of them hits, halfway between border and middle."""
    boxes = target.boxes
    aside = np.array([0.25, 0.0]) * (boxes[:, 2:] - boxes[:, :2])
    hits = (boxes[:, :2] + boxes[:, 2:]) / 2 + aside
    missed = generator.random((len(boxes), 1)) >= quality
    points: Points = np.where(missed, generator.random((len(boxes), 2)) * (target.width, target.height), hits)
    return points


def _nothing(target: Target, quality: float, generator: np.random.Generator) -> Points:
    return np.zeros((0, 2))


def _centre(target: Target, quality: float, generator: np.random.Generator) -> Points:
    return np.array([[target.width / 2, target.height / 2]])


def _grid(side: int) -> Strategy:
    places = (np.arange(side) + 0.5) / side
    fractions = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)

    def write(target: Target, quality: float, generator: np.random.Generator) -> Points:
        points: Points = fractions * (target.width, target.height)
        return points

    return write


POINT_STRATEGIES: Final[dict[str, Strategy]] = {
    HONEST: _honestly,
    "no point": _nothing,
    "centre": _centre,
    "grid of 9": _grid(3),
    "grid of 100": _grid(10),
}
