"""`explain`: the scores of a completion, and a verdict on each predicted box."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from verl_vision_r1.frames import Size, axes
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.explanation.points import point_reason
from verl_vision_r1.rewards.explanation.reasons import Scene, reason
from verl_vision_r1.rewards.explanation.worth import worths
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.scoring import Scores, TaskRules, score_completion
from verl_vision_r1.shown import printable
from verl_vision_r1.targets import Target


@dataclass(frozen=True)
class Verdict:
    """The explanation of one predicted box or point. Predictions and objects are numbered from 1.

    Attributes:
        number: Position of the box in the completion.
        box: `xyxy` in original-image pixels; NaN for an invalid position in a preset of a release. A point is a box
            without area.
        label: The label as written; None if missing.
        confidence: As parsed; None if the format has no confidence.
        object: The matched object; None if unmatched.
        overlaps: The object with the highest IoU; None if it overlaps no object.
        iou: IoU with the matched object, or else with the object it overlaps most; in [0, 1]. For a point, its
            nearness.
        label_equal: Whether its label equals that object's, after normalisation.
        worth: The total minus the total without this box, in units of the total; negative if the box lowers the total.
            None if unknown; the notes say why.
        reason: One sentence.
    """

    number: int
    box: tuple[float, float, float, float]
    label: str | None
    confidence: float | None
    object: int | None
    overlaps: int | None
    iou: float
    label_equal: bool
    worth: float | None
    reason: str


@dataclass(frozen=True, eq=False)
class Explanation:
    """The scores of one completion, with the reasons.

    Attributes:
        scores: The output of `score_completion`.
        answer: The parsed completion.
        target: The ground truth.
        verdicts: One per predicted box, in order.
        missed: Unmatched objects, numbered from 1; None if the matcher does not match the target's boxes.
        notes: Sentences about the whole completion.
    """

    scores: Scores
    answer: Answer
    target: Target
    verdicts: tuple[Verdict, ...]
    missed: tuple[int, ...] | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: numbers that are not finite are null, exceptions are text."""
        return {
            **scores_as_dict(self.scores),
            "frame": list(self.answer.frame),
            "axes": axes(self.answer.frame),
            "form": self.answer.form,
            "predictions": [_verdict_as_dict(verdict) for verdict in self.verdicts],
            "missed": None if self.missed is None else list(self.missed),
            "notes": list(self.notes),
        }


def explain(completion: str, target: Target, rules: TaskRules, frame: Size, stage: Stage = OFF) -> Explanation:
    """Score one completion and explain the score.

    Args:
        completion: Any text.
        target: The ground truth, in original-image pixels.
        rules: The reward configuration of the target's task.
        frame: (width, height) of the frame of the model's boxes.
        stage: The current thresholds.

    Returns:
        The explanation. A malformed completion never raises; a custom matcher or criterion may, as in scoring.

    Example:
        >>> from verl_vision_r1 import load_preset
        >>> target = Target([[100, 100, 300, 300]], ["cat"], width=640, height=480)
        >>> text = '[{"bbox_2d": [100, 100, 300, 250], "label": "cat"}]'
        >>> found = explain(text, target, load_preset("vision_r1").tasks["detection"], (640, 480))
        >>> found.verdicts[0].reason
        'matched to object 1 (cat), IoU 0.75, at least xi0 0.50: found, counts 0.75 in precision'
        >>> found.scores.total, found.verdicts[0].worth
        (2.75, 1.75)
    """
    answer = rules.parser(completion, frame)
    scores = score_completion(completion, target, replace(rules, parser=lambda text, size: answer), frame, stage)
    scene = Scene(answer, target, rules.matcher(answer, target, stage), rules, stage)
    worth, worth_notes = worths(answer, target, rules, stage, scores)
    numbered = scene.same_objects and not scene.matches_nothing
    missed = tuple(column + 1 for column in range(len(target.boxes)) if column not in scene.taker)
    return Explanation(
        scores=scores,
        answer=answer,
        target=target,
        verdicts=tuple(_verdict(scene, row, value) for row, value in enumerate(worth)),
        missed=missed if numbered else None,
        notes=(*_notes(scene, scores), *worth_notes),
    )


def scores_as_dict(scores: Scores) -> dict[str, Any]:
    """Scores for JSON."""
    names = ("total", "acc", "parts", "raw", "predicted", "targets", "matched")
    plain = {name: getattr(scores, name) for name in names}
    stage = {name: getattr(scores.stage, name) for name in ("index", "xi0", "xi1", "xi2")}
    errors = {name: _failure(error) for name, error in scores.errors.items()}
    return plain | {"mean_iou": _finite(scores.mean_iou), "stage": stage, "flags": scores.flags, "errors": errors}


def _verdict(scene: Scene, row: int, worth: float | None) -> Verdict:
    nearest = scene.nearest(row)
    matched = scene.pairs[row][0] if row in scene.pairs and scene.same_objects else None
    other = nearest if matched is None else matched
    overlap = float(scene.iou[row, other]) if other is not None else 0.0
    confidences = scene.answer.confidences
    return Verdict(
        number=row + 1,
        box=tuple(scene.boxes[row].tolist()),
        label=scene.label(row),
        confidence=None if confidences is None else float(confidences[row]),
        object=_numbered(matched),
        overlaps=_numbered(nearest),
        iou=scene.pairs[row][1] if row in scene.pairs else overlap,
        label_equal=scene.label_equal(row, other),
        worth=worth,
        reason=(point_reason if scene.target.task == "pointing" else reason)(scene, row),
    )


def _numbered(index: int | None) -> int | None:
    return None if index is None else index + 1


def _notes(scene: Scene, scores: Scores) -> Iterator[str]:
    """Facts about the whole completion, independent of the criteria."""
    answer, target = scene.answer, scene.target
    if answer.truncated:
        yield "the completion is truncated"
    if not len(answer.boxes):
        yield from _notes_without_boxes(answer, target)
    if not answer.well_formed:
        yield "the completion is not well-formed"
    if answer.malformed:
        kind = "point" if target.task == "pointing" else "box"
        yield f"{answer.malformed} malformed item{'s' * (answer.malformed > 1)}: no {kind} could be parsed"
    if not scene.same_objects:
        yield "the reference answer has other boxes than the target: matches have no object number"
    elif scene.matches_nothing and len(answer.boxes):
        yield "this preset does not match boxes: the reasons give only the overlap"
    yield from (f"criterion {name} failed and counts 0: {_failure(error)}" for name, error in scores.errors.items())


def _notes_without_boxes(answer: Answer, target: Target) -> Iterator[str]:
    expected = ""
    if target.task == "classification":
        expected = f", the label is '{', '.join(map(printable, target.labels))}'"
    elif target.task == "counting":
        expected = f", the number of objects is {target.instances}"
    if answer.content or expected:
        yield f"the answer is '{printable(answer.content)}'{expected}"
    elif not answer.parsed:
        yield "the completion could not be parsed"


def _verdict_as_dict(verdict: Verdict) -> dict[str, Any]:
    box = [_finite(side) for side in verdict.box]
    return {**asdict(verdict), "box": box, "confidence": _finite(verdict.confidence), "iou": _finite(verdict.iou)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _failure(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}", 200)
