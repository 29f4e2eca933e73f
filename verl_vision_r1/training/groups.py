"""Kinds of groups (the rollouts of one prompt) by what they teach."""

from collections.abc import Mapping, Sequence
from typing import Final

Extra = Mapping[str, float | str]

SAME: Final = 1e-6
"""Values of a group that differ by less count as equal: with equal scores, a group has no gradient."""
FORM: Final = "format"
"""The criterion of the output format."""
KINDS: Final = ("same_score", "all_zero", "all_right", "all_wrong", "form_alone")
"""Scores all equal; scores all 0; all completions correct (`acc`); none correct; different in `FORM` alone."""


def fractions(groups: Sequence[str], scores: Sequence[float], extras: Sequence[Extra]) -> dict[str, float]:
    """The fraction of groups of each kind.

    Args:
        groups: Id of the prompt, one per sample.
        scores: Score from which the advantage is computed, one per sample.
        extras: `reward_extra_info` of each sample; without `acc`, only the kinds by score are known.

    Returns:
        A number in [0, 1] by kind.

    Example:
        >>> extras = [{"acc": 0.0, "format": value, "format_raw": value, "recall_raw": 0.5} for value in (0.0, 1.0)]
        >>> fractions(["a", "a"], [0.5, 1.5], extras)
        {'same_score': 0.0, 'all_zero': 0.0, 'all_right': 0.0, 'all_wrong': 1.0, 'form_alone': 1.0}
    """
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    kinds = [
        kinds_of([scores[index] for index in found], [extras[index] for index in found]) for found in members.values()
    ]
    return {kind: sum(found[kind] for found in kinds) / len(kinds) for kind in kinds[0]} if kinds else {}


def kinds_of(scores: Sequence[float], extras: Sequence[Extra]) -> dict[str, bool]:
    """Which of `KINDS` one group is.

    Args:
        scores: Score of each rollout.
        extras: `reward_extra_info` of each rollout.
    """
    same = _same(scores)
    kinds = {"same_score": same, "all_zero": max(map(abs, scores)) < SAME}
    if "acc" not in extras[0]:
        return kinds
    acc = [float(extra.get("acc", 0.0)) for extra in extras]
    others = (name for name in _criteria(extras[0]) if name != FORM)
    alike = _same(acc) and all(_same([float(extra.get(name, 0.0)) for extra in extras]) for name in others)
    return kinds | {"all_right": min(acc) >= 1, "all_wrong": max(acc) <= 0, "form_alone": not same and alike}


def _criteria(extra: Extra) -> list[str]:
    """The criteria among the keys: those with a raw value too."""
    return [name.removesuffix("_raw") for name in extra if name.endswith("_raw")]


def _same(values: Sequence[float]) -> bool:
    return max(values) - min(values) < SAME
