"""Answers as the preset `robust` reads them: what is well-formed counts, what can be saved is told apart."""

import re
from dataclasses import replace
from typing import Any, Final

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers.answer import Answer
from verl_vision_r1.rewards.answers.json_boxes import Labels, coordinates_of, decode_value, keep_boxes, read_json_boxes
from verl_vision_r1.rewards.answers.tagged import parse_tagged_text

TAGS: Final = ("<think>", "</think>", "<answer>", "</answer>")
FLAT_OBJECT: Final = re.compile(r"\{[^{}]*\}")


def parse_json_boxes_strictly(completion: str, frame: Size) -> Answer:
    """Read JSON boxes like `parse_json_boxes`, with a last resort that has no room for tricks.

    Where the text is no list of boxes, every item anywhere in it counts, however spelled and whichever of several
    lists it stands in: who gives two answers gives the sum of both.

    Args:
        completion: The text of one completion.
        frame: (width, height) of the frame that the model answers in.

    Returns:
        The answer; its boxes are in units of `frame`.

    Source:
        This project.

    Example:
        >>> answer = parse_json_boxes_strictly('I see {"label": "cat", "bbox_2d": [1, 2.5, 30, 40]}.', (100, 100))
        >>> answer.boxes.tolist(), answer.well_formed
        ([[1.0, 2.5, 30.0, 40.0]], False)
    """
    return read_json_boxes(completion, frame, _any_spelling)


def parse_tagged_text_strictly(completion: str, frame: Size) -> Answer:
    """Read the text between the answer tags like `parse_tagged_text`; well-formed only if every tag stands once.

    Source:
        This project.

    Example:
        >>> parse_tagged_text_strictly("<think></think><answer>a</answer><answer>b</answer>", (1, 1)).well_formed
        False
    """
    answer = parse_tagged_text(completion, frame)
    return replace(answer, well_formed=answer.well_formed and all(completion.count(tag) == 1 for tag in TAGS))


def _any_spelling(completion: str) -> tuple[Boxes, Labels]:
    rows: list[list[float]] = []
    labels: Labels = []
    for found in FLAT_OBJECT.findall(completion):
        item = _item(found) if '"bbox_2d"' in found else {}
        coordinates = coordinates_of(item.get("bbox_2d"))
        if coordinates is not None:
            label = item.get("label")
            rows.append(coordinates)
            labels.append(label if isinstance(label, str) else None)
    return keep_boxes(rows, labels)


def _item(text: str) -> dict[str, Any]:
    try:
        item: dict[str, Any] = decode_value(text)[0]
    except (ValueError, RecursionError):
        return {}
    return item
