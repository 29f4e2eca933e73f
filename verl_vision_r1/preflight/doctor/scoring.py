"""Check of the rewards: a perfect completion scores the maximum, an unparsable one less."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.data.prompt_length import narrowed, processor_bounds, side_of
from verl_vision_r1.frames import Size, frame_size, smart_resize, to_frame
from verl_vision_r1.preflight.doctor.check import Case, FailedError, SkippedError, check, need
from verl_vision_r1.preflight.doctor.training_run import PATCH, first_rows
from verl_vision_r1.rewards import attacks
from verl_vision_r1.rewards.forms import correct_completion, rounded_boxes
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.scoring import Scores, TaskRules, WeightedCriterion, score_completion
from verl_vision_r1.targets import Target

UNPARSABLE: Final = "#"
TOLERANCE: Final = 1e-3
"""How far a component may be below 1 for a perfect completion: the releases compute in float32."""
SIDE: Final = attacks.SIDE
SCENES: Final = {
    "detection": attacks.target(),
    "grounding": Target([attacks.BOXES[0]], ["the cat"], SIDE, SIDE, task="grounding"),  # type: ignore[arg-type]
    "classification": Target([], ["garden phlox"], SIDE, SIDE, task="classification"),  # type: ignore[arg-type]
    "counting": Target([], [], SIDE, SIDE, task="counting", count=3),  # type: ignore[arg-type]
    "pointing": attacks.target(task="pointing"),
}
"""Ground truth by task, for a check without a run."""

Sample = tuple[Target, Size]
"""Ground truth, and the size of its image as the model sees it."""


@check("scoring", "check the criteria in the message, vision_r1.frame, and the frame that the rewards expect")
def scoring(case: Case) -> str:
    """A perfect completion for the run's samples (or built-in ones) scores the maximum, an unparsable one less."""
    results = [line for name in need(case.presets, "rewards") for line in _results(case, name)]
    return "; ".join(results) if case.overrides else f"maximum for {len(results)} tasks of {len(case.presets)} presets"


def _results(case: Case, name: str) -> Iterator[str]:
    preset = case.presets[name]
    for target, resized in _samples(case):
        if case.overrides or target.task in preset.tasks:
            rules = preset.rules_of(target)
            frame = frame_size(rules.frame or case.frame or "resized_pixels", resized)
            yield _score(name, target, rules, frame, _stage(case))


def _stage(case: Case) -> Stage:
    return case.settings.curriculum.stages[-1] if case.settings else OFF


def _samples(case: Case) -> list[Sample]:
    """One sample per task."""
    if not case.overrides:
        return [(target, (SIDE, SIDE)) for target in SCENES.values()]
    side, bounds = side_of(case.processor) or PATCH, None
    if case.processor:
        bounds = processor_bounds(case.processor, case.run.data.mm_processor_kwargs)
    samples: dict[str, Sample] = {}
    for _, row, target in first_rows(case.run):
        # Not a negative sample: for those the releases give a malformed completion the higher reward.
        if target.task not in samples and (target.instances or target.task == "classification"):
            size = smart_resize(target.width, target.height, side, *narrowed(row["images"][0], bounds))
            samples[target.task] = target, size
    if not samples:
        raise SkippedError("the first samples are all negative")
    return list(samples.values())


def _score(name: str, target: Target, rules: TaskRules, frame: Size, stage: Stage) -> str:
    boxes = rounded_boxes(target, frame)
    text = correct_completion(target, rules.parser, boxes, frame)
    unparsable = score_completion(UNPARSABLE, target, rules, frame, stage)
    if text is None:
        return f"{target.task}: {unparsable.total:.3g} if unparsable; no perfect completion known for a custom parser"
    perfect = score_completion(text, _with_boxes(target, boxes, frame), rules, frame, stage)
    maximum = 1.0 if rules.total == "mean" else math.fsum(item.weight for item in rules.criteria)
    line = f"{target.task}: {perfect.total:.3g} of {maximum:.3g} if perfect, {unparsable.total:.3g} if unparsable"
    if wrong := list(_wrong(perfect, unparsable, rules)):
        raise FailedError(f"{name}: {line}: {', '.join(wrong)}")
    return line


def _wrong(perfect: Scores, unparsable: Scores, rules: TaskRules) -> Iterator[str]:
    if perfect.flags["criterion_failed"]:
        yield "a criterion raised"
    if not perfect.total > unparsable.total:
        yield "expected a higher reward for the perfect completion"
    for item in rules.criteria:
        # The maximum of a custom criterion is not known.
        if item.weight and _built_in(item) and perfect.parts[item.name] < 1 - TOLERANCE:
            yield f"{item.name}: expected 1, got {perfect.parts[item.name]:.3f}"


def _built_in(item: WeightedCriterion) -> bool:
    function = getattr(item.function, "func", item.function)
    return str(getattr(function, "__module__", "")).startswith("verl_vision_r1.")


def _with_boxes(target: Target, boxes: Boxes, frame: Size) -> Target:
    """The target with these boxes, so that rounding does not lower the score; a point is not that exact."""
    if target.task == "pointing":
        return target
    size = (target.width, target.height)
    return replace(target, boxes=np.clip(to_frame(boxes, frame, size), 0, np.tile(size, 2)))


CHECKS: Final = (scoring,)
