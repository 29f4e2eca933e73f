"""One sentence for each predicted box. It states what the rules in force do, and where they are not known, facts only.

Predictions and objects are counted from 1.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes, pairwise_iou
from verl_vision_r1.rewards.answers.answer import Answer, fit
from verl_vision_r1.rewards.criteria import detection, robust
from verl_vision_r1.rewards.explanation.words import printable
from verl_vision_r1.rewards.matching import Match, boxes_in_pixels, match_by_confidence, match_nothing
from verl_vision_r1.rewards.refinement import SLACK, Stage, credit, refine
from verl_vision_r1.rewards.scoring import TaskRules
from verl_vision_r1.targets import Target, normalise_label

BY_CREDIT: Final = (robust.robust_recall, robust.robust_precision, robust.f1)
NEARER: Final = 1e-3
"""Difference of two IoU above which one is told beside the other."""


@dataclass(frozen=True, eq=False)
class Scene:
    """An answer beside what is there, and what the rules made of the two.

    Attributes:
        answer: The answer.
        target: The ground truth.
        match: The pairs.
        rules: The rules.
        stage: The thresholds in force.
    """

    answer: Answer
    target: Target
    match: Match
    rules: TaskRules
    stage: Stage

    @functools.cached_property
    def boxes(self) -> Boxes:
        """(N, 4) predicted boxes in original-image pixels; a row of NaN is no box."""
        return boxes_in_pixels(self.answer, self.target)

    @functools.cached_property
    def iou(self) -> NDArray[np.float64]:
        """(N, M) IoU of every pair; 0 for what is no box."""
        if not len(self.boxes) or not len(self.target.boxes):
            return np.zeros((len(self.boxes), len(self.target.boxes)))
        with np.errstate(all="ignore"):
            return np.nan_to_num(pairwise_iou(self.boxes, self.target.boxes), posinf=0.0, neginf=0.0)

    @functools.cached_property
    def pairs(self) -> dict[int, tuple[int, float]]:
        """By prediction, its object and their IoU as the matcher has them; both counted from 0."""
        columns = self.match.target.tolist(), np.nan_to_num(self.match.iou).tolist()
        return dict(zip(self.match.predicted.tolist(), zip(*columns, strict=True), strict=True))

    @functools.cached_property
    def taker(self) -> dict[int, int]:
        """By object, the prediction that was matched to it; both counted from 0."""
        return {column: row for row, (column, _) in self.pairs.items()}

    @functools.cached_property
    def numbered_alike(self) -> bool:
        """Whether the pairs are of the target's boxes: the presets of releases may read others from `solution`."""
        if not all(0 <= column < len(self.target.boxes) for column in self.taker):
            return False
        if self.target.solution is None:
            return True
        return all(abs(self.iou[row, column] - value) < NEARER for row, (column, value) in self.pairs.items())

    @property
    def pairs_nothing(self) -> bool:
        """Whether these rules have no use for pairs."""
        return _plain(self.rules.matcher) is match_nothing

    @functools.cached_property
    def functions(self) -> set[Callable[..., Any]]:
        """The criteria, less their options."""
        return {_plain(item.function) for item in self.rules.criteria}

    def nearest(self, row: int) -> int | None:
        """The object, counted from 0, that a prediction overlaps most; None where it overlaps none."""
        overlap = self.iou[row]
        return int(overlap.argmax()) if len(overlap) and overlap.max() > 0 else None

    def label(self, row: int) -> str | None:
        """What a prediction is called."""
        return self.answer.labels[row] if self.answer.labels else None

    def label_equal(self, row: int, column: int | None) -> bool:
        """Whether a prediction and an object are called the same, as labels are compared."""
        label = self.label(row)
        if label is None or column is None:
            return False
        return normalise_label(label) == normalise_label(self.target.labels[column])


def reason(scene: Scene, row: int) -> str:
    """Why a prediction counts or does not.

    Args:
        scene: The answer beside what is there.
        row: The prediction, counted from 0.
    """
    if np.isnan(scene.boxes[row]).any():
        return "its position is no box"
    said = _matched(scene, row) if row in scene.pairs else _unmatched(scene, row)
    return "; ".join([said, *_remarks(scene, row)])


def _matched(scene: Scene, row: int) -> str:
    column, iou = scene.pairs[row]
    if not scene.numbered_alike:
        return f"matched to box {column + 1} of the reference answer, IoU {iou:.2f}"
    return f"matched to {_object(scene, column)}, {_judged(scene, iou)}"


def _judged(scene: Scene, iou: float) -> str:
    """The IoU of a pair, and what the rules make of it as far as they are known here."""
    stage, least = scene.stage, _least_iou(scene.rules)
    if {detection.recall, detection.precision} & scene.functions:
        return f"{_placed(iou, stage, stage.xi1)}: {_counted(scene, iou)}"
    if scene.functions.intersection(BY_CREDIT):
        return f"{_placed(iou, stage, 0.0)}: credit {float(credit(np.array(iou), stage)):.2f}"
    return f"IoU {iou:.2f}" if least is None else _compared(iou, "above", "", least)


def _placed(iou: float, stage: Stage, xi1: float) -> str:
    """An IoU among the thresholds in force."""
    if iou < stage.xi0 - SLACK:
        return _compared(iou, "below", "xi0", stage.xi0)
    if iou >= stage.xi2 - SLACK:
        return _compared(iou, "at least", "xi2", stage.xi2)
    if iou < xi1 - SLACK:
        return _compared(iou, "below", "xi1", xi1)
    return _compared(iou, "at least", "xi0", stage.xi0)


def _counted(scene: Scene, iou: float) -> str:
    """What a pair is to the recall and precision of Vision-R1, Eq. 5, 6 and 8."""
    said = []
    if detection.recall in scene.functions:
        said.append("found" if iou >= scene.stage.xi0 - SLACK else "not found")
    if detection.precision in scene.functions:
        enough = iou >= scene.stage.least_iou_for_precision - SLACK
        said.append(f"counts {refine(iou, scene.stage) if enough else 0.0:.2f} in precision")
    return ", ".join(said)


def _unmatched(scene: Scene, row: int) -> str:
    column, least = scene.nearest(row), _least_iou(scene.rules)
    if not len(scene.target.boxes):
        return "there is no object"
    if column is None:
        return "overlaps no object"
    iou = float(scene.iou[row, column])
    said = f"overlaps {_object(scene, column)} most, "
    if least is not None and iou <= least:
        return said + _compared(iou, "not above", "", least)
    said += f"IoU {iou:.2f}"
    if scene.numbered_alike and column in scene.taker:
        said += f", which prediction {scene.taker[column] + 1} has"
    return said


def _remarks(scene: Scene, row: int) -> Iterator[str]:
    """What else is to be said of a box and its label."""
    nearest = scene.nearest(row)
    if nearest is not None and row in scene.pairs and scene.iou[row, nearest] > scene.pairs[row][1] + NEARER:
        yield f"it overlaps {_object(scene, nearest)} more, IoU {scene.iou[row, nearest]:.2f}"
    x1, y1, x2, y2 = scene.boxes[row].tolist()
    if x1 > x2 or y1 > y2:
        yield "its corners are in the wrong order"
    elif x1 == x2 or y1 == y2:
        yield "it has no area"
    frame = scene.answer.frame
    if fit(scene.answer.boxes[row : row + 1], frame)[1]:
        yield f"it reaches beyond the frame {frame[0]:g}x{frame[1]:g}"
    if scene.answer.labels:
        yield from _label_remarks(scene, row)


def _label_remarks(scene: Scene, row: int) -> Iterator[str]:
    label, target = scene.label(row), scene.target
    matched = scene.pairs[row][0] if row in scene.pairs and scene.numbered_alike else None
    column = scene.nearest(row) if matched is None else matched
    if label is None:
        yield "it has no label"
    elif target.categories and normalise_label(label) not in target.known_labels:
        yield f"its label '{printable(label)}' is none of the categories"
    elif column is not None and _called_otherwise(scene, row, column):
        yield f"it is called {printable(label)}, object {column + 1} is called {printable(target.labels[column])}"


def _called_otherwise(scene: Scene, row: int, column: int) -> bool:
    """Whether two labels differ; rules without pairs compare them as they like, so there every difference is told."""
    if scene.pairs_nothing:
        return scene.label(row) != scene.target.labels[column]
    return not scene.label_equal(row, column)


def _object(scene: Scene, column: int) -> str:
    return f"object {column + 1} ({printable(scene.target.labels[column])})"


def _compared(iou: float, relation: str, name: str, bound: float) -> str:
    """An IoU beside a threshold, with as many digits as it takes to see that they differ.

    Example:
        >>> _compared(0.4997, "below", "xi0", 0.5)
        'IoU 0.4997, below xi0 0.5000'
    """
    digits = next((digits for digits in range(2, 9) if f"{iou:.{digits}f}" != f"{bound:.{digits}f}"), 2)
    return f"IoU {iou:.{digits}f}, {relation} {f'{name} ' if name else ''}{bound:.{digits}f}"


def _least_iou(rules: TaskRules) -> float | None:
    """The IoU that a pair of the greedy matcher must exceed; None of the other matchers."""
    if _plain(rules.matcher) is not match_by_confidence:
        return None
    default = inspect.signature(match_by_confidence).parameters["iou_above"].default
    return float(getattr(rules.matcher, "keywords", {}).get("iou_above", default))


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function without the options that a configuration gives it."""
    return function.func if isinstance(function, functools.partial) else function
