"""Kinds of groups: what the rollouts of one prompt teach."""

import pytest

from verl_vision_r1.training.groups import KINDS, fractions, kinds_of


def group(*rollouts: tuple[float, float, float]) -> tuple[list[float], list[dict[str, float | str]]]:
    """Rollouts of (acc, format, recall); the score is format + recall."""
    extras: list[dict[str, float | str]] = [
        {"acc": acc, "format": form, "format_raw": form, "recall": recall, "recall_raw": recall, "mean_iou": 0.3}
        for acc, form, recall in rollouts
    ]
    return [form + recall for _, form, recall in rollouts], extras


@pytest.mark.parametrize(
    ("rollouts", "expected"),
    [
        ([(1, 1, 1), (1, 1, 1)], {"same_score", "all_right"}),
        ([(0, 0, 0), (0, 0, 0)], {"same_score", "all_zero", "all_wrong"}),
        ([(0, 1, 0), (0, 0, 0)], {"all_wrong", "form_alone"}),
        ([(1, 1, 1), (1, 0, 1)], {"all_right", "form_alone"}),
        ([(0, 1, 0), (0, 0, 0.5)], {"all_wrong"}),  # The boxes differ too.
        ([(0, 1, 0.5), (0, 0, 0.5), (1, 1, 1)], set()),
    ],
)
def test_kinds(rollouts: list[tuple[float, float, float]], expected: set[str]) -> None:
    assert {kind for kind, true in kinds_of(*group(*rollouts)).items() if true} == expected


def test_fractions_are_over_prompts_and_not_over_rollouts() -> None:
    scores, extras = group((0, 1, 0), (0, 0, 0), (0, 1, 0), (1, 1, 1), (1, 1, 1))
    found = fractions(["a", "a", "a", "b", "b"], scores, extras)
    assert found == {"same_score": 0.5, "all_zero": 0, "all_right": 0.5, "all_wrong": 0.5, "form_alone": 0.5}
    assert tuple(found) == KINDS


def test_without_acc_only_scores_count() -> None:
    assert fractions(["a", "a"], [1.0, 1.0], [{"recall": 1.0}] * 2) == {"same_score": 1, "all_zero": 0}
    assert fractions([], [], []) == {}
