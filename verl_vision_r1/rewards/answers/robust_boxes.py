"""JSON boxes as the preset `robust` reads them: the same boxes, another idea of the demanded form."""

import json
from dataclasses import replace
from typing import Any, Final

import numpy as np

from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers.answer import Answer, reads_special_tokens
from verl_vision_r1.rewards.answers.json_boxes import demanded_key, read_json_boxes, without_end_tokens
from verl_vision_r1.rewards.answers.spans import unwrap

UNIT: Final = 0.001
"""One unit of a frame of 1 by 1, as a fraction of it; of any other frame it is 1."""


@reads_special_tokens
def parse_robust_boxes(completion: str, frame: Size, *, grounding: bool = False) -> Answer:
    """Read the boxes that `parse_json_boxes` reads, with a form that suits thinking models and has no loopholes.

    A thinking block before the boxes, answer tags and GLM's box marks around them belong to the form; a chat template
    may have opened the thinking block already. A key that stands twice in an object is not well-formed. A box that
    leaves the frame by at most one unit is no fault; any other is cut at the frame and costs the form alone.

    Args:
        completion: The text of one completion.
        frame: (width, height) of the frame that the model answers in.
        grounding: As in `parse_json_boxes`.

    Returns:
        The answer; its boxes are in units of `frame` and lie within it.

    Source:
        This project.

    Example:
        >>> answer = parse_robust_boxes('A cat.</think>[{"bbox_2d": [1, 2, 30, 101], "label": "cat"}]', (100, 100))
        >>> answer.boxes.tolist(), answer.well_formed
        ([[1.0, 2.0, 30.0, 100.0]], True)
    """
    text = without_end_tokens(completion)
    inner, marked = unwrap(text)
    answer = _within(read_json_boxes(completion, inner, text, frame, grounding, marked))
    if answer.as_asked and _repeats_a_key(inner, demanded_key(frame), len(answer.boxes)):
        return replace(answer, as_asked=False, well_formed=False)
    return answer


def _within(answer: Answer) -> Answer:
    """The answer with its boxes cut at the frame; a box outside it is none."""
    width, height = answer.frame
    boxes = np.clip(answer.boxes, 0.0, [width, height, width, height])
    beyond = float(np.abs(boxes - answer.boxes).max(initial=0.0))
    if not beyond:
        return answer
    keep = (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    return replace(
        answer,
        boxes=boxes[keep],
        labels=tuple(label for label, kept in zip(answer.labels, keep.tolist(), strict=True) if kept),
        well_formed=answer.as_asked and beyond <= (1.0 if max(answer.frame) > 1 else UNIT),
        malformed=answer.malformed + int((~keep).sum()),
    )


def _repeats_a_key(text: str, key: str, boxes: int) -> bool:
    """Whether a key stands twice in an object. Only a text that has a key more often than boxes is decoded again."""
    if text.count(f'"{key}"') == text.count('"label"') == boxes:
        return False
    repeated = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        repeated = repeated or len(dict(pairs)) < len(pairs)

    start = min((place for place in map(text.find, "[{") if place >= 0), default=0)
    try:
        json.JSONDecoder(object_pairs_hook=look).raw_decode(text, start)
    except (ValueError, RecursionError):
        return False
    return repeated
