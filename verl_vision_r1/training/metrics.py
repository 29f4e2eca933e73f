"""Metrics of a training step's scores, by criterion, data source and group, with verl's naming scheme."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.rewards.readiness import Readiness
from verl_vision_r1.training.groups import fractions

PREFIX: Final = "critic/vision_r1"
RUN_WIDE: Final = ("stage", "xi0", "xi1", "xi2")
"""Keys that are equal for all samples of a step, except samples of asynchronous modes that started in another step."""


@dataclass(frozen=True)
class Rollouts:
    """The samples of one step; each list has one entry per sample.

    Attributes:
        sources: Data source.
        groups: Id of the prompt.
        scores: Score from which the advantage is computed.
        lengths: Length of the response in tokens.
        extras: `reward_extra_info`, with the same keys for all samples. Text values identify the sample.
    """

    sources: Sequence[str]
    groups: Sequence[str]
    scores: Sequence[float]
    lengths: Sequence[int]
    extras: Sequence[Mapping[str, float | str]]


def reward_metrics(rollouts: Rollouts) -> dict[str, float]:
    """All metrics of a step.

    Returns:
        `critic/vision_r1/SOURCE/KEY/mean` for every key of the reward (criteria refined and `_raw`, counts, flags),
        `unparsed`, `response_length`; per source and overall `groups/KIND`, the fraction of prompts of each kind of
        `groups.KINDS`, and `refusal/negatives_refused` and `refusal/positives_refused`, the fractions of negative and
        of other samples that are answered with an explicit empty prediction; overall the stage with its thresholds,
        and the sum, mean and maximum of the scoring time in seconds.

    Example:
        >>> extras = [{"format": 1.0, "parsed": 1.0}, {"format": 0.0, "parsed": 1.0}]
        >>> metrics = reward_metrics(Rollouts(["coco/detection"] * 2, ["a", "a"], [1.0, 0.0], [9, 7], extras))
        >>> metrics["critic/vision_r1/coco/detection/format/mean"], metrics["critic/vision_r1/groups/same_score"]
        (0.5, 0.0)
    """
    if not rollouts.extras:
        return {}
    sources = np.array(rollouts.sources)
    columns = {
        key: np.array([extra.get(key, 0.0) for extra in rollouts.extras], dtype=np.float64)
        for key, value in rollouts.extras[0].items()
        if not isinstance(value, str)
    }
    metrics = {f"{PREFIX}/{key}": float(columns[key].mean()) for key in RUN_WIDE if key in columns}
    everything = np.ones(len(sources), dtype=bool)
    metrics |= _groups(rollouts, everything, PREFIX) | _refusals(columns, everything, PREFIX)
    if "scoring_seconds" in columns:
        seconds = columns["scoring_seconds"]
        metrics |= {f"{PREFIX}/scoring_seconds/{name}": float(value) for name, value in _spread(seconds).items()}
    for source in dict.fromkeys(rollouts.sources):
        metrics |= _of_source(f"{PREFIX}/{source}", rollouts, columns, sources == source)
    return metrics


def _spread(seconds: NDArray[np.float64]) -> dict[str, float]:
    return {"sum": seconds.sum(), "mean": seconds.mean(), "max": seconds.max()}


def _of_source(
    prefix: str, rollouts: Rollouts, columns: Mapping[str, NDArray[np.float64]], chosen: NDArray[np.bool_]
) -> dict[str, float]:
    metrics = {
        f"{prefix}/{key}/mean": float(column[chosen].mean()) for key, column in columns.items() if key not in RUN_WIDE
    }
    if "parsed" in columns:
        metrics[f"{prefix}/unparsed/mean"] = 1.0 - metrics[f"{prefix}/parsed/mean"]
    metrics[f"{prefix}/response_length/mean"] = float(np.array(rollouts.lengths)[chosen].mean())
    return metrics | _groups(rollouts, chosen, prefix) | _refusals(columns, chosen, prefix)


def _refusals(columns: Mapping[str, NDArray[np.float64]], chosen: NDArray[np.bool_], prefix: str) -> dict[str, float]:
    """The fraction of refusals among the negative samples and among the others, where there are any."""
    if not {"negative", "refused"} <= columns.keys():
        return {}
    negative = columns["negative"] > 0
    kinds = {"negatives_refused": chosen & negative, "positives_refused": chosen & ~negative}
    return {
        f"{prefix}/refusal/{name}": float(columns["refused"][kind].mean())
        for name, kind in kinds.items()
        if kind.any()
    }


def _groups(rollouts: Rollouts, chosen: NDArray[np.bool_], prefix: str) -> dict[str, float]:
    wanted = np.flatnonzero(chosen).tolist()
    columns = ([column[index] for index in wanted] for column in (rollouts.groups, rollouts.scores, rollouts.extras))
    return {f"{prefix}/groups/{kind}": value for kind, value in fractions(*columns).items()}


def readiness_metrics(readiness: Readiness) -> dict[str, float]:
    """The mean IoU on which the next stage of a curriculum waits; nothing for a curriculum that does not wait."""
    if not readiness.curriculum.waits or not readiness.recent:
        return {}
    return {f"{PREFIX}/curriculum/mean_iou": float(np.mean(readiness.recent))}
