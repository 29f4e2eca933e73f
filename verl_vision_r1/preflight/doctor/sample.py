"""Whether a perfect answer earns what the rewards have to give, and rubbish less."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.data.prompt_length import narrowed, processor_bounds
from verl_vision_r1.frames import Size, frame_size, smart_resize, to_frame
from verl_vision_r1.preflight.doctor.check import Case, FailedError, SkippedError, check, need
from verl_vision_r1.preflight.doctor.training_run import PATCH, first_rows, side_of
from verl_vision_r1.rewards import attacks
from verl_vision_r1.rewards.answers.strict import parse_tagged_text_strictly
from verl_vision_r1.rewards.answers.tagged import parse_tagged_corners, parse_tagged_text
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.releases import visual_rft
from verl_vision_r1.rewards.scoring import Scores, TaskRules, WeightedCriterion, score_completion
from verl_vision_r1.targets import Target

RUBBISH: Final = "#"
SLACK: Final = 1e-3
"""What a score may lack for a perfect answer: the releases count in float32."""
FINEST: Final = 1e-4
"""Step of the coordinates in a frame of 1 by 1; in any other frame they are whole numbers."""
TEXTS: Final = (parse_tagged_text, parse_tagged_text_strictly, parse_tagged_corners, visual_rft.parse_text)
"""The parsers that read what stands between tags."""
SIDE: Final = attacks.SIDE
SCENES: Final = {
    "detection": attacks.target(),
    "grounding": Target([attacks.BOXES[0]], ["the cat"], SIDE, SIDE, task="grounding"),  # type: ignore[arg-type]
    "classification": Target([], ["garden phlox"], SIDE, SIDE, task="classification"),  # type: ignore[arg-type]
    "counting": Target([], [], SIDE, SIDE, task="counting", count=3),  # type: ignore[arg-type]
}
"""What is scored where no run brings rows."""

Sample = tuple[Target, Size]
"""A target, and the size of its image as the model sees it."""


@check("sample", "look at the criteria that are named, at vision_r1.frame, and at the frame that the rewards expect")
def sample(case: Case) -> str:
    """A perfect answer to the run's own rows, or to scenes made here, earns the maximum, and rubbish less."""
    found = [line for name in need(case.presets, "rewards") for line in _try(case, name)]
    return "; ".join(found) if case.overrides else f"the maximum for {len(found)} tasks of {len(case.presets)} presets"


def _try(case: Case, name: str) -> Iterator[str]:
    preset = case.presets[name]
    for target, resized in _samples(case):
        if case.overrides or target.task in preset.tasks:
            rules = preset.rules_of(target)
            frame = frame_size(rules.frame or case.frame or "resized_pixels", resized)
            yield _judge(name, target, rules, frame, _stage(case))


def _stage(case: Case) -> Stage:
    return case.settings.curriculum.stages[-1] if case.settings else OFF


def _samples(case: Case) -> list[Sample]:
    """Of each task one."""
    if not case.overrides:
        return [(target, (SIDE, SIDE)) for target in SCENES.values()]
    side, bounds = side_of(case.processor) or PATCH, None
    if case.processor:
        bounds = processor_bounds(case.processor, case.run.data.mm_processor_kwargs)
    samples: dict[str, Sample] = {}
    for _, row, target in first_rows(case.run):
        # Of an image without objects the releases pay more for a wrong form: that is not what is asked here.
        if target.task not in samples and (target.instances or target.task == "classification"):
            size = smart_resize(target.width, target.height, side, *narrowed(row["images"][0], bounds))
            samples[target.task] = target, size
    if not samples:
        raise SkippedError("none of the first rows has an object in it")
    return list(samples.values())


def _judge(name: str, target: Target, rules: TaskRules, frame: Size, stage: Stage) -> str:
    boxes = _on_the_grid(target, frame)
    text = perfect_answer(target, rules, boxes)
    rubbish = score_completion(RUBBISH, target, rules, frame, stage)
    if text is None:
        return f"{target.task}: {rubbish.total:.3g} for rubbish; no perfect answer is known for a parser of your own"
    perfect = score_completion(text, _as_spelled(target, boxes, frame), rules, frame, stage)
    most = 1.0 if rules.total == "mean" else math.fsum(item.weight for item in rules.criteria)
    line = f"{target.task}: {perfect.total:.3g} of {most:.3g} for a perfect answer, {rubbish.total:.3g} for rubbish"
    if wrong := list(_wrong(perfect, rubbish, rules)):
        raise FailedError(f"{name}: {line}: {', '.join(wrong)}")
    return line


def _wrong(perfect: Scores, rubbish: Scores, rules: TaskRules) -> Iterator[str]:
    if perfect.flags["criterion_failed"]:
        yield "a criterion raised"
    if not perfect.total > rubbish.total:
        yield "the perfect answer is worth no more"
    for item in rules.criteria:
        # Of a criterion of one's own nobody knows how much is its all.
        if item.weight and _of_package(item) and perfect.parts[item.name] < 1 - SLACK:
            yield f"{item.name} is {perfect.parts[item.name]:.3f}, expected 1"


def _of_package(item: WeightedCriterion) -> bool:
    function = getattr(item.function, "func", item.function)
    return str(getattr(function, "__module__", "")).startswith("verl_vision_r1.")


def perfect_answer(target: Target, rules: TaskRules, boxes: Boxes) -> str | None:
    """What a perfect model would write for these rules.

    Args:
        target: What is in the image.
        rules: They say how an answer is read.
        boxes: (M, 4) `xyxy` in units of the frame that the model answers in, as an answer can spell them.

    Returns:
        The text, or None for a parser that does not come with the package.

    Example:
        >>> from verl_vision_r1.rewards.presets import load_preset
        >>> rules = load_preset("visual_rft").tasks["grounding"]
        >>> perfect_answer(SCENES["grounding"], rules, SCENES["grounding"].boxes)
        '<think> </think> <answer>(100,80),(340,360)</answer>'
    """
    parser = getattr(rules.parser, "func", rules.parser)
    rows = [tuple(int(x) if x == int(x) else float(x) for x in box) for box in boxes.tolist()]
    if parser in attacks.FORMS and target.task in ("detection", "grounding"):
        return attacks.FORMS[parser].answer(list(zip(rows, target.labels, strict=True)))  # type: ignore[arg-type]
    if parser not in TEXTS:
        return None
    corners = "({},{}),({},{})".format
    content = corners(*rows[0]) if rows else target.labels[0] if target.labels else target.instances
    return f"<think> </think> <answer>{content}</answer>"


def _on_the_grid(target: Target, frame: Size) -> Boxes:
    """(M, 4) the boxes in units of the frame, moved to numbers that an answer can spell."""
    step = 1.0 if min(frame) > 1 else FINEST
    boxes = to_frame(target.boxes, (target.width, target.height), frame) / step
    low = np.minimum(np.rint(boxes[:, :2]), np.array(frame) / step - 1)
    high = np.maximum(np.rint(boxes[:, 2:]), low + 1)
    grid: Boxes = np.hstack([low, high]) * step
    return grid if step == 1 else grid.round(4)


def _as_spelled(target: Target, boxes: Boxes, frame: Size) -> Target:
    """The target with those boxes, so that rounding costs nothing and only a mistake can."""
    size = (target.width, target.height)
    return replace(target, boxes=np.clip(to_frame(boxes, frame, size), 0, np.tile(size, 2)))


CHECKS: Final = (sample,)
