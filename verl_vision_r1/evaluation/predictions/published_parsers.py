"""Parsers of the published evaluations, bugs included. None of them raises, whatever the completion.

The parsers of rewards are in `rewards/answers`. A box may have swapped corners: then it is a prediction that overlaps
nothing.
"""

import ast
import warnings
from dataclasses import replace
from typing import Any, Final

import numpy as np

from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers import Answer, parse_json_boxes
from verl_vision_r1.rewards.answers.answer import fit
from verl_vision_r1.rewards.answers.marked_boxes import MARK, parse_marked_boxes
from verl_vision_r1.rewards.answers.tagged import NOTHING, answer_content, parse_tagged_boxes, parse_tagged_corners
from verl_vision_r1.rewards.releases import visual_rft

FENCE: Final = "```"
LONGEST: Final = 200_000
"""Characters of a completion that are parsed: more than 65,536 tokens have."""
LAST: Final = '"}'
"""The end of the last complete item of a list."""


def read_vision_r1(completion: str, frame: Size) -> Answer:
    r"""Parse the list after a line that is exactly ```json, otherwise the whole text, as a Python literal.

    A truncated list is cut after its last `"}`. Items that are not a box with a label are skipped one by one.

    Source:
        Vision-R1, `eval_localization.py` of 2025, for Qwen models.

    Example:
        >>> text = '```json\n[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}, {"bbox_2d": [3'
        >>> answer = read_vision_r1(text, (100, 100))
        >>> answer.boxes.tolist(), answer.labels, answer.truncated
        ([[1.0, 2.0, 30.0, 40.0]], ('cat',), True)
    """
    body = _after_fence(completion)
    items = _literal(body)
    truncated = items is None
    if truncated and LAST in body:
        items = _literal(body[: body.rfind(LAST) + len(LAST)] + "]")
    read = [box for item in _each(items) if (box := _box_and_label(item)) is not None]
    answer = _answer(read, completion, frame, parsed=isinstance(items, list | tuple), truncated=truncated)
    return replace(answer, malformed=len(_each(items)) - len(read))


def read_qwen3_vl(completion: str, frame: Size) -> Answer:
    r"""Parse the text after the thinking, without fences, as a Python literal; any error is an empty prediction.

    Source:
        Vision-R1, `eval_qwen3_vl/run_odinw.py` of 2026, which is Qwen3-VL's own.

    Example:
        >>> read_qwen3_vl('```json\n[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}, {"bbox_2d": [3', (9, 9)).parsed
        False
    """
    body = completion.split("</think>")[-1].strip().replace(FENCE + "json", "").replace(FENCE, "")
    items = _literal(body)
    read = [_box_and_label(item) for item in _each(items) if not _is_of_another_length(item)]
    if not isinstance(items, list | tuple) or None in read:
        return Answer(text=completion, frame=frame)
    return _answer([box for box in read if box is not None], completion, frame, parsed=True)


def read_visual_rft(completion: str, frame: Size) -> Answer:
    """Parse boxes as the release does, after removing `, ...`; "No Objects" is an empty prediction.

    A truncated list is parsed up to its last `},` if the tags are closed, otherwise not at all.

    Source:
        Visual-RFT, the evaluation of COCO; its parser is `releases.visual_rft.parse_boxes`.

    Example:
        >>> text = "<answer>[{'Position': [1, 2, 30, 40], 'Confidence': 0.7}, ...]</answer>"
        >>> read_visual_rft(text, (1000, 1000)).confidences.tolist()
        [0.7]
    """
    answer = visual_rft.parse_boxes(completion[:LONGEST].replace(", ...", ""), frame)
    confidences = answer.confidences if answer.confidences is not None else np.zeros(len(answer.boxes))
    finite = np.isfinite(answer.boxes).all(axis=1) & np.isfinite(confidences)
    content = answer_content(completion) or ""
    return replace(
        answer,
        boxes=answer.boxes[finite],
        confidences=confidences[finite],
        parsed=answer.parsed or content.lower() in (NOTHING, "[]"),
        truncated=answer.parsed and not content.endswith("]"),
        malformed=int((~finite).sum()),
        text=completion,
    )


def read_first_corners(completion: str, frame: Size) -> Answer:
    """Parse the first `(x1,y1),(x2,y2)` anywhere in the text.

    Source:
        Visual-RFT, the evaluation of LISA.

    Example:
        >>> read_first_corners("It is at (1,2),(30,40).", (1000, 1000)).boxes.tolist()
        [[1.0, 2.0, 30.0, 40.0]]
    """
    found = visual_rft.CORNERS.search(completion[:LONGEST])
    box = [float(number[:20]) for number in found.groups()] if found else []
    boxes, outside = fit(np.array(box, dtype=np.float64).reshape(-1, 4), frame)
    return Answer(boxes=boxes, parsed=found is not None, out_of_frame=outside, text=completion, frame=frame)


def read_any(completion: str, frame: Size) -> Answer:
    """Parse any supported format: JSON boxes in any text, boxes with confidence, names with boxes, corners of a box.

    Example:
        >>> read_any("<answer>(1,2),(30,40)</answer>", (100, 100)).boxes.tolist()
        [[1.0, 2.0, 30.0, 40.0]]
    """
    completion = completion[:LONGEST]
    parsers = [parse_json_boxes, parse_tagged_boxes, parse_tagged_corners, parse_marked_boxes]
    # Marks first: a list of numbers between them is JSON, without the names.
    if MARK.search(completion):
        parsers = parsers[::-1]
    answers = [parser(completion, frame) for parser in parsers]
    with_boxes = (answer for answer in answers if len(answer.boxes))
    parsed = (answer for answer in answers if answer.parsed)
    return next(with_boxes, next(parsed, answers[0]))


def _after_fence(text: str) -> str:
    lines = text[:LONGEST].splitlines()
    if FENCE + "json" not in lines:
        return text[:LONGEST]
    return "\n".join(lines[lines.index(FENCE + "json") + 1 :]).split(FENCE)[0]


def _literal(text: str) -> Any:
    """The value of a Python literal, None if the text is not one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarning for text such as `1is 2`.
            return ast.literal_eval(text[:LONGEST].strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _each(items: Any) -> list[Any]:
    return list(items) if isinstance(items, list | tuple) else []


def _is_of_another_length(item: Any) -> bool:
    box = item.get("bbox_2d", []) if isinstance(item, dict) else None
    return isinstance(box, list | tuple) and len(box) != 4


def _box_and_label(item: Any) -> tuple[list[float], str] | None:
    if not isinstance(item, dict):
        return None
    box, label = item.get("bbox_2d"), item.get("label")
    if not isinstance(label, str) or not isinstance(box, list | tuple) or len(box) != 4:
        return None
    if not all(type(number) in (int, float) and abs(number) < 1e300 for number in box):
        return None
    return [float(number) for number in box], label


def _answer(
    read: list[tuple[list[float], str]], text: str, frame: Size, *, parsed: bool, truncated: bool = False
) -> Answer:
    boxes, outside = fit(np.array([box for box, _ in read], dtype=np.float64).reshape(-1, 4), frame)
    labels = tuple(label for _, label in read)
    return Answer(boxes, labels, parsed=parsed, truncated=truncated, out_of_frame=outside, text=text, frame=frame)
