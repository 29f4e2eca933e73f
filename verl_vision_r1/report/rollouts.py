"""What a page says of one answer: its text, its numbers, its boxes and the pairs that were matched."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from verl_vision_r1.evaluation.predictions.detections import boxes_in_pixels
from verl_vision_r1.evaluation.predictions.predictions_file import Line
from verl_vision_r1.evaluation.predictions.published_parsers import read_any
from verl_vision_r1.report.curves import criteria_of
from verl_vision_r1.rewards.matching import NO_PAIRS, Match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.rewards.scoring import TaskRules, score_completion
from verl_vision_r1.training.run_file import Rules

LETTERS: Final = 20_000
"""Letters of an answer that a page shows."""
BOXES: Final = 300
"""Boxes of an answer, and pairs, that a page shows."""
LABEL: Final = 200
"""Letters of a label."""
FLAGS: Final = (
    *("truncated", "clipped", "out_of_frame", "label_unknown", "criterion_failed", "image_unreadable"),
    *("unparsed", "rescored_otherwise", "cut_here"),
)
"""What an answer can be marked with. The last two are the page's own: scoring it again gave another total; it is too
long to be here whole."""
SAME: Final = 1e-6
"""Totals that differ by less are the same: verl keeps a score as float32."""


@dataclass(frozen=True)
class Reading:
    """An answer, read and matched as it was when it was scored.

    Attributes:
        boxes: Its boxes, rounded to a hundredth of an original-image pixel.
        labels: A name for each box, or None.
        confidences: A number for each box, where the answer's form has them.
        pairs: (prediction, object, IoU, whether the labels are equal).
        total: What scoring it again gives; None where the rules are not known.
    """

    boxes: list[list[float]]
    labels: list[str | None]
    confidences: list[float] | None
    pairs: list[tuple[int, int, float, bool]]
    total: float | None


def read_answer(line: Line, rules: TaskRules | None, stage: Stage | None) -> Reading:
    """Read and match an answer by the rules of its run; without them read any form of boxes, and match nothing."""
    if rules is None or stage is None:
        answer, match, total = read_any(line.text, line.frame), NO_PAIRS, None
    else:
        answer = rules.parser(line.text, line.frame)
        match = rules.matcher(answer, line.target, stage)
        read = replace(rules, parser=lambda text, frame: answer, matcher=lambda answer, target, stage: match)
        total = score_completion(line.text, line.target, read, line.frame, stage).total
    boxes = np.round(boxes_in_pixels(answer, line.target), 2)
    return Reading(
        boxes.tolist(),
        [label if label is None else label[:LABEL] for label in answer.labels],
        None if answer.confidences is None else answer.confidences.tolist(),
        _pairs(match),
        total,
    )


def _pairs(match: Match) -> list[tuple[int, int, float, bool]]:
    columns = (match.predicted.tolist(), match.target.tolist(), match.iou.tolist(), match.label_equal.tolist())
    return [(box, target, round(iou, 4), same) for box, target, iou, same in zip(*columns, strict=True)]


def describe(line: Line, kind: str, rules: Rules | None) -> dict[str, Any]:
    """An answer as the page's script takes it.

    Args:
        line: The answer.
        kind: `training` or `validation`.
        rules: What its run was scored by.
    """
    known = rules.preset.tasks.get(line.target.task) if rules else None
    reading = read_answer(line, known, rules.stage(kind, line.step) if rules and known else None)
    names = [name for name in criteria_of(line.values) if known is None or name in known.names]
    return {
        "total": round(_total(line), 6),
        "criteria": {name: [round(line.values[key], 6) for key in (name, f"{name}_raw")] for name in names},
        "numbers": {
            name: round(line.values[name], 6) for name in ("stage", "xi0", "xi1", "xi2") if name in line.values
        },
        "flags": _flags(line, reading),
        "text": line.text[:LETTERS],
        "letters": len(line.text),
        "line": line.number,
        "boxes": reading.boxes[:BOXES],
        "labels": reading.labels[:BOXES],
        "confidences": reading.confidences and reading.confidences[:BOXES],
        "predicted": len(reading.boxes),
        "pairs": reading.pairs[:BOXES],
    }


def _total(line: Line) -> float:
    return line.values.get("total", line.values.get("score", 0.0))


def _flags(line: Line, reading: Reading) -> list[str]:
    raised = {name for name in FLAGS if line.values.get(name, 0.0) > 0}
    if not line.values.get("parsed", 1.0):
        raised.add("unparsed")
    if reading.total is not None and abs(reading.total - _total(line)) > SAME * max(1.0, abs(reading.total)):
        raised.add("rescored_otherwise")
    if len(line.text) > LETTERS or len(reading.boxes) > BOXES:
        raised.add("cut_here")
    return [name for name in FLAGS if name in raised]
