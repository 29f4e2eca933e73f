"""From the text of a completion to an `Answer`. Nothing here raises, whatever the text holds.

`PARSERS` names those that a configuration can use without giving a function of its own.
"""

from collections.abc import Callable
from typing import Final

from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers.answer import Answer, wants_special_tokens
from verl_vision_r1.rewards.answers.glm_boxes import parse_glm_boxes
from verl_vision_r1.rewards.answers.json_boxes import parse_json_boxes, write_json_boxes
from verl_vision_r1.rewards.answers.marked_boxes import parse_marked_boxes
from verl_vision_r1.rewards.answers.points import parse_points
from verl_vision_r1.rewards.answers.robust_boxes import parse_robust_boxes
from verl_vision_r1.rewards.answers.tagged import (
    parse_tagged_boxes,
    parse_tagged_corners,
    parse_tagged_text,
    parse_tagged_text_strictly,
)

__all__ = ["PARSERS", "Answer", "Parser", "parse_json_boxes", "wants_special_tokens", "write_json_boxes"]

Parser = Callable[[str, Size], Answer]
"""(completion, size of the frame that the model answers in) -> answer."""

PARSERS: Final[dict[str, Parser]] = {
    "json_boxes": parse_json_boxes,
    "robust_boxes": parse_robust_boxes,
    "marked_boxes": parse_marked_boxes,
    "glm_boxes": parse_glm_boxes,
    "points": parse_points,
    "tagged_boxes": parse_tagged_boxes,
    "tagged_corners": parse_tagged_corners,
    "tagged_text": parse_tagged_text,
    "tagged_text_strict": parse_tagged_text_strictly,
}
