"""The outcome of each predicted box of a completion, and whether it refuses: for colours, whatever the reward is."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes, pairwise_iou
from verl_vision_r1.evaluation.measures.outcomes import outcomes
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import same_label
from verl_vision_r1.rewards.refusal import refused
from verl_vision_r1.targets import Target

WITH_BOXES: Final = ("detection", "grounding", "pointing")
"""The tasks whose answers are boxes or points."""
RIGHTLY, WRONGLY, ANSWERED = "rightly refused", "wrongly refused", "answered a negative"
REFUSALS: Final = (RIGHTLY, WRONGLY, ANSWERED)
"""What a completion can say to a sample without objects, or wrongly says to another."""


@dataclass(frozen=True)
class CompletionOutcomes:
    """The outcomes of a completion.

    Attributes:
        codes: For each of the N predictions its index in `OUTCOMES`; empty if the task has no boxes.
        nearest: For each prediction the object with the highest IoU, and the IoU; None if it overlaps none. A point
            has 1 inside an object.
        missed: Indices of the missed objects.
        refusal: One of `REFUSALS`, or empty.
    """

    codes: list[int]
    nearest: list[tuple[int, float] | None]
    missed: list[int]
    refusal: str


def completion_outcomes(answer: Answer, boxes: Boxes, target: Target) -> CompletionOutcomes:
    """The outcomes of a completion.

    Args:
        answer: The parsed completion.
        boxes: (N, 4) its boxes, `xyxy` in original-image pixels; a point is a box without area.
        target: The ground truth.

    Example:
        >>> target = Target([[0, 0, 100, 100]], ["cat"], width=200, height=100)
        >>> boxes = np.array([[0.0, 0.0, 100.0, 90.0], [120.0, 0.0, 150.0, 50.0]])
        >>> completion_outcomes(Answer(boxes, ("cat", "cat"), frame=(200, 100)), boxes, target)
        CompletionOutcomes(codes=[0, 4], nearest=[(0, 0.9), None], missed=[], refusal='')
    """
    if target.task not in WITH_BOXES:
        return CompletionOutcomes([], [], [], _refusal(answer, target))
    overlap = (
        target.regions.nearness(boxes[:, :2]) > 0 if target.task == "pointing" else pairwise_iou(boxes, target.boxes)
    )
    iou = np.asarray(overlap, dtype=np.float64)
    codes, found = outcomes(iou, _same(answer, target))
    return CompletionOutcomes(codes.tolist(), _nearest(iou), np.flatnonzero(~found).tolist(), _refusal(answer, target))


def _same(answer: Answer, target: Target) -> NDArray[np.bool_]:
    """(N, M) whether the labels count as equal: all do in grounding, and where the answer has no labels."""
    if target.task == "grounding" or all(label is None for label in answer.labels):
        return np.ones((len(answer.boxes), len(target.boxes)), np.bool_)
    return same_label(answer, target)


def _nearest(iou: NDArray[np.float64]) -> list[tuple[int, float] | None]:
    if not iou.size:
        return [None] * len(iou)
    best = iou.argmax(axis=1)
    values = iou[np.arange(len(iou)), best]
    return [
        (index, round(value, 4)) if value > 0 else None
        for index, value in zip(best.tolist(), values.tolist(), strict=True)
    ]


def _refusal(answer: Answer, target: Target) -> str:
    refuses = refused(answer, target.task)
    if target.is_negative:
        if refuses:
            return RIGHTLY
        return ANSWERED if len(answer.boxes) or answer.content.isdecimal() else ""
    return WRONGLY if refuses else ""
