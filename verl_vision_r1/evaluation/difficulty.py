"""`vision-r1 difficulty`: how well a model answers each sample, from rollout files or predictions files."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, pstdev
from typing import Final

from verl_vision_r1.data.difficulty import Identity, SampleDifficulty
from verl_vision_r1.evaluation.predictions.predictions_file import Line, read_predictions
from verl_vision_r1.shown import shown

SAME: Final = 1e-6
"""A spread below it is 0: all rollouts have the same reward."""


def difficulty_of(paths: Sequence[Path]) -> list[SampleDifficulty]:
    """The difficulty of each sample, over all its rollouts in the files.

    Args:
        paths: Rollout files or predictions files (STEP.jsonl), or folders of them.

    Returns:
        One entry per sample, in the order of their identities.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A folder has no such file, or a line is not one of verl's with the scores of this plugin.
    """
    rollouts: dict[Identity, list[tuple[float, float]]] = {}
    for file in _files(paths):
        for line in read_predictions(file).lines:
            key = (line.data_source, line.image_id, line.question, line.subject)
            rollouts.setdefault(key, []).append(_scores(line, file))
    return [_difficulty(key, rollouts[key]) for key in sorted(rollouts)]


def _files(paths: Iterable[Path]) -> list[Path]:
    files = []
    for path in paths:
        found = sorted(file for file in path.glob("*.jsonl") if file.stem.isdecimal()) if path.is_dir() else [path]
        if not found:
            raise ValueError(f"{path}: expected a folder with rollout files (STEP.jsonl), got none")
        files += found
    return files


def _scores(line: Line, file: Path) -> tuple[float, float]:
    """The reward of a rollout, and whether it is correct."""
    values = [line.values.get(name) for name in ("total", "acc")]
    if values[0] is None or values[1] is None:
        raise ValueError(
            f"{file} line {line.number}: expected the keys total and acc, got {shown(sorted(line.values), 200)};"
            " the run that wrote the file must use reward.reward_manager.name=vision_r1 of this release"
        )
    return values[0], values[1]


def _difficulty(key: Identity, scores: list[tuple[float, float]]) -> SampleDifficulty:
    rewards = [reward for reward, _ in scores]
    spread = pstdev(rewards)
    acc = fmean(acc for _, acc in scores)
    return SampleDifficulty(*key, len(scores), fmean(rewards), spread if spread >= SAME else 0.0, acc)


def write_difficulty(file: Path, samples: Sequence[SampleDifficulty]) -> None:
    """Write a difficulty file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(asdict(sample), ensure_ascii=False) for sample in samples)
    file.write_text(f'{{"samples": [\n{lines}\n]}}\n', encoding="utf-8")


def summary(samples: Sequence[SampleDifficulty]) -> dict[str, float]:
    """Counts and means over the samples.

    Returns:
        Number of `samples` and `rollouts`; `solved`, `hopeless` and `same_reward`, the samples whose rollouts are all
        correct, all wrong, or have all the same reward; the means of `mean`, `spread` and `acc`.

    Example:
        >>> samples = [SampleDifficulty("coco/detection", "7", "category", "cat", 8, 1.0, 0.0, 1.0)]
        >>> summary(samples)["solved"], summary(samples)["hopeless"]
        (1, 0)
    """
    return {
        "samples": len(samples),
        "rollouts": sum(sample.rollouts for sample in samples),
        "solved": sum(sample.acc == 1 for sample in samples),
        "hopeless": sum(sample.acc == 0 for sample in samples),
        "same_reward": sum(sample.spread == 0 for sample in samples),
        **{name: fmean(getattr(sample, name) for sample in samples) for name in ("mean", "spread", "acc")},
    }
