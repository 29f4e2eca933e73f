"""What each predicted box is worth: the total, less the total of the same answer without the box.

That is true of any preset, and of any criterion of a user's own, because it is what the rules themselves say. The box
is taken out of the answer, not out of the text, so the form that the text has stays as it is. Only where a matcher or
criterion reads the words of the answer, as those of VLM-R1 do, the box is cut out of the text as well.
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
"""Boxes of an answer whose worth is computed: each is one more matching."""
LARGEST: Final = 2000
"""Boxes of an answer above which no worth is computed: a matching takes too long."""
ITEM: Final = re.compile(r"\{[^{}]*\}\s*,?")
WORDS: Final = ("text", "content")


def worths(
    answer: Answer, target: Target, rules: TaskRules, stage: Stage, scores: Scores
) -> tuple[list[float | None], tuple[str, ...]]:
    """The worth of each box, in units of the total, None where it is not known, and what is to be said about that.

    Args:
        answer: The answer.
        target: The ground truth.
        rules: The rules that it is scored by.
        stage: The thresholds in force.
        scores: What the whole answer scores.
    """
    count = len(answer.boxes)
    unknown: list[float | None] = [None] * count
    if not count:
        return [], ()
    if count > LARGEST:
        return unknown, (f"worth is not computed for more than {LARGEST} boxes",)
    if type(answer) is not Answer:
        return unknown, ("worth is not known: the answer holds more than boxes, labels and confidences",)
    notes = (f"worth is computed for the first {MOST} of {count} boxes",) if count > MOST else ()
    if _reads_words(answer, target, rules, stage):
        reduced = _cut_out(answer, rules)
        notes = (*notes, "the criteria read the text itself: worth is that of the item, where it can be cut out")
    else:
        reduced = {index: _without(answer, index) for index in range(min(count, MOST))}
    totals = {index: _total(less, target, rules, stage, scores) for index, less in reduced.items()}
    return [_less(scores.total, totals.get(index)) for index in range(count)], notes


def _without(answer: Answer, index: int) -> Answer:
    """The answer without a box; what the parser says of the whole text stays."""
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
    """The total of a reduced answer; None where a criterion fails on it alone, and failing would end the run."""
    scores = _score(answer, target, rules, stage)
    return None if rules.on_error == "raise" and scores.errors.keys() - whole.errors.keys() else scores.total


def _less(total: float, without: float | None) -> float | None:
    """The difference, less the last bits of the two sums, and never -0."""
    return None if without is None else round(total - without, 12) + 0.0


def _reads_words(answer: Answer, target: Target, rules: TaskRules, stage: Stage) -> bool:
    """Whether matcher or criteria look at the words of an answer, so that a box taken out alone would still be there.

    They are run once on a copy of the answer that notes what is asked of it.
    """
    asked: list[str] = []

    class Watched(type(answer)):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            asked.append(name)
            return super().__getattribute__(name)

    watched = copy(answer)
    object.__setattr__(watched, "__class__", Watched)
    given = replace(rules, parser=lambda text, frame: watched, on_error="zero")
    score_completion("", target, given, answer.frame, stage)
    return any(name in WORDS for name in asked)


def _cut_out(answer: Answer, rules: TaskRules) -> dict[int, Answer]:
    """By the box, the answer without it and without its item in the text, for those whose item can be cut out.

    An item is a box's if the parser reads all boxes but that one from the text without it.
    """
    found: dict[int, Answer] = {}
    first = 0
    for item in islice(ITEM.finditer(answer.text), 2 * MOST):
        head = answer.text[: item.start()].rstrip()
        if not head.endswith(("[", ",")):
            continue  # Part of an item, or of a text.
        if not item.group().endswith(","):
            head = head.removesuffix(",")
        read = rules.parser(head + answer.text[item.end() :], answer.frame)
        index = _taken_out(answer, read, first)
        if index is not None and len(found) < MOST:
            found[index] = replace(_without(answer, index), text=read.text, content=read.content)
            first = index + 1
    return found


def _taken_out(whole: Answer, read: Answer, first: int) -> int | None:
    """Which box, from a place on, another answer lacks; None where they differ in anything else."""
    if len(read.boxes) != len(whole.boxes) - 1:
        return None
    places = range(first, len(whole.boxes))
    return next((index for index in places if _equal(_without(whole, index), read)), None)


def _equal(first: Answer, second: Answer) -> bool:
    return first.labels == second.labels and np.array_equal(first.boxes, second.boxes, equal_nan=True)
