"""Points: JSON `{"point_2d": [x, y], "label": "..."}` of Qwen-VL, Molmo's `<point x="" y="">`, a bare `(x, y)`.

A point is stored as a box without area, `[x, y, x, y]`, so that it is converted between frames and counted like boxes.
"""

import json
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers.answer import Answer, are_fractions, fit
from verl_vision_r1.rewards.answers.json_boxes import Labels, without_end_tokens
from verl_vision_r1.rewards.answers.json_search import decode_value
from verl_vision_r1.rewards.answers.points_search import (
    POINT_KEY,
    POINTS_IN_JSON,
    are_alone,
    bare_points,
    json_items,
    point_of,
    tagged_points,
)
from verl_vision_r1.rewards.answers.spans import THOUGHT, unwrap

FENCE: Final = "```"


@dataclass
class Reading:
    """What was read of a completion.

    Attributes:
        rows: N points `[x, y]` in units of the frame, in the order of its axes; some may not be finite.
        labels: N names, or None where a point has none.
        exact: Whether the text has the demanded form and nothing else.
        items: Number of items, points or not.
        form: The form that the points were read in, in words; empty where none was found.
    """

    rows: list[list[float]] = field(default_factory=list)
    labels: Labels = field(default_factory=list)
    exact: bool = False
    items: int = 0
    form: str = ""


def parse_points(completion: str, frame: Size, *, bare: bool = False) -> Answer:
    """Read points: JSON, fenced or bare; Molmo's tags; pairs of numbers in brackets. The first of these that is found.

    What stands before the last `</think>` is not read. Items that are no point are skipped one by one. JSON and pairs
    are in units of the frame, Molmo's tags in percent of the image.

    Args:
        completion: The text of one completion.
        frame: (width, height) of the frame that the model answers in.
        bare: Whether pairs of numbers alone have the demanded form too, as GUI models answer.

    Returns:
        The answer. Its boxes are the points, `[x, y, x, y]` in units of `frame`. Well-formed is a list of objects with
        exactly `point_2d` and a label, or tags alone, all inside the frame; a thinking block before them and answer
        tags around them belong to the form.

    Source:
        This project; the forms are those of Qwen2.5-VL, Qwen3-VL and Molmo (arXiv 2409.17146).

    Example:
        >>> answer = parse_points('[{"point_2d": [30, 40], "label": "cat"}]', frame=(100, 100))
        >>> answer.boxes.tolist(), answer.labels, answer.well_formed
        ([[30.0, 40.0, 30.0, 40.0]], ('cat',), True)
        >>> parse_points('<point x="30.5" y="4" alt="cat">cat</point>', frame=(1000, 1000)).boxes[:, :2].tolist()
        [[305.0, 40.0]]
        >>> parse_points("Click at (30, 40).", frame=(100, 100)).boxes[:, :2].tolist()
        [[30.0, 40.0]]
    """
    text = without_end_tokens(completion)
    form = unwrap(text)[0]
    body, fenced = _after_fence(form)
    document = _whole(body, fenced)
    read = None if document is None else _read_items(document, "JSON in a fence" if fenced else "JSON")
    if read is None or (len(read.rows) < read.items and not read.rows):
        found = _searched(text.rpartition(THOUGHT)[2], form, frame, bare)
        read = found if found.rows or read is None else read
    boxes, labels = _kept(read)
    boxes, outside = fit(boxes, frame)
    return Answer(
        boxes=boxes,
        labels=tuple(labels),
        as_asked=read.exact,
        well_formed=read.exact and not outside,
        parsed=document is not None or len(boxes) > 0,
        truncated=document is None and body[:1] in ("[", "{") and not body.rstrip("` \r\n\t").endswith("]"),
        out_of_frame=outside or are_fractions(boxes, frame),
        malformed=max(read.items - len(boxes), 0),
        text=completion,
        frame=frame,
        form=read.form,
    )


def _after_fence(text: str) -> tuple[str, bool]:
    """The text after an opening json fence, and whether there was one."""
    opened = text.startswith(FENCE + "json")
    return (text[len(FENCE) + 4 :].lstrip(), True) if opened else (text, False)


def _whole(body: str, fenced: bool) -> list[Any] | None:
    """The list that a text is, or the one object as a list of one; None for anything else."""
    try:
        document, end = decode_value(body)
    except (ValueError, RecursionError):
        return None
    if body[end:].strip() != (FENCE if fenced else ""):
        return None
    if isinstance(document, dict):
        return [document] if "point_2d" in document else None
    return document if isinstance(document, list) else None


def _read_items(items: list[Any], form: str) -> Reading:
    """The items of a list that are points; a list as it should be is read at once."""
    try:
        places = [item["point_2d"] for item in items]
        labels = [item["label"] for item in items]
        numbers = set(map(type, chain.from_iterable(places))) <= {int, float} and set(map(len, places)) <= {2}
        regular = numbers and set(map(type, labels)) <= {str}
    except (TypeError, KeyError):
        regular = False
    if regular:
        exact = set(map(len, items)) <= {2} and all(map(str.strip, labels))
        return Reading(places, labels, exact, len(items), form)
    read = Reading(items=len(items), form=form)
    for item in items:
        place = point_of(item)
        if place is not None:
            label = item.get("label")
            read.rows.append(place)
            read.labels.append(label if isinstance(label, str) else None)
    return read


def _searched(text: str, form: str, frame: Size, bare: bool) -> Reading:
    """Points anywhere in a text, in the first form in which there are any."""
    if "{" in text and POINT_KEY.search(text):
        read = _read_items(json_items(text), POINTS_IN_JSON)
        if read.rows:
            read.exact = False
            return read
    rows, labels, items, alone = tagged_points(text, frame)
    if items:
        exact = alone if text.strip() == form else tagged_points(form, frame) == (rows, labels, items, True)
        return Reading(rows, labels, exact, items, "point tags")
    rows = bare_points(text)
    exact = bare and bool(rows) and are_alone(form)
    return Reading(rows, [None] * len(rows), exact, len(rows), "bare points" if rows else "")


def _kept(read: Reading) -> tuple[Boxes, Labels]:
    """The points as boxes without area; those that are not finite are left out."""
    try:
        points = np.array(read.rows, dtype=np.float64).reshape(-1, 2)
    except OverflowError:  # A whole number beyond float64.
        points = np.array([[_finite(x) for x in row] for row in read.rows], dtype=np.float64)
    boxes: Boxes = np.hstack([points, points])
    keep = np.flatnonzero(np.isfinite(points).all(axis=1))
    if len(keep) == len(boxes):
        return boxes, read.labels
    read.exact = False
    return boxes[keep], [read.labels[place] for place in keep.tolist()]


def _finite(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf


def write_points(boxes: Boxes, labels: tuple[str, ...]) -> str:
    """The answer that a model is asked for, as `parse_points` reads it: fenced JSON, one point a line, whole numbers.

    Args:
        boxes: (N, 4) points as boxes without area, in units of the frame that the model answers in.
        labels: N names.

    Example:
        >>> write_points(np.array([[1.2, 39.8, 1.2, 39.8]]), ("cat",)).splitlines()[2].strip()
        '{"point_2d": [1, 40], "label": "cat"}'
    """
    rows = np.rint(boxes[:, :2]).astype(int).tolist()
    items = (f'\t{{"point_2d": {row}, "label": {json.dumps(label)}}}' for row, label in zip(rows, labels, strict=True))
    return f"{FENCE}json\n[\n" + ",\n".join(items) + f"\n]\n{FENCE}"
