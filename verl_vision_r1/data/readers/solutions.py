"""Reference answers as text, as VLM-R1 and EasyR1 have them: boxes in JSON, a number, or a class name."""

import json
import re
from typing import Any, Final

from verl_vision_r1.boxes import NO_BOXES, as_boxes
from verl_vision_r1.data.readers.entries import is_name
from verl_vision_r1.data.readers.problems import Reading
from verl_vision_r1.data.readers.samples import read_box
from verl_vision_r1.prompts import PLACEHOLDERS
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

ANSWER: Final = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
FENCE: Final = re.compile(r"```(?:json)?(.*?)```", re.DOTALL)
NUMBER: Final = re.compile(r"[0-9]{1,9}(\.0+)?")
BOX_KEYS: Final = ("bbox_2d", "bbox", "box")
LABEL_KEYS: Final = ("label", "ref", "category")

SENTENCE: Final = re.compile(r"the region this sentence describes: (.+?)\.?\s*(?:First output|Output|$)", re.DOTALL)
"""VLM-R1's question for a referring expression; the group is the expression."""


def target_of(solution: Any, question: str, size: tuple[int, int], where: str, reading: Reading) -> Target:
    """The ground truth that a reference answer stands for.

    Args:
        solution: A box `[x1, y1, x2, y2]` in pixels, or a list of them: grounding. Objects with a box (`bbox_2d`) and
            a `label`: detection. A whole number: counting. Other text: the class of the image. Any of these may be
            text, in `<answer>` or in a code fence. The ground truth of our samples is accepted as it is.
        question: The question, which names the expression to ground.
        size: Width and height of the image in pixels.
        where: Location for error messages.
        reading: The account of the reader.

    Raises:
        ValueError: It is none of these, or a box is invalid.
    """
    value = _parsed(solution)
    if is_ours(value):
        return _ours(value, size, where)
    if isinstance(value, str) and NUMBER.fullmatch(value):
        value = int(float(value))
    if type(value) is int or (type(value) is float and value.is_integer()):
        return Target(NO_BOXES, (), *size, task="counting", count=int(value))
    if isinstance(value, str):
        if not is_name(value):
            raise ValueError(f"{where}: expected a reference answer, got {shown(solution)}")
        return Target(NO_BOXES, (value,), *size, task="classification")
    return _boxes(value, question, size, where, reading)


def is_ours(solution: Any) -> bool:
    """Whether a reference answer is the ground truth of one of our samples, as `vision-r1 convert` writes it."""
    value = _parsed(solution)
    return isinstance(value, dict) and {"task", "boxes", "labels"} <= value.keys()


def _parsed(solution: Any) -> Any:
    if not isinstance(solution, str):
        return solution
    found = ANSWER.search(solution)
    text = found[1] if found else solution
    fenced = FENCE.search(text)
    text = (fenced[1] if fenced else text).strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _ours(fields: dict[str, Any], size: tuple[int, int], where: str) -> Target:
    target = Target.from_json(json.dumps(fields))
    if (target.width, target.height) != size:
        raise ValueError(f"{where}: expected a ground truth for {size[0]}x{size[1]} pixels, got {shown(fields)}")
    return target


def _boxes(value: Any, question: str, size: tuple[int, int], where: str, reading: Reading) -> Target:
    items = value if isinstance(value, list) and not _is_box(value) else [value]
    if all(isinstance(item, dict) for item in items) and (items or value == []):
        found = [(_first(item, BOX_KEYS), _first(item, LABEL_KEYS)) for item in items]
        if any(label is not None for _, label in found) or not found:
            boxes = [read_box(box, size, where, reading) for box, _ in found]
            if not all(isinstance(label, str) and is_name(label) for _, label in found):
                raise ValueError(f"{where}: expected a label for each box, got {shown(value)}")
            return Target(as_boxes(boxes), tuple(label for _, label in found), *size)
        items = [box for box, _ in found]
    boxes = [read_box(box, size, where, reading) for box in items]
    expression = expression_of(question)
    return Target(as_boxes(boxes), (expression,) * len(boxes), *size, task="grounding")


def _is_box(value: list[Any]) -> bool:
    return len(value) == 4 and not any(isinstance(side, list | dict) for side in value)


def _first(item: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((item[key] for key in keys if key in item), None)


def expression_of(question: str) -> str:
    """What a question for one object describes: the sentence of VLM-R1's template, or else the whole question.

    Example:
        >>> expression_of("Please provide the bounding box coordinate of the region this sentence describes: red car.")
        'red car'
    """
    found = SENTENCE.search(question)
    return found[1].strip() if found else " ".join(question.split())[:200]


def question_of(text: Any, where: str) -> str:
    """The text of a question about one image, without the placeholder of the image.

    Raises:
        ValueError: It is not text, is blank, or is about several images.
    """
    if not isinstance(text, str):
        raise ValueError(f"{where}: expected a question, got {shown(text)}")
    question = text.replace("<image>", "", 1).strip()
    if not question or any(placeholder in question for placeholder in PLACEHOLDERS):
        raise ValueError(f"{where}: expected a question about one image, got {shown(text)}")
    return question
