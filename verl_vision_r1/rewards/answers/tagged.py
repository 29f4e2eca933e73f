"""Answers between tags, `<think>...</think><answer>...</answer>`: the forms of Visual-RFT.

Of several closed answers the first counts; an answer that is not closed is none. Nothing is repaired and nothing
de-duplicated: that is the released code's, see `releases.visual_rft`.
"""

import json
import math
import re
from dataclasses import replace
from typing import Any, Final

import numpy as np

from verl_vision_r1.boxes import NO_BOXES
from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers.answer import Answer, fit
from verl_vision_r1.rewards.answers.json_boxes import coordinates_of, without_end_tokens
from verl_vision_r1.rewards.answers.json_search import as_float, decode_value
from verl_vision_r1.rewards.answers.spans import ANSWER, THINK, THOUGHT, is_one_thought, spans

JOINT: Final = re.compile(r"</think>\s*<answer>")
OPENING, CLOSING = ANSWER
CORNERS: Final = re.compile(r"\(\s*([0-9]+)\s*,\s*([0-9]+)\s*\)\s*,\s*\(\s*([0-9]+)\s*,\s*([0-9]+)\s*\)")
PYTHON_TOKEN: Final = re.compile(
    r""""(?:[^"\\]|\\.?)*(?:"|\Z)|'(?:[^'\\]|\\.?)*(?:'|\Z)|\b(?:None|True|False)\b""", re.DOTALL
)
JSON_WORD: Final = {"None": "null", "True": "true", "False": "false"}
NOTHING: Final = "no objects"


def parse_tagged_text(completion: str, frame: Size) -> Answer:
    """Read the text between the answer tags: a class name, a number.

    Returns:
        An answer without boxes; `content` is the stripped text, `well_formed` whether the completion, stripped, is one
        thinking block, white space and one answer block.

    Source:
        Visual-RFT (arXiv 2503.01785), section 3.2: classification, and the format reward of every task.

    Example:
        >>> answer = parse_tagged_text("<think>Petals.</think> <answer> garden phlox </answer>", (1000, 1000))
        >>> answer.content, answer.well_formed
        ('garden phlox', True)
    """
    content = answer_content(completion)
    return Answer(
        content=content or "",
        well_formed=has_form(completion.strip()),
        parsed=content is not None,
        truncated=content is None and OPENING in completion,
        text=completion,
        frame=frame,
    )


def parse_tagged_text_strictly(completion: str, frame: Size) -> Answer:
    """Read the text between the answer tags like `parse_tagged_text`; well-formed only if every tag stands once.

    The opening tag of the thinking block may be missing: chat templates of thinking models write it into the prompt.

    Source:
        This project.

    Example:
        >>> parse_tagged_text_strictly("<think></think><answer>a</answer><answer>b</answer>", (1, 1)).well_formed
        False
        >>> parse_tagged_text_strictly("Three.</think><answer>3</answer>", (1, 1)).well_formed
        True
    """
    text = without_end_tokens(completion)
    thought, closed, _ = text.partition(THOUGHT)
    whole = text if text.startswith(THINK) else THINK + text
    once = all(text.count(tag) == 1 for tag in (THOUGHT, *ANSWER))
    return replace(
        parse_tagged_text(completion, frame),
        well_formed=bool(closed) and is_one_thought(thought) and once and has_form(whole),
    )


def parse_tagged_boxes(completion: str, frame: Size) -> Answer:
    """Read a list of `{'Position': [x1, y1, x2, y2], 'Confidence': c}` between the answer tags.

    Single or double quotes. Items that are not of this form are skipped one by one; keys beyond the two are allowed.
    A box without positive area counts as a prediction. A confidence is cut to [0, 1]. `No Objects` is an empty list.

    Args:
        completion: The text of one completion.
        frame: (width, height) of the frame that the model answers in: 1000 by 1000 for the published prompt.

    Returns:
        The answer; its boxes are in units of `frame`. It has no labels: the prompt asks for one category.

    Source:
        Visual-RFT (arXiv 2503.01785), section 3.2 and its prompt table.

    Example:
        >>> text = "<think></think><answer>[{'Position': [1, 2, 30, 40], 'Confidence': 0.9}]</answer>"
        >>> answer = parse_tagged_boxes(text, (1000, 1000))
        >>> answer.boxes.tolist(), answer.confidences.tolist()
        ([[1.0, 2.0, 30.0, 40.0]], [0.9])
    """
    text = parse_tagged_text(completion, frame)
    items = [] if text.content.lower() == NOTHING else _python_list(text.content)
    read = [pair for pair in map(_box_and_confidence, items or []) if pair is not None]
    boxes, outside = fit(np.array([box for box, _ in read], dtype=np.float64).reshape(-1, 4), frame)
    return Answer(
        boxes=boxes,
        confidences=np.clip(np.array([confidence for _, confidence in read], dtype=np.float64), 0.0, 1.0),
        content=text.content,
        well_formed=text.well_formed,
        parsed=items is not None,
        truncated=text.truncated,
        out_of_frame=outside,
        malformed=len(items or []) - len(boxes),
        text=completion,
        frame=frame,
        form="boxes with confidences between answer tags" if items is not None else "",
    )


def parse_tagged_corners(completion: str, frame: Size) -> Answer:
    """Read one box `(x1,y1),(x2,y2)`, whole numbers, between the answer tags; of several the first.

    Args:
        completion: The text of one completion.
        frame: (width, height) of the frame that the model answers in: 1000 by 1000 for the published prompt.

    Returns:
        The answer with at most one box, in units of `frame`, which may be without positive area.

    Source:
        Visual-RFT (arXiv 2503.01785), section 4.4: reasoning grounding.

    Example:
        >>> parse_tagged_corners("<think></think><answer>(1,2),(30,40)</answer>", (1000, 1000)).boxes.tolist()
        [[1.0, 2.0, 30.0, 40.0]]
    """
    text = parse_tagged_text(completion, frame)
    found = CORNERS.search(text.content)
    boxes, outside = fit(np.array([found.groups()], dtype=np.float64), frame) if found else (NO_BOXES, False)
    return Answer(
        boxes=boxes,
        content=text.content,
        well_formed=text.well_formed,
        parsed=found is not None,
        truncated=text.truncated,
        out_of_frame=outside,
        text=completion,
        frame=frame,
    )


def has_form(text: str) -> bool:
    """Whether a text is one thinking block, white space and one answer block, from its first to its last character.

    What the blocks hold does not matter, so this is a search for the joint between two ends: a regular expression
    over the whole would take quadratic time on a text of many half-blocks.

    Example:
        >>> has_form("<think>a</think> <answer>b</answer>"), has_form("<think>a</think> so <answer>b</answer>")
        (True, False)
    """
    if not text.startswith("<think>") or not text.endswith(CLOSING):
        return False
    joint = JOINT.search(text, len("<think>"))
    return joint is not None and joint.end() <= len(text) - len(CLOSING)


def answer_content(completion: str) -> str | None:
    """What stands in the first closed answer, stripped; None without one.

    Example:
        >>> answer_content("<answer> 3 </answer> or <answer>4</answer>"), answer_content("<answer>3")
        ('3', None)
    """
    found = next(spans(completion, OPENING, CLOSING), None)
    return None if found is None else found.strip()


def _python_list(text: str) -> list[Any] | None:
    """A list in the spelling of JSON or of Python; None where the text is anything else."""
    spelled = PYTHON_TOKEN.sub(_json_token, text)
    try:
        document, end = decode_value(spelled)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, list) and not spelled[end:].strip() else None


def _json_token(found: re.Match[str]) -> str:
    token = found.group()
    if token[0] == "'":
        return json.dumps(token[1:-1].replace("\\'", "'"))
    return JSON_WORD.get(token, token)


def _box_and_confidence(item: Any) -> tuple[list[float], float] | None:
    if not isinstance(item, dict):
        return None
    coordinates, confidence = coordinates_of(item.get("Position")), item.get("Confidence")
    if coordinates is None or any(isinstance(part, str) for part in item["Position"]):
        return None
    if isinstance(confidence, bool) or not isinstance(confidence, int | float):
        return None
    if not all(map(math.isfinite, (*coordinates, as_float(confidence)))):
        return None
    return coordinates, as_float(confidence)
