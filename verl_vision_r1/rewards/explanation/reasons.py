"""One sentence per predicted box. For built-in criteria it says how the match counts, for others only the facts.

In the sentences, predictions and objects are numbered from 1.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes, pairwise_iou
from verl_vision_r1.frames import write_size
from verl_vision_r1.rewards.answers.answer import Answer, leave
from verl_vision_r1.rewards.criteria import detection, robust
from verl_vision_r1.rewards.matching import Match, boxes_in_pixels, match_by_confidence, match_nothing
from verl_vision_r1.rewards.refinement import SLACK, Stage, credit, refine
from verl_vision_r1.rewards.scoring import TaskRules
from verl_vision_r1.shown import printable
from verl_vision_r1.targets import Target, normalise_label

BY_CREDIT: Final = (robust.robust_recall, robust.robust_precision, robust.f1)
NEARER: Final = 1e-3
"""Difference of two IoU above which both are reported."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A parsed completion, its target and their matches.

    Attributes:
        answer: The parsed completion.
        target: The ground truth.
        match: The matches.
        rules: The reward configuration.
        stage: The current thresholds.
    """

    answer: Answer
    target: Target
    match: Match
    rules: TaskRules
    stage: Stage

    @functools.cached_property
    def boxes(self) -> Boxes:
        """(N, 4) predicted boxes in original-image pixels; a row of NaN is an invalid position."""
        return boxes_in_pixels(self.answer, self.target)

    @functools.cached_property
    def iou(self) -> NDArray[np.float64]:
        """(N, M) pairwise IoU, or nearness for points; 0 for an invalid position."""
        if self.target.task == "pointing":
            return self.target.regions.nearness(self.boxes[:, :2])
        if not len(self.boxes) or not len(self.target.boxes):
            return np.zeros((len(self.boxes), len(self.target.boxes)))
        with np.errstate(all="ignore"):
            return np.nan_to_num(pairwise_iou(self.boxes, self.target.boxes), posinf=0.0, neginf=0.0)

    @functools.cached_property
    def pairs(self) -> dict[int, tuple[int, float]]:
        """By prediction, the matched object and their IoU from the matcher; indices from 0."""
        columns = self.match.target.tolist(), np.nan_to_num(self.match.iou).tolist()
        return dict(zip(self.match.predicted.tolist(), zip(*columns, strict=True), strict=True))

    @functools.cached_property
    def taker(self) -> dict[int, int]:
        """By object, the matched prediction; indices from 0."""
        return {column: row for row, (column, _) in self.pairs.items()}

    @functools.cached_property
    def same_objects(self) -> bool:
        """Whether the matches refer to the target's boxes: presets of releases may parse others from `solution`."""
        if not all(0 <= column < len(self.target.boxes) for column in self.taker):
            return False
        if self.target.solution is None:
            return True
        return all(abs(self.iou[row, column] - value) < NEARER for row, (column, value) in self.pairs.items())

    @property
    def matches_nothing(self) -> bool:
        """Whether the matcher is `none`."""
        return _plain(self.rules.matcher) is match_nothing

    @functools.cached_property
    def functions(self) -> set[Callable[..., Any]]:
        """The criteria, without their options."""
        return {_plain(item.function) for item in self.rules.criteria}

    def nearest(self, row: int) -> int | None:
        """Index of the object with the highest IoU; None if the prediction overlaps no object."""
        overlap = self.iou[row]
        return int(overlap.argmax()) if len(overlap) and overlap.max() > 0 else None

    def label(self, row: int) -> str | None:
        """The label of a prediction; None if missing."""
        return self.answer.labels[row] if self.answer.labels else None

    def label_equal(self, row: int, column: int | None) -> bool:
        """Whether the labels of a prediction and an object are equal after normalisation."""
        label = self.label(row)
        if label is None or column is None:
            return False
        return normalise_label(label) == normalise_label(self.target.labels[column])


def reason(scene: Scene, row: int) -> str:
    """Why a prediction counts or does not.

    Args:
        scene: The completion and its target.
        row: Index of the prediction, from 0.
    """
    if np.isnan(scene.boxes[row]).any():
        return "invalid position"
    match = _matched(scene, row) if row in scene.pairs else _unmatched(scene, row)
    return "; ".join([match, *_remarks(scene, row)])


def _matched(scene: Scene, row: int) -> str:
    column, iou = scene.pairs[row]
    if not scene.same_objects:
        return f"matched to box {column + 1} of the reference answer, IoU {iou:.2f}"
    return f"matched to {object_name(scene, column)}, {_effect(scene, iou)}"


def _effect(scene: Scene, iou: float) -> str:
    """The IoU of a match, and how it counts in the built-in criteria."""
    stage, least = scene.stage, _least_iou(scene.rules)
    if {detection.recall, detection.precision} & scene.functions:
        return f"{_placed(iou, stage, stage.xi1)}: {_counted(scene, iou)}"
    if scene.functions.intersection(BY_CREDIT):
        return f"{_placed(iou, stage, 0.0)}: credit {float(credit(np.array(iou), stage)):.2f}"
    return f"IoU {iou:.2f}" if least is None else _compared(iou, "above", "", least)


def _placed(iou: float, stage: Stage, xi1: float) -> str:
    """An IoU compared with the current thresholds."""
    if iou < stage.xi0 - SLACK:
        return _compared(iou, "below", "xi0", stage.xi0)
    if iou >= stage.xi2 - SLACK:
        return _compared(iou, "at least", "xi2", stage.xi2)
    if iou < xi1 - SLACK:
        return _compared(iou, "below", "xi1", xi1)
    return _compared(iou, "at least", "xi0", stage.xi0)


def _counted(scene: Scene, iou: float) -> str:
    """How a match counts in the recall and precision of Vision-R1, Eq. 5, 6 and 8."""
    counts = []
    if detection.recall in scene.functions:
        counts.append("found" if iou >= scene.stage.xi0 - SLACK else "not found")
    if detection.precision in scene.functions:
        enough = iou >= scene.stage.least_iou_for_precision - SLACK
        counts.append(f"counts {refine(iou, scene.stage) if enough else 0.0:.2f} in precision")
    return ", ".join(counts)


def _unmatched(scene: Scene, row: int) -> str:
    column, least = scene.nearest(row), _least_iou(scene.rules)
    if not len(scene.target.boxes):
        return "there is no object"
    if column is None:
        return "overlaps no object"
    iou = float(scene.iou[row, column])
    overlap = f"overlaps {object_name(scene, column)} most, "
    if least is not None and iou <= least:
        return overlap + _compared(iou, "not above", "", least)
    overlap += f"IoU {iou:.2f}"
    if scene.same_objects and column in scene.taker:
        overlap += f", which is matched to prediction {scene.taker[column] + 1}"
    return overlap


def _remarks(scene: Scene, row: int) -> Iterator[str]:
    """Further facts about a box and its label."""
    nearest = scene.nearest(row)
    if nearest is not None and row in scene.pairs and scene.iou[row, nearest] > scene.pairs[row][1] + NEARER:
        yield f"it overlaps {object_name(scene, nearest)} more, IoU {scene.iou[row, nearest]:.2f}"
    x1, y1, x2, y2 = scene.boxes[row].tolist()
    if x1 > x2 or y1 > y2:
        yield "its corners are in the wrong order"
    elif x1 == x2 or y1 == y2:
        yield "it has no area"
    frame = scene.answer.frame
    if leave(scene.answer.boxes[row : row + 1], frame):
        yield f"it exceeds the frame {write_size(frame)}"
    if scene.answer.labels:
        yield from label_remarks(scene, row)


def label_remarks(scene: Scene, row: int) -> Iterator[str]:
    """Facts about the label of a prediction: missing, unknown, or not that of the object."""
    label, target = scene.label(row), scene.target
    matched = scene.pairs[row][0] if row in scene.pairs and scene.same_objects else None
    column = scene.nearest(row) if matched is None else matched
    if label is None:
        yield "it has no label"
    elif target.categories and normalise_label(label) not in target.known_labels:
        yield f"its label '{printable(label)}' is not one of the categories"
    elif column is not None and _labels_differ(scene, row, column):
        yield f"its label is {printable(label)}, that of object {column + 1} is {printable(target.labels[column])}"


def _labels_differ(scene: Scene, row: int, column: int) -> bool:
    """Whether two labels differ; verbatim if the matcher is `none`, since then the criteria compare the labels."""
    if scene.matches_nothing:
        return scene.label(row) != scene.target.labels[column]
    return not scene.label_equal(row, column)


def object_name(scene: Scene, column: int) -> str:
    """An object in a sentence: its number and its label."""
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
    """IoU threshold of the greedy matcher; None for other matchers."""
    if _plain(rules.matcher) is not match_by_confidence:
        return None
    default = inspect.signature(match_by_confidence).parameters["iou_above"].default
    return float(getattr(rules.matcher, "keywords", {}).get("iou_above", default))


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function without its configured options."""
    return function.func if isinstance(function, functools.partial) else function
