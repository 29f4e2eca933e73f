"""Scores one completion: the total and all its components. Pure functions: no state, no clock, no verl."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers import Answer, Parser
from verl_vision_r1.rewards.correctness import CORRECT
from verl_vision_r1.rewards.criteria import Criterion
from verl_vision_r1.rewards.matching import Match, Matcher
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.refusal import refused
from verl_vision_r1.targets import Target, plain_label

TOTALS: Final = ("sum", "mean")


@dataclass(frozen=True)
class WeightedCriterion:
    """A criterion of a preset, with its name and its weight in the total (finite, >= 0)."""

    name: str
    function: Criterion
    weight: float = 1.0


@dataclass(frozen=True)
class TaskRules:
    """The reward configuration of one task.

    Attributes:
        parser: Parses the completion.
        matcher: Matches predicted to ground-truth boxes.
        criteria: At least one; the sum of their weights is > 0.
        frame: The frame that the task's prompt asks for, one of `frames.FRAMES`; None for the model family's frame.
        total: Weighted `sum` or weighted `mean` of the criteria.
        on_error: If a criterion raises or returns a number that is not finite: `zero` (it counts 0) or `raise`.
    """

    parser: Parser
    matcher: Matcher
    criteria: tuple[WeightedCriterion, ...]
    frame: str | None = None
    total: str = "sum"
    on_error: str = "zero"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the criteria, in order."""
        return tuple(item.name for item in self.criteria)

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The parser, the matcher and the functions of the criteria."""
        return (self.parser, self.matcher, *(item.function for item in self.criteria))


@dataclass(frozen=True)
class Scores:
    """The total and the components of one completion's score.

    Attributes:
        total: The weighted sum (or mean) of `parts`.
        parts: Value of each criterion at the current stage.
        raw: Value of each criterion without refinement.
        stage: The current thresholds.
        predicted: N, the number of predicted boxes.
        targets: M, the number of ground-truth boxes.
        matched: K, the number of matches, at most min(N, M).
        mean_iou: Mean IoU of the matches; 0 without matches.
        acc: 1 if the completion is entirely correct, else 0; `correctness.CORRECT` defines it for each task.
        negative: Whether the ground truth is empty.
        flags: `parsed` (the completion could be parsed), `truncated` (its JSON is cut off), `out_of_frame` (a box
            exceeds the frame), `label_unknown`, `refused` (an explicit empty prediction), `criterion_failed`.
        errors: Exceptions raised by custom criteria, by name; such a criterion counts 0.
    """

    total: float
    parts: dict[str, float]
    raw: dict[str, float]
    stage: Stage
    predicted: int
    targets: int
    matched: int
    mean_iou: float
    acc: float = 0.0
    negative: bool = False
    flags: dict[str, bool] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict, compare=False)

    def as_dict(self, criteria: tuple[str, ...]) -> dict[str, float]:
        """The metrics that verl logs: the same keys for every completion of every task.

        Args:
            criteria: All criteria of the preset. A criterion that the task does not use is 0.

        Returns:
            `total`, `acc`; `NAME` and `NAME_raw` for each criterion; `stage`, `xi0`, `xi1`, `xi2`; `predicted_boxes`,
            `target_boxes`, `matched_boxes`, `mean_iou`; `negative` and each flag as 0 or 1. All finite.
        """
        values = {"total": self.total, "acc": self.acc}
        for name in criteria:
            values[name] = self.parts.get(name, 0.0)
            values[f"{name}_raw"] = self.raw.get(name, 0.0)
        values |= {"stage": self.stage.index, "xi0": self.stage.xi0, "xi1": self.stage.xi1, "xi2": self.stage.xi2}
        values |= {"predicted_boxes": self.predicted, "target_boxes": self.targets, "matched_boxes": self.matched}
        values |= {"mean_iou": self.mean_iou, "negative": self.negative, **self.flags}
        return {name: float(value) for name, value in values.items()}

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in self.parts.items())
        facts = [f"{self.predicted} predicted, {self.targets} true, mean IoU {self.mean_iou:.3f}"]
        facts += [] if self.flags["parsed"] else ["not parsed"]
        facts += [name for name, value in self.flags.items() if value and name != "parsed"]
        return f"total {self.total:.3f} = {parts} ({', '.join(facts)})"


def score_completion(completion: str, target: Target, rules: TaskRules, frame: Size, stage: Stage = OFF) -> Scores:
    """Score one completion.

    Args:
        completion: Any text.
        target: The ground truth, in original-image pixels.
        rules: The reward configuration of the target's task.
        frame: (width, height) of the frame of the model's boxes.
        stage: The current thresholds.

    Returns:
        The scores. A malformed completion never raises; with `on_error` "raise", a custom criterion may.
    """
    answer = rules.parser(completion, frame)
    match = rules.matcher(answer, target, stage)
    parts, errors = _parts(rules, answer, target, match, stage)
    raw = parts if stage == OFF else _parts(rules, answer, target, match, OFF)[0]
    return Scores(
        total=_total(parts, rules),
        parts=parts,
        raw=raw,
        stage=stage,
        predicted=len(answer.boxes),
        targets=len(target.boxes),
        matched=len(match.iou),
        mean_iou=sum(match.iou.tolist()) / len(match.iou) if len(match.iou) else 0.0,
        acc=float(CORRECT[target.task](answer, target, match)),
        negative=target.is_negative,
        flags={**_flags(answer, target), "criterion_failed": bool(errors)},
        errors=errors,
    )


def nothing_scored(target: Target, rules: TaskRules, stage: Stage, **errors: Exception) -> Scores:
    """All zero, for a sample that could not be scored for a reason other than the completion."""
    zeros = {item.name: 0.0 for item in rules.criteria}
    flags = dict.fromkeys(("parsed", "truncated", "out_of_frame", "label_unknown", "refused"), False)
    flags["criterion_failed"] = bool(errors)
    facts: dict[str, Any] = {"negative": target.is_negative, "flags": flags, "errors": errors}
    return Scores(0.0, zeros, zeros, stage, 0, len(target.boxes), 0, 0.0, **facts)


def _parts(
    rules: TaskRules, answer: Answer, target: Target, match: Match, stage: Stage
) -> tuple[dict[str, float], dict[str, Exception]]:
    """The value of each criterion, and the exceptions of those that failed; only custom criteria can fail."""
    parts, errors = {}, {}
    for item in rules.criteria:
        try:
            value = float(item.function(answer, target, match, stage))
            if not math.isfinite(value):
                raise ValueError(f"criterion {item.name}: expected a finite number, got {value}")
        except Exception as error:
            if rules.on_error == "raise":
                raise
            value, errors[item.name] = 0.0, error
        parts[item.name] = value
    return parts, errors


def _total(parts: dict[str, float], rules: TaskRules) -> float:
    total = math.fsum(item.weight * parts[item.name] for item in rules.criteria)
    return total / math.fsum(item.weight for item in rules.criteria) if rules.total == "mean" else total


def _flags(answer: Answer, target: Target) -> dict[str, bool]:
    known = target.known_labels
    return {
        "parsed": answer.parsed,
        "truncated": answer.truncated,
        "out_of_frame": answer.out_of_frame,
        "label_unknown": not known.issuperset(answer.labels)
        and any(label is None or plain_label(label) not in known for label in set(answer.labels)),
        "refused": refused(answer, target.task),
    }
