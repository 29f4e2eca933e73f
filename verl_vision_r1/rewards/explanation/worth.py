"""The effect of each predicted box on the total ("worth"): the total minus the total without the box.

It is computed by scoring again, so it is exact for any preset and any custom criterion. The box is removed from the
parsed completion, not from the text, so the format does not change. Only if a matcher or criterion reads the text, as
those of VLM-R1 do, the box is removed from the text as well.
"""

import re
from copy import copy
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import numpy as np

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.rewards.scoring import Scores, TaskRules, score_completion
from verl_vision_r1.targets import Target

MOST: Final = 100
"""Boxes of a completion for which worth is computed: each needs another matching."""
LARGEST: Final = 2000
"""With more boxes, no worth is computed: a matching takes too long."""
ITEM: Final = re.compile(r"\{[^{}]*\}\s*,?")
TEXT_FIELDS: Final = ("text", "content")


def worths(
    answer: Answer, target: Target, rules: TaskRules, stage: Stage, scores: Scores
) -> tuple[list[float | None], tuple[str, ...]]:
    """The worth of each box, in units of the total (None if unknown), and notes about it.

    Args:
        answer: The parsed completion.
        target: The ground truth.
        rules: The reward configuration.
        stage: The current thresholds.
        scores: The scores of the whole completion.
    """
    count = len(answer.boxes)
    unknown: list[float | None] = [None] * count
    if not count:
        return [], ()
    if count > LARGEST:
        return unknown, (f"worth is not computed for more than {LARGEST} boxes",)
    if type(answer) is not Answer:
        return unknown, ("worth is unknown: the parsed completion has more than boxes, labels and confidences",)
    notes = (f"worth is computed for the first {MOST} of {count} boxes",) if count > MOST else ()
    if _reads_text(answer, target, rules, stage):
        reduced = _without_items(answer, rules)
        notes = (*notes, "the criteria read the text: worth is computed by removing the item from it, where possible")
    else:
        reduced = {index: _without(answer, index) for index in range(min(count, MOST))}
    totals = {index: _total(less, target, rules, stage, scores) for index, less in reduced.items()}
    return [_less(scores.total, totals.get(index)) for index in range(count)], notes


def _without(answer: Answer, index: int) -> Answer:
    """The parsed completion without a box; the other fields stay."""
    return replace(
        answer,
        boxes=np.delete(answer.boxes, index, axis=0),
        labels=answer.labels[:index] + answer.labels[index + 1 :],
        confidences=None if answer.confidences is None else np.delete(answer.confidences, index),
    )


def _score(answer: Answer, target: Target, rules: TaskRules, stage: Stage) -> Scores:
    given = replace(rules, parser=lambda text, frame: answer, on_error="zero")
    return score_completion(answer.text, target, given, answer.frame, stage)


def _total(answer: Answer, target: Target, rules: TaskRules, stage: Stage, whole: Scores) -> float | None:
    """The total without a box; None if a criterion fails only on it and `on_error` is "raise"."""
    scores = _score(answer, target, rules, stage)
    return None if rules.on_error == "raise" and scores.errors.keys() - whole.errors.keys() else scores.total


def _less(total: float, without: float | None) -> float | None:
    """The difference, without rounding errors and never -0."""
    return None if without is None else round(total - without, 12) + 0.0


def _reads_text(answer: Answer, target: Target, rules: TaskRules, stage: Stage) -> bool:
    """Whether the matcher or a criterion reads the text, so that removing only the box would not be enough.

    They are run once on a copy that records which attributes are read.
    """
    read: list[str] = []

    class Watched(type(answer)):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            read.append(name)
            return super().__getattribute__(name)

    watched = copy(answer)
    object.__setattr__(watched, "__class__", Watched)
    given = replace(rules, parser=lambda text, frame: watched, on_error="zero")
    score_completion("", target, given, answer.frame, stage)
    return any(name in TEXT_FIELDS for name in read)


def _without_items(answer: Answer, rules: TaskRules) -> dict[int, Answer]:
    """By box, the completion without the box and its item in the text, if the item can be found.

    An item belongs to a box if the parser finds all boxes but that one in the text without the item.
    """
    found: dict[int, Answer] = {}
    first = 0
    for item in islice(ITEM.finditer(answer.text), 2 * MOST):
        head = answer.text[: item.start()].rstrip()
        if not head.endswith(("[", ",")):
            continue  # Part of an item or a string.
        if not item.group().endswith(","):
            head = head.removesuffix(",")
        read = rules.parser(head + answer.text[item.end() :], answer.frame)
        index = _removed(answer, read, first)
        if index is not None and len(found) < MOST:
            found[index] = replace(_without(answer, index), text=read.text, content=read.content)
            first = index + 1
    return found


def _removed(whole: Answer, read: Answer, first: int) -> int | None:
    """Index, at least `first`, of the only box in which the two differ; None if they differ otherwise."""
    if len(read.boxes) != len(whole.boxes) - 1:
        return None
    indices = range(first, len(whole.boxes))
    return next((index for index in indices if _equal(_without(whole, index), read)), None)


def _equal(first: Answer, second: Answer) -> bool:
    return first.labels == second.labels and np.array_equal(first.boxes, second.boxes, equal_nan=True)
