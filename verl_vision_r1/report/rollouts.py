"""Describe one rollout for the page: its completion, rewards, boxes and matches."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from verl_vision_r1.evaluation.predictions.detections import boxes_in_pixels
from verl_vision_r1.evaluation.predictions.predictions_file import Line
from verl_vision_r1.evaluation.predictions.published_parsers import read_any
from verl_vision_r1.report.completion_outcomes import CompletionOutcomes, completion_outcomes
from verl_vision_r1.report.curves import criteria_of
from verl_vision_r1.rewards.answers.points import parse_points
from verl_vision_r1.rewards.matching import NO_PAIRS, Match
from verl_vision_r1.rewards.presets import Unevaluated
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.rewards.scoring import TaskRules, score_completion
from verl_vision_r1.training.run_file import Rules

MAX_CHARACTERS: Final = 20_000
"""Maximum number of characters of a completion on the page."""
MAX_BOXES: Final = 600
"""Maximum number of boxes, and of matches, of a completion on the page."""
MAX_LABEL: Final = 200
"""Maximum number of characters of a label."""
FLAGS: Final = (
    *("truncated", "clipped", "out_of_frame", "label_unknown", "criterion_failed", "image_unreadable"),
    *("unparsed", "rescored_otherwise", "cut_here"),
)
"""The flags of a rollout. The page adds two: `rescored_otherwise`, scoring the completion again gives another total
reward; `cut_here`, the completion is too long to be shown completely."""
TOLERANCE: Final = 1e-6
"""Relative tolerance of equal totals: verl stores rewards as float32."""


@dataclass(frozen=True)
class Parsed:
    """A completion, parsed and matched by the reward configuration of its run.

    Attributes:
        boxes: N boxes, `xyxy` in original-image pixels, rounded to 0.01; a point is a box without area.
        labels: A label for each box, or None; empty for formats without labels.
        confidences: A confidence for each box; None for formats without confidences.
        matches: (prediction index, object index, IoU, whether the labels are equal).
        outcomes: The outcome of each box, whatever the reward configuration.
        total: The total reward, computed again; None if the reward configuration is unknown or not evaluated.
    """

    boxes: list[list[float]]
    labels: list[str | None]
    confidences: list[float] | None
    matches: list[tuple[int, int, float, bool]]
    outcomes: CompletionOutcomes
    total: float | None


def parse(line: Line, rules: TaskRules | None, stage: Stage | None) -> Parsed:
    """Parse and match a completion by the reward configuration; without one parse any format, and match nothing.

    The same goes for a custom parser or matcher that was not imported. With a custom criterion there is no total.
    """
    total = None
    if rules is None or stage is None or any(isinstance(item, Unevaluated) for item in rules.functions[:2]):
        read = parse_points if line.target.task == "pointing" else read_any
        answer, match = read(line.text, line.frame), NO_PAIRS
    else:
        answer = rules.parser(line.text, line.frame)
        match = rules.matcher(answer, line.target, stage)
        fixed = replace(rules, parser=lambda text, frame: answer, matcher=lambda answer, target, stage: match)
        if not any(isinstance(item, Unevaluated) for item in rules.functions):
            total = score_completion(line.text, line.target, fixed, line.frame, stage).total
    boxes = boxes_in_pixels(answer, line.target)
    return Parsed(
        np.round(boxes, 2).tolist(),
        [label if label is None else label[:MAX_LABEL] for label in answer.labels],
        None if answer.confidences is None else answer.confidences.tolist(),
        _matches(match),
        completion_outcomes(answer, boxes, line.target),
        total,
    )


def _matches(match: Match) -> list[tuple[int, int, float, bool]]:
    columns = (match.predicted.tolist(), match.target.tolist(), match.iou.tolist(), match.label_equal.tolist())
    return [(box, target, round(iou, 4), same) for box, target, iou, same in zip(*columns, strict=True)]


def describe(line: Line, kind: str, rules: Rules | None) -> dict[str, Any]:
    """Describe a rollout for the script of the page.

    Args:
        line: The line of the rollout file.
        kind: `training` or `validation`.
        rules: The reward configuration of the run, if known.
    """
    known = rules.preset.tasks.get(line.target.task) if rules else None
    recorded = int(line.values.get("stage", 0))
    parsed = parse(line, known, rules.stage(kind, line.step, recorded) if rules and known else None)
    names = [name for name in criteria_of(line.values) if known is None or name in known.names]
    return {
        "total": round(_total(line), 6),
        "criteria": {name: [round(line.values[key], 6) for key in (name, f"{name}_raw")] for name in names},
        "numbers": {
            name: round(line.values[name], 6) for name in ("acc", "stage", "xi0", "xi1", "xi2") if name in line.values
        },
        "flags": _flags(line, parsed),
        "text": line.text[:MAX_CHARACTERS],
        "length": len(line.text),
        "line": line.number,
        "boxes": parsed.boxes[:MAX_BOXES],
        "labels": parsed.labels[:MAX_BOXES],
        "confidences": parsed.confidences and parsed.confidences[:MAX_BOXES],
        "predicted": len(parsed.boxes),
        "pairs": parsed.matches[:MAX_BOXES],
        "outcomes": parsed.outcomes.codes[:MAX_BOXES],
        "nearest": parsed.outcomes.nearest[:MAX_BOXES],
        "missed": parsed.outcomes.missed,
        "refusal": parsed.outcomes.refusal,
    }


def _total(line: Line) -> float:
    return line.values.get("total", line.values.get("score", 0.0))


def _flags(line: Line, parsed: Parsed) -> list[str]:
    raised = {name for name in FLAGS if line.values.get(name, 0.0) > 0}
    if not line.values.get("parsed", 1.0):
        raised.add("unparsed")
    if parsed.total is not None and abs(parsed.total - _total(line)) > TOLERANCE * max(1.0, abs(parsed.total)):
        raised.add("rescored_otherwise")
    if len(line.text) > MAX_CHARACTERS or len(parsed.boxes) > MAX_BOXES:
        raised.add("cut_here")
    return [name for name in FLAGS if name in raised]
