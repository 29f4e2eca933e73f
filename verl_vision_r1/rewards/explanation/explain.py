"""`explain`: the scores of an answer, and for each of its boxes what became of it."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.explanation.reasons import Scene, reason
from verl_vision_r1.rewards.explanation.words import printable
from verl_vision_r1.rewards.explanation.worth import worths
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.scoring import Scores, TaskRules, score_completion
from verl_vision_r1.targets import Target


@dataclass(frozen=True)
class Verdict:
    """What became of one predicted box. Predictions and objects are counted from 1, as in the sentences.

    Attributes:
        number: The place of the box in the answer.
        box: `xyxy` in original-image pixels; NaN where a release takes something else for a box.
        label: Its name as written; None where it has none.
        confidence: As the parser gives it; None where the form of the answer has none.
        object: The object that it was matched to; None where it was matched to none.
        overlaps: The object that it overlaps most; None where it overlaps none.
        iou: IoU with the object that it was matched to, or else with the one that it overlaps most; in [0, 1].
        label_equal: Whether it is called like that object, as labels are compared.
        worth: The total, less the total of the same answer without this box, in units of the total; below 0 where
            the box costs more than it brings. None where that is not known, which the notes explain.
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
    """One answer's scores, and where they come from.

    Attributes:
        scores: As of `score_completion`.
        answer: What was read from the text, in the frame of the answer.
        target: What is there.
        verdicts: One for each predicted box, in the order of the answer.
        missed: Objects that no box was matched to, counted from 1; None where the rules make no pairs of the
            target's boxes.
        notes: Sentences about the answer as a whole.
    """

    scores: Scores
    answer: Answer
    target: Target
    verdicts: tuple[Verdict, ...]
    missed: tuple[int, ...] | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what is no finite number is null, what a criterion raised is a text."""
        return {
            **scores_as_dict(self.scores),
            "frame": list(self.answer.frame),
            "predictions": [_verdict_as_dict(verdict) for verdict in self.verdicts],
            "missed": None if self.missed is None else list(self.missed),
            "notes": list(self.notes),
        }


def explain(completion: str, target: Target, rules: TaskRules, frame: Size, stage: Stage = OFF) -> Explanation:
    """Score one completion and say why.

    Args:
        completion: Any text.
        target: The ground truth, in original-image pixels.
        rules: The rules of the target's task.
        frame: (width, height) of the frame that the model answers in.
        stage: The thresholds in force.

    Returns:
        The explanation. The text never raises; a matcher or criterion of the user's own may, as in scoring.

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
    worth, told = worths(answer, target, rules, stage, scores)
    numbered = scene.numbered_alike and not scene.pairs_nothing
    free = tuple(column + 1 for column in range(len(target.boxes)) if column not in scene.taker)
    return Explanation(
        scores=scores,
        answer=answer,
        target=target,
        verdicts=tuple(_verdict(scene, row, value) for row, value in enumerate(worth)),
        missed=free if numbered else None,
        notes=(*_notes(scene, scores), *told),
    )


def scores_as_dict(scores: Scores) -> dict[str, Any]:
    """Scores for JSON."""
    plain = {name: getattr(scores, name) for name in ("total", "parts", "raw", "predicted", "targets", "matched")}
    stage = {name: getattr(scores.stage, name) for name in ("index", "xi0", "xi1", "xi2")}
    errors = {name: _failure(error) for name, error in scores.errors.items()}
    return plain | {"mean_iou": _finite(scores.mean_iou), "stage": stage, "flags": scores.flags, "errors": errors}


def _verdict(scene: Scene, row: int, worth: float | None) -> Verdict:
    nearest = scene.nearest(row)
    matched = scene.pairs[row][0] if row in scene.pairs and scene.numbered_alike else None
    other = nearest if matched is None else matched
    overlap = float(scene.iou[row, other]) if other is not None else 0.0
    sure = scene.answer.confidences
    return Verdict(
        number=row + 1,
        box=tuple(scene.boxes[row].tolist()),
        label=scene.label(row),
        confidence=None if sure is None else float(sure[row]),
        object=_counted(matched),
        overlaps=_counted(nearest),
        iou=scene.pairs[row][1] if row in scene.pairs else overlap,
        label_equal=scene.label_equal(row, other),
        worth=worth,
        reason=reason(scene, row),
    )


def _counted(place: int | None) -> int | None:
    return None if place is None else place + 1


def _notes(scene: Scene, scores: Scores) -> Iterator[str]:
    """What is to be said of the whole answer; only what is so, whatever a criterion makes of it."""
    answer, target = scene.answer, scene.target
    if answer.truncated:
        yield "the text ends inside its answer"
    if not len(answer.boxes):
        yield from _read_instead(answer, target)
    if not answer.well_formed:
        yield "the text does not have the form that was asked for"
    if answer.malformed:
        yield f"{answer.malformed} item{'s' * (answer.malformed > 1)} of the answer that no box could be read from"
    if not scene.numbered_alike:
        yield "the objects were read from the reference answer, which has others than the target: no pair is numbered"
    elif scene.pairs_nothing and len(answer.boxes):
        yield "the matcher of these rules makes no pairs: what is said of a box is where it lies"
    yield from (f"criterion {name} failed and counts 0: {_failure(error)}" for name, error in scores.errors.items())


def _read_instead(answer: Answer, target: Target) -> Iterator[str]:
    """What was read where no box was."""
    truth = ""
    if target.task == "classification":
        truth = f", the label is '{', '.join(map(printable, target.labels))}'"
    elif target.task == "counting":
        truth = f", the number of objects is {target.instances}"
    if answer.content or truth:
        yield f"the answer is '{printable(answer.content)}'{truth}"
    elif not answer.parsed:
        yield "the parser read no answer"


def _verdict_as_dict(verdict: Verdict) -> dict[str, Any]:
    box = [_finite(side) for side in verdict.box]
    return {**asdict(verdict), "box": box, "confidence": _finite(verdict.confidence), "iou": _finite(verdict.iou)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _failure(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}", 200)
