"""The formats in which models answer, by parser, and the correct completion for a target in each of them."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.frames import Size, YFirst, in_axes_of, to_frame
from verl_vision_r1.rewards.answers import Parser, parse_json_boxes
from verl_vision_r1.rewards.answers.glm_boxes import parse_glm_boxes
from verl_vision_r1.rewards.answers.json_boxes import demanded_key
from verl_vision_r1.rewards.answers.marked_boxes import parse_marked_boxes
from verl_vision_r1.rewards.answers.points import parse_points
from verl_vision_r1.rewards.answers.robust_boxes import parse_robust_boxes
from verl_vision_r1.rewards.answers.spans import BOX_MARKS
from verl_vision_r1.rewards.answers.tagged import (
    parse_tagged_boxes,
    parse_tagged_corners,
    parse_tagged_text,
    parse_tagged_text_strictly,
)
from verl_vision_r1.rewards.releases import vision_r1, visual_rft, vlm_r1
from verl_vision_r1.targets import Target

Box = tuple[float, float, float, float]
Item = tuple[Box, str | None]
"""A box and its label; None for no label."""
STEP: Final = 1e-4
"""Step of the coordinates in a frame of 1 by 1; in any other frame they are whole numbers."""
TAGGED: Final = (parse_tagged_text, parse_tagged_text_strictly, parse_tagged_corners, visual_rft.parse_text)
"""The parsers that read the text between `<answer>` tags."""


@dataclass(frozen=True)
class Form:
    """The output format that a preset parses.

    Attributes:
        item: Writes one box with its label (None for no label); a form of points writes its centre.
        whole: Writes the completion around the list.
        labels: Whether the format has labels.
    """

    item: Callable[[Box, str | None], str]
    whole: Callable[[str], str]
    labels: bool = True

    def answer(self, items: Iterable[Item]) -> str:
        """A completion with these items, one per line."""
        return self.whole(self.list(items))

    def list(self, items: Iterable[Item]) -> str:
        """The list of these items."""
        return "[\n\t" + ",\n\t".join(self.item(*item) for item in items) + "\n]" if items else "[]"


def _json_item(box: Box, label: str | None) -> str:
    return json.dumps({"bbox_2d": list(box)} | ({} if label is None else {"label": label}))


def _y_first_item(box: Box, label: str | None) -> str:
    return json.dumps({demanded_key(YFirst((1, 1))): list(box)} | ({} if label is None else {"label": label}))


def _marked(box: Box, label: str | None) -> str:
    x1, y1, x2, y2 = map(json.dumps, box)
    name = "" if label is None else f"<|object_ref_start|>{label}<|object_ref_end|>"
    return f"{name}<|box_start|>({x1},{y1}),({x2},{y2})<|box_end|>"


def _position(box: Box, label: str | None) -> str:
    return f"{{'Position': {json.dumps(list(box))}, 'Confidence': 1}}"


def _json_point(box: Box, label: str | None) -> str:
    centre = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    place = [int(x) if math.isfinite(x) and x == int(x) else x for x in centre]
    return json.dumps({"point_2d": place} | ({} if label is None else {"label": label}))


JSON_FORM: Final = Form(_json_item, "```json\n{}\n```".format)
Y_FIRST_FORM: Final = Form(_y_first_item, JSON_FORM.whole)
POINT_FORM: Final = Form(_json_point, JSON_FORM.whole)
GLM_FORM: Final = Form(lambda box, label: json.dumps(list(box)), "{}".join(BOX_MARKS).format, labels=False)
MARKED_FORM: Final = Form(_marked, lambda text: text[1:-1].replace(",\n\t", "").strip())
TAGGED_FORM: Final = Form(
    _position, lambda text: "<think> </think> <answer>{}</answer>".format(" ".join(text.split())), labels=False
)
TAGGED_JSON_FORM: Final = Form(_json_item, "<think> </think> <answer>```json\n{}\n```</answer>".format)
FORMS: Final[dict[Parser, Form]] = {
    parse_json_boxes: JSON_FORM,
    parse_robust_boxes: JSON_FORM,
    vision_r1.parse: JSON_FORM,
    parse_points: POINT_FORM,
    parse_glm_boxes: GLM_FORM,
    parse_marked_boxes: MARKED_FORM,
    parse_tagged_boxes: TAGGED_FORM,
    visual_rft.parse_boxes: TAGGED_FORM,
    vlm_r1.parse: TAGGED_JSON_FORM,
}


def form_of(parser: Parser, frame: Size = (1.0, 1.0)) -> Form | None:
    """The format that a parser reads in a frame, whatever its options; None for a custom parser."""
    form = FORMS.get(getattr(parser, "func", parser))
    return Y_FIRST_FORM if form is JSON_FORM and isinstance(frame, YFirst) else form


def correct_completion(target: Target, parser: Parser, boxes: Boxes, frame: Size = (1.0, 1.0)) -> str | None:
    """A completion with the ground truth, in the format that a parser reads.

    Args:
        target: The ground truth.
        parser: A parser of `answers` or `releases`, with any options.
        boxes: (M, 4) `xyxy` of the target in units of the model's frame, from `rounded_boxes`.
        frame: That frame, if its axes have another order.

    Returns:
        The completion, or None for a custom parser.

    Example:
        >>> target = Target([[100, 80, 340, 360]], ["the cat"], 1000, 1000, task="grounding")
        >>> correct_completion(target, parse_tagged_corners, target.boxes)
        '<think> </think> <answer>(100,80),(340,360)</answer>'
    """
    rows = [tuple(int(x) if x == int(x) else float(x) for x in box) for box in in_axes_of(frame, boxes).tolist()]
    form = form_of(parser, frame)
    if form and target.task in ("detection", "grounding", "pointing"):
        return form.answer(list(zip(rows, target.labels, strict=True)))  # type: ignore[arg-type]
    if getattr(parser, "func", parser) not in TAGGED:
        return None
    corners = "({},{}),({},{})".format
    content = corners(*rows[0]) if rows else target.labels[0] if target.labels else target.instances
    return f"<think> </think> <answer>{content}</answer>"


def rounded_boxes(target: Target, frame: Size) -> Boxes:
    """The boxes of a target in a model's frame, rounded to numbers that a completion can have.

    Args:
        target: The ground truth.
        frame: (width, height) of the frame in its own units.

    Returns:
        (M, 4) `xyxy` in units of the frame, each at least one step wide and high; for pointing, the middle of each
        target as a box without area.
    """
    step = 1.0 if min(frame) > 1 else STEP
    if target.task == "pointing":
        middles = target.regions.middles()[0]
        points = to_frame(np.hstack([middles, middles]), (target.width, target.height), frame)
        return (np.rint(points / step) * step).round(4)
    boxes = to_frame(target.boxes, (target.width, target.height), frame) / step
    low = np.minimum(np.rint(boxes[:, :2]), np.array(frame) / step - 1)
    high = np.maximum(np.rint(boxes[:, 2:]), low + 1)
    rounded: Boxes = np.hstack([low, high]) * step
    return rounded if step == 1 else rounded.round(4)
