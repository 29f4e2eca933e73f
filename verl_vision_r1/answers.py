"""From the text of a completion to an `Answer`. Nothing here raises, whatever the text holds."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.frames import Size

MAX_FRAMES: Final = 1e6
"""Coordinates are cut at so many frame sizes: such a box overlaps nothing, and nothing downstream overflows."""

FENCE: Final = "```"
EXACT_ITEM: Final = re.compile(
    r'\{"bbox_2d": \[([0-9]{1,3}|1000), ([0-9]{1,3}|1000), ([0-9]{1,3}|1000), ([0-9]{1,3}|1000)\], '
    r'"label": "([^"]*)"\}'
)
LINE_END: Final = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, eq=False)
class Answer:
    """What a completion says, in the frame that the model answers in.

    Attributes:
        boxes: (N, 4) float64 `xyxy` with positive area, in units of the answer's frame; may leave the frame.
        labels: N names as written, or None where an item has none.
        well_formed: The whole completion has the demanded form (Vision-R1, Eq. 4).
        parsed: A list of items could be read, by JSON or by the last resort.
        truncated: The text ends inside its JSON.
    """

    boxes: Boxes
    labels: tuple[str | None, ...]
    well_formed: bool
    parsed: bool
    truncated: bool


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
    text = completion.strip()
    body, opened = _after_fence(text)
    document, rest = _decode(body)
    items = document if isinstance(document, list) else []
    boxes, labels = _read_items(items, frame)
    closed = rest.strip() == (FENCE if opened else "")
    well_formed = closed and isinstance(document, list) and _all_exact(items, boxes, labels, frame)
    if not len(boxes):
        boxes, labels = _exact_spelling(completion, frame)
    return Answer(
        boxes=boxes,
        labels=tuple(labels),
        well_formed=well_formed,
        parsed=isinstance(document, list) or len(boxes) > 0,
        truncated=document is None and body[:1] in ("[", "{") and not body.rstrip("` \r\n\t").endswith("]"),
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
        document, end = _decode_value(body)
    except (ValueError, RecursionError):
        return None, ""
    rest = body[end:].lstrip()
    return (document, rest) if not rest or rest.startswith(FENCE) else (None, "")


def _decode_value(body: str) -> tuple[Any, int]:
    try:
        return DECODER.raw_decode(body)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python refuses integers of more than 4,300 digits: only here the slow decoder, which takes them for infinite.
        return LONG_INTEGER_DECODER.raw_decode(body)


def _long_integer(digits: str) -> float:
    return float(digits)


DECODER: Final = json.JSONDecoder()
LONG_INTEGER_DECODER: Final = json.JSONDecoder(parse_int=_long_integer)


def _read_items(items: list[Any], frame: Size) -> tuple[Boxes, list[str | None]]:
    rows: list[list[float]] = []
    labels: list[str | None] = []
    for item in items:
        coordinates = _coordinates(item.get("bbox_2d")) if isinstance(item, dict) else None
        if coordinates is not None:
            rows.append(coordinates)
            labels.append(item.get("label") if isinstance(item.get("label"), str) else None)
    return _keep_boxes(rows, labels, frame)


def _keep_boxes(rows: list[list[float]], labels: list[str | None], frame: Size) -> tuple[Boxes, list[str | None]]:
    """Drop the rows that are no box: not finite, inverted or without area."""
    boxes = np.array(rows, dtype=np.float64).reshape(-1, 4)
    keep = np.isfinite(boxes).all(axis=1) & (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    if not keep.all():
        boxes = boxes[keep]
        labels = [label for label, kept in zip(labels, keep.tolist(), strict=True) if kept]
    limit = MAX_FRAMES * max(frame)
    return np.clip(boxes, -limit, limit), labels


def _coordinates(value: Any) -> list[float] | None:
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
        return float(value)
    except OverflowError:
        return math.inf
    except ValueError:
        return None


def _all_exact(items: list[Any], boxes: Boxes, labels: list[str | None], frame: Size) -> bool:
    """Eq. 4: every item has exactly four real numbers, ordered and inside the frame, and a label, and nothing else."""
    if len(boxes) != len(items) or not all(label and label.strip() for label in labels):
        return False
    if not all(len(item) == 2 and not any(isinstance(part, str) for part in item["bbox_2d"]) for item in items):
        return False
    return not len(boxes) or not leaves_frame(boxes, frame)


def leaves_frame(boxes: Boxes, frame: Size) -> bool:
    """Whether any box reaches beyond its frame; the border itself is inside.

    Example:
        >>> leaves_frame(np.array([[0.0, 0.0, 100.0, 50.0]]), (100, 50))
        False
    """
    return bool(len(boxes)) and bool(boxes.min() < 0 or boxes[:, 2].max() > frame[0] or boxes[:, 3].max() > frame[1])


def _exact_spelling(completion: str, frame: Size) -> tuple[Boxes, list[str | None]]:
    found = EXACT_ITEM.findall(completion)
    rows = [[float(part) for part in item[:4]] for item in found]
    return _keep_boxes(rows, [item[4] for item in found], frame)


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
