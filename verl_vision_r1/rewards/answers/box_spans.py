"""Where the boxes of a completion stand in its text."""

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.frames import in_axes_of
from verl_vision_r1.rewards.answers.answer import Answer

Span = tuple[int, int]
"""First character, and the one after the last."""

NUMBER: Final = re.compile(r"(?<![\w.])-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""A number that is not a part of a name, as the 1 of `x1="30"` is."""
DIGITS: Final = 4
"""Decimals to which a number in the text equals a coordinate: Molmo's are percentages, which the parser converts."""
PERCENT: Final = 100.0


def box_spans(text: str, answer: Answer) -> list[tuple[Span, ...]]:
    """The characters of each box: from its first coordinate to its last, and its label.

    The coordinates are the last ones in the text with these values, in the order of the boxes: a thinking block before
    the answer may contain the same numbers. A label that several boxes share belongs to the one next to it.

    Args:
        text: The completion.
        answer: The parsed completion.

    Returns:
        For each of the N boxes, or points, the span of its coordinates, then that of its label if it has one. Empty if
        the coordinates are not found: the parser has cut them to the frame.

    Example:
        >>> from verl_vision_r1.rewards.answers.json_boxes import parse_json_boxes
        >>> text = '[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}]'
        >>> [[text[slice(*span)] for span in spans] for spans in box_spans(text, parse_json_boxes(text, (100, 100)))]
        [['1, 2, 30, 40', 'cat']]
    """
    places = _coordinates(text, answer)
    labels = answer.labels or (None,) * len(places)
    after = _labels_follow(text, places, labels)
    spans = list[tuple[Span, ...]]()
    starts = [*(place[0] for place in places if place), len(text)]
    end = number = 0
    for place, label in zip(places, labels, strict=True):
        if place is None:
            spans.append(())
            continue
        number += 1
        window = (place[1], starts[number]) if after else (end, place[0])
        found = _find(text, label, window, last=not after)
        spans.append((place, found) if found else (place,))
        end = place[1]
    return spans


def _coordinates(text: str, answer: Answer) -> list[Span | None]:
    """The span of the coordinates of each box, from the last box to the first."""
    numbers = list(NUMBER.finditer(text))
    values = [round(float(number.group()), DIGITS) for number in numbers]
    written = _as_written(answer)
    width = 2 if _are_points(answer.boxes) else 4
    places: dict[tuple[float, ...], list[int]] = {}
    for first in range(len(values) - width + 1):
        places.setdefault(tuple(values[first : first + width]), []).append(first)
    spans: list[Span | None] = [None] * len(written)
    limit = len(values)
    for box in range(len(written) - 1, -1, -1):
        same = places.get(tuple(written[box][:width]), [])
        number = bisect_right(same, limit - width) - 1
        if number >= 0:
            limit = same[number]
            spans[box] = numbers[limit].start(), numbers[limit + width - 1].end()
    return spans


def _as_written(answer: Answer) -> list[list[float]]:
    """The coordinates in the order and the unit of the text."""
    boxes = in_axes_of(answer.frame, answer.boxes)
    if answer.form == "point tags":
        width, height = answer.frame
        boxes = boxes / [width, height, width, height] * PERCENT
    rows: list[list[float]] = boxes.round(DIGITS).tolist()
    return rows


def _are_points(boxes: Boxes) -> bool:
    return len(boxes) > 0 and bool((boxes[:, :2] == boxes[:, 2:]).all())


def _labels_follow(text: str, places: Sequence[Span | None], labels: Sequence[str | None]) -> bool:
    """Whether a label stands after its box: then the last one does."""
    for place, label in zip(reversed(places), reversed(labels), strict=True):
        if place and label:
            return _find(text, label, (place[1], len(text))) is not None
    return True


def _find(text: str, label: str | None, window: Span, last: bool = False) -> Span | None:
    """The first or last occurrence of a label, as it is or as JSON writes it."""
    for written in dict.fromkeys((label, json.dumps(label)[1:-1])) if label else ():
        start = (text.rfind if last else text.find)(written, *window)
        if start >= 0:
            return start, start + len(written)
    return None
