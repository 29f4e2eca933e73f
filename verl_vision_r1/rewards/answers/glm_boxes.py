"""Boxes between special tokens, `<|begin_of_box|>[[1, 2, 3, 4]]<|end_of_box|>`: the form of GLM-V models."""

import re
from dataclasses import replace
from typing import Final

from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers.answer import Answer, are_fractions, fit, reads_special_tokens
from verl_vision_r1.rewards.answers.json_boxes import keep_boxes, read_json_boxes, without_end_tokens
from verl_vision_r1.rewards.answers.marked_boxes import NUMBER
from verl_vision_r1.rewards.answers.spans import unwrap

QUADRUPLE: Final = re.compile(rf"[\[(<{{]{NUMBER},{NUMBER},{NUMBER},{NUMBER}[\])>}}]")
"""A box in any brackets: its makers say that the brackets vary."""


@reads_special_tokens
def parse_glm_boxes(completion: str, frame: Size) -> Answer:
    """Read boxes without labels: a list of them, or JSON items whose labels are ignored.

    Args:
        completion: The text of one completion, with its special tokens.
        frame: (width, height) of the frame that the model answers in, 1000 by 1000 for GLM-V.

    Returns:
        The answer; its boxes are in units of `frame`. Well-formed is one pair of `<|begin_of_box|>` and
        `<|end_of_box|>` around a list of boxes, in a sentence or alone; a thinking block may stand before.

    Source:
        The model cards of GLM-4.1V and GLM-4.5V.

    Example:
        >>> text = "The cats are at <|begin_of_box|>[[1, 2, 30, 40], [5, 6, 70, 80]]<|end_of_box|>."
        >>> answer = parse_glm_boxes(text, (1000, 1000))
        >>> answer.boxes.tolist(), answer.well_formed
        ([[1.0, 2.0, 30.0, 40.0], [5.0, 6.0, 70.0, 80.0]], True)
    """
    text = without_end_tokens(completion)
    inner, marked = unwrap(text)
    answer = read_json_boxes(completion, inner, text, frame, grounding=True, bare_form=True)
    if not len(answer.boxes) and not answer.malformed:
        answer = _in_other_brackets(answer, inner)
    exact = answer.as_asked and marked
    return replace(answer, labels=(), as_asked=exact, well_formed=exact and answer.well_formed)


def _in_other_brackets(answer: Answer, text: str) -> Answer:
    rows = [[float(corner) for corner in found.groups()] for found in QUADRUPLE.finditer(text)]
    if not rows:
        return answer
    boxes, _ = keep_boxes(rows, [None] * len(rows))
    boxes, outside = fit(boxes, answer.frame)
    exact = len(boxes) == len(rows) and not QUADRUPLE.sub("", text).strip(" \t\r\n,;()<>[]{}")
    return replace(
        answer,
        boxes=boxes,
        as_asked=exact,
        well_formed=exact and not outside,
        parsed=True,
        out_of_frame=outside or are_fractions(boxes, answer.frame),
        malformed=len(rows) - len(boxes),
        form="bare boxes",
    )
