"""A JSON list of `{"bbox_2d": [x1, y1, x2, y2], "label": "..."}`, fenced or bare: the answer of Qwen-VL models."""

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from verl_vision_r1.boxes import NO_BOXES, Boxes
from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers.answer import Answer, fit

FENCE: Final = "```"
EXACT_ITEM: Final = re.compile(
    r'\{"bbox_2d": \[([0-9]{1,3}|1000), ([0-9]{1,3}|1000), ([0-9]{1,3}|1000), ([0-9]{1,3}|1000)\], '
    r'"label": "([^"]*)"\}'
)
LINE_END: Final = re.compile(r"\r\n|\r|\n")

Labels = list[str | None]
LastResort = Callable[[str], tuple[Boxes, Labels]]


def parse_json_boxes(completion: str, frame: Size) -> Answer:
    """Read a JSON list of `{"bbox_2d": [x1, y1, x2, y2], "label": "..."}`, fenced or bare.

    Items that are no box are skipped one by one. Where no box is left, a search of the whole text for the exact
    spelling of an item is the last resort, as in the released code. Coordinates stay floats, which the release cuts.

    Args:
        completion: The text of one completion.
        frame: (width, height) of the frame that the model answers in.

    Returns:
        The answer; its boxes are in units of `frame`.

    Source:
        Vision-R1 (arXiv 2503.18013), section 3.2: Eq. 3 for the boxes, Eq. 4 for `well_formed`.

    Example:
        >>> answer = parse_json_boxes('[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}]', frame=(100, 100))
        >>> answer.boxes.tolist(), answer.labels, answer.well_formed
        ([[1.0, 2.0, 30.0, 40.0]], ('cat',), True)
    """
    return read_json_boxes(completion, frame, _exact_spelling)


def read_json_boxes(completion: str, frame: Size, last_resort: LastResort) -> Answer:
    """What the parsers of JSON boxes share; they differ in where they look when there is no list of boxes."""
    body, opened = _after_fence(completion.strip())
    document, rest = _decode(body)
    is_list = isinstance(document, list)
    items: list[Any] = document if is_list else []
    boxes, labels, exact = _read_items(items, body)
    closed = rest.strip() == (FENCE if opened else "")
    if not len(boxes):
        boxes, labels = last_resort(completion)
    boxes, outside = fit(boxes, frame)
    return Answer(
        boxes=boxes,
        labels=tuple(labels),
        well_formed=is_list and exact and closed and not outside,
        parsed=is_list or len(boxes) > 0,
        truncated=document is None and body[:1] in ("[", "{") and not body.rstrip("` \r\n\t").endswith("]"),
        out_of_frame=outside,
        malformed=max(len(items) - len(boxes), 0),
        text=completion,
        frame=frame,
    )


def _after_fence(text: str) -> tuple[str, bool]:
    """The text after an opening json fence, and whether there was one."""
    if not text.startswith(FENCE + "json"):
        return text, False
    body = text[len(FENCE) + 4 :]
    first, *rest = LINE_END.split(body, maxsplit=1)
    if rest and first.strip() and first.lstrip()[0] not in "[{":
        return rest[0].lstrip(), False  # Another tag, such as json5: read like the release does, but not well-formed.
    return body.lstrip(), True


def _decode(body: str) -> tuple[Any, str]:
    """The JSON value that a text begins with and what follows it; (None, "") unless that is nothing or a fence."""
    try:
        document, end = decode_value(body)
    except (ValueError, RecursionError):
        return None, ""
    rest = body[end:].lstrip()
    return (document, rest) if not rest or rest.startswith(FENCE) else (None, "")


def decode_value(body: str) -> tuple[Any, int]:
    """The JSON value that a text begins with, and where it ends.

    Raises:
        ValueError, RecursionError: The text does not begin with a JSON value, or with one too deeply nested.
    """
    try:
        return DECODER.raw_decode(body)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python refuses integers of more than 4,300 digits: only here the slow decoder, which takes them for infinite.
        return LONG_INTEGER_DECODER.raw_decode(body)


DECODER: Final = json.JSONDecoder()
LONG_INTEGER_DECODER: Final = json.JSONDecoder(parse_int=lambda digits: float(digits))


def _read_items(items: list[Any], body: str) -> tuple[Boxes, Labels, bool]:
    """Boxes and labels of the items that are a box, and whether all of them are exactly what was asked for.

    An answer as it should be is read at once; anything else goes item by item.
    """
    if not items:
        return NO_BOXES, [], True
    try:
        numbers = np.array([item["bbox_2d"] for item in items])
        labels = [item["label"] for item in items]
    except (TypeError, KeyError, ValueError):
        return _read_one_by_one(items)
    kind = numbers.dtype.kind
    regular = kind in "if" and numbers.ndim == 2 and numbers.shape[1] == 4 and set(map(type, labels)) == {str}
    if not regular or "true" in body or "false" in body:
        return _read_one_by_one(items)
    columns: Boxes = np.ascontiguousarray(numbers.T, dtype=np.float64)
    ordered = np.count_nonzero(columns[:2] < columns[2:]) == 2 * len(items)
    if not ordered or (kind == "f" and not np.isfinite(columns).all()):
        return _read_one_by_one(items)
    return columns.T, labels, set(map(len, items)) == {2} and all(map(str.strip, labels))


def _read_one_by_one(items: list[Any]) -> tuple[Boxes, Labels, bool]:
    rows: list[list[float]] = []
    labels: Labels = []
    exact = True
    for item in items:
        coordinates = coordinates_of(item.get("bbox_2d")) if isinstance(item, dict) else None
        if coordinates is None:
            exact = False
            continue
        label = item.get("label")
        rows.append(coordinates)
        labels.append(label if isinstance(label, str) else None)
        exact = exact and isinstance(label, str) and bool(label.strip()) and len(item) == 2
        exact = exact and not any(isinstance(part, str) for part in item["bbox_2d"])
    boxes, kept = keep_boxes(rows, labels)
    return boxes, kept, exact and len(boxes) == len(items)


def keep_boxes(rows: list[list[float]], labels: Labels) -> tuple[Boxes, Labels]:
    """Drop the rows that are no box: not finite, inverted or without area."""
    boxes = np.array(rows, dtype=np.float64).reshape(-1, 4)
    keep = np.isfinite(boxes).all(axis=1) & (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    if not keep.all():
        boxes = boxes[keep]
        labels = [label for label, kept in zip(labels, keep.tolist(), strict=True) if kept]
    return boxes, labels


def coordinates_of(value: Any) -> list[float] | None:
    """Four coordinates, or None where a value is anything else."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    numbers = [_number(part) for part in value]
    return None if None in numbers else numbers  # type: ignore[return-value]


def _number(value: Any) -> float | None:
    """A coordinate: a number, or a string that spells one in ASCII; never a boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not value.isascii():
        return None
    try:
        return as_float(value)
    except ValueError:
        return None


def as_float(value: int | float | str) -> float:
    """A number as float64; a whole number beyond its range is infinite.

    Raises:
        ValueError: A string that spells no number.

    Example:
        >>> as_float(-(10**400))
        -inf
    """
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def _exact_spelling(completion: str) -> tuple[Boxes, Labels]:
    found = EXACT_ITEM.findall(completion)
    rows = [[float(part) for part in item[:4]] for item in found]
    return keep_boxes(rows, [item[4] for item in found])


def write_json_boxes(boxes: Boxes, labels: tuple[str, ...]) -> str:
    """The answer that a model is asked for, as `parse_json_boxes` reads it: fenced, one item a line, whole numbers.

    Args:
        boxes: (N, 4) `xyxy` in units of the frame that the model answers in.
        labels: N names.

    Example:
        >>> text = write_json_boxes(np.array([[1.2, 2.0, 30.0, 39.8]]), ("cat",))
        >>> [line.strip() for line in text.splitlines()]
        ['```json', '[', '{"bbox_2d": [1, 2, 30, 40], "label": "cat"}', ']', '```']
    """
    rows = np.rint(boxes).astype(int).tolist()
    items = (f'\t{{"bbox_2d": {row}, "label": {json.dumps(label)}}}' for row, label in zip(rows, labels, strict=True))
    return f"{FENCE}json\n[\n" + ",\n".join(items) + f"\n]\n{FENCE}"
