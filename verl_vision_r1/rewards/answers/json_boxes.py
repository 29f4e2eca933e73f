"""A JSON list of `{"bbox_2d": [x1, y1, x2, y2], "label": "..."}`, fenced or bare: the answer of Qwen-VL models."""

import json
import re
from itertools import chain
from typing import Any, Final

import numpy as np

from verl_vision_r1.boxes import NO_BOXES, Boxes
from verl_vision_r1.frames import Size, YFirst
from verl_vision_r1.rewards.answers.answer import Answer, are_fractions, fit
from verl_vision_r1.rewards.answers.json_search import (
    Found,
    as_float,
    bare_boxes,
    box_of,
    decode_value,
    number_of,
    search,
)
from verl_vision_r1.rewards.answers.spans import THOUGHT

FENCE: Final = "```"
LINE_END: Final = re.compile(r"\r\n|\r|\n")
END_TOKENS: Final = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<end_of_turn>", "<turn|>", "</s>", "<eos>")
"""Tokens that end a turn, where a tokenizer writes them as text."""
ENDING: Final = re.compile(rf"(?:(?:{'|'.join(re.escape(token[::-1]) for token in END_TOKENS)})\s*)+")
"""Such tokens at the end of a text, read backwards: searched forwards, long white space takes quadratic time."""

Labels = list[str | None]


def demanded_key(frame: Size) -> str:
    """The key that an item's box has to stand under: `bbox_2d`, in a frame with y first Google's `box_2d`."""
    return "box_2d" if isinstance(frame, YFirst) else "bbox_2d"


def parse_json_boxes(completion: str, frame: Size, *, grounding: bool = False) -> Answer:
    """Read JSON boxes `{"bbox_2d": [x1, y1, x2, y2], "label": "..."}`, fenced or bare, alone or inside other text.

    Every JSON list or object that decodes is read, in order, whatever surrounds it; what stands before the last
    `</think>` is not. Items that are no box are skipped one by one. Coordinates stay floats, without a limit. In a
    frame with y first the form is Gemma's, `{"box_2d": [y1, x1, y2, x2], "label": "..."}`.

    Args:
        completion: The text of one completion.
        frame: (width, height) of the frame that the model answers in.
        grounding: Whether one thing was asked for: one object alone is then as well-formed as a list of one, and a box
            without an object around it is read.

    Returns:
        The answer; its boxes are in units of `frame`.

    Source:
        Vision-R1 (arXiv 2503.18013), section 3.2: Eq. 3 for the boxes, Eq. 4 for `well_formed`.

    Example:
        >>> answer = parse_json_boxes('[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}]', frame=(100, 100))
        >>> answer.boxes.tolist(), answer.labels, answer.well_formed
        ([[1.0, 2.0, 30.0, 40.0]], ('cat',), True)
        >>> answer = parse_json_boxes('I see {"label": "cat", "bbox_2d": [1, 2.5, 30, 40]}.', (100, 100))
        >>> answer.boxes.tolist(), answer.well_formed
        ([[1.0, 2.5, 30.0, 40.0]], False)
    """
    text = without_end_tokens(completion)
    return read_json_boxes(completion, text, text, frame, grounding)


def without_end_tokens(completion: str) -> str:
    """A completion, stripped, without the tokens that end a turn where a tokenizer wrote them as text.

    Example:
        >>> without_end_tokens("[]<|im_end|> ")
        '[]'
    """
    text = completion.strip()
    ending = ENDING.match(text[::-1])
    return text[: -ending.end()] if ending else text


def read_json_boxes(
    completion: str, form: str, text: str, frame: Size, grounding: bool, bare_form: bool = False
) -> Answer:
    """What the parsers of JSON boxes share.

    Args:
        completion: The whole completion.
        form: What has to be the demanded form and nothing else.
        text: What is searched for boxes where it is not.
        frame: (width, height) of the frame that the model answers in.
        grounding: As in `parse_json_boxes`.
        bare_form: Whether a list of boxes without objects around them is the demanded form, too.
    """
    body, opened = _after_fence(form)
    document, rest = _decode(body)
    items = _items(document, grounding)
    closed = items is not None and rest.strip() == (FENCE if opened else "")
    key = demanded_key(frame)
    boxes, labels, exact = _read_items(items or [], key) if closed else (NO_BOXES, [], False)
    kind = "JSON in a fence" if opened else "JSON"
    if not closed or (len(boxes) < len(items or []) and (_nested(items or []) or (grounding and not len(boxes)))):
        found, boxes, labels, bare = _searched(
            text.rpartition(THOUGHT)[2], grounding, document if closed else None, key
        )
        exact = closed and bare_form and bare
        items = max(items or [], found, key=len)
        kind = "bare boxes" if grounding and len(boxes) and not found else "JSON inside other text"
    boxes, outside = fit(boxes, frame)
    return Answer(
        boxes=boxes,
        labels=tuple(labels),
        as_asked=exact,
        well_formed=exact and not outside,
        parsed=isinstance(document, list) or len(boxes) > 0,
        truncated=document is None and body[:1] in ("[", "{") and not body.rstrip("` \r\n\t").endswith("]"),
        out_of_frame=outside or are_fractions(boxes, frame),
        malformed=max(len(items or []) - len(boxes), 0),
        text=completion,
        frame=frame,
        form=kind if closed or len(boxes) else "",
    )


def _items(document: Any, grounding: bool) -> list[Any] | None:
    """The items of a whole JSON document; None where it is no list, nor the one object that grounding asks for."""
    if isinstance(document, list):
        return document
    return [document] if grounding and isinstance(document, dict) else None


def _nested(items: list[Any]) -> bool:
    """Whether an item may hold boxes without being one."""
    return any(isinstance(item, list) or (isinstance(item, dict) and box_of(item) is None) for item in items)


def _searched(text: str, grounding: bool, document: Any, key: str) -> tuple[list[Any], Boxes, Labels, bool]:
    """The items of a document, or else anywhere in a text; those that are boxes, their labels; if all are bare."""
    found = search(text) if document is None else Found()
    if document is not None:
        found.add(document)
    boxes, labels, _ = _read_one_by_one(found.items, key)
    if len(boxes) or not grounding:
        return found.items, boxes, labels, False
    bare = bare_boxes(text, found)
    boxes, labels = keep_boxes([list(map(as_float, box)) for box in bare], [None] * len(bare))
    return found.items, boxes, labels, 0 < len(boxes) == len(bare) and not found.items


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


def _read_items(items: list[Any], key: str) -> tuple[Boxes, Labels, bool]:
    """Boxes and labels of the items that are a box, and whether all of them are exactly what was asked for.

    An answer as it should be is read at once; anything else goes item by item.
    """
    if not items:
        return NO_BOXES, [], True
    try:
        corners = [item[key] for item in items]
        labels = [item["label"] for item in items]
        # Types first: of one long text among the numbers, numpy would make every number as long.
        regular = set(map(type, chain.from_iterable(corners))) <= {int, float} and set(map(type, labels)) == {str}
        numbers = np.array(corners, dtype=np.float64) if regular else NO_BOXES
    except (TypeError, KeyError, ValueError, OverflowError):
        return _read_one_by_one(items, key)
    if numbers.shape != (len(items), 4):
        return _read_one_by_one(items, key)
    columns: Boxes = np.ascontiguousarray(numbers.T)
    if np.count_nonzero(columns[:2] < columns[2:]) != 2 * len(items) or not np.isfinite(columns).all():
        return _read_one_by_one(items, key)
    return columns.T, labels, set(map(len, items)) == {2} and all(map(str.strip, labels))


def _read_one_by_one(items: list[Any], demanded: str) -> tuple[Boxes, Labels, bool]:
    rows: list[list[float]] = []
    labels: Labels = []
    exact = True
    for item in items:
        key = box_of(item) if isinstance(item, dict) else None
        coordinates = coordinates_of(item[key]) if key else None
        if key is None or coordinates is None:
            exact = False
            continue
        label = item.get("label")
        rows.append(coordinates)
        labels.append(label if isinstance(label, str) else None)
        exact = exact and isinstance(label, str) and bool(label.strip()) and len(item) == 2
        exact = exact and key == demanded and not any(isinstance(part, str) for part in item[key])
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
    numbers = [number_of(part) for part in value]
    return None if None in numbers else numbers  # type: ignore[return-value]


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
