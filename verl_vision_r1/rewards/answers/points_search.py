"""Points anywhere in a text: as JSON objects, as Molmo's tags, as pairs of numbers in brackets. In linear time."""

import re
from typing import Any, Final

from verl_vision_r1.frames import Size, YFirst
from verl_vision_r1.rewards.answers.json_boxes import Labels
from verl_vision_r1.rewards.answers.json_search import BOX_KEYS, number_of, search

POINTS_IN_JSON: Final = "JSON inside other text"
POINT_KEYS: Final = ("point_2d", "point")
"""Keys of an item's point. Only the first is the demanded form."""
POINT_KEY: Final = re.compile(rf"""(["'])(?:{"|".join(POINT_KEYS)})\1(?=\s*:)""")
OTHER_KEY: Final = re.compile(rf"""(["'])(?:{"|".join(BOX_KEYS)})\1(?=\s*:)""")
NUMBER: Final = r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?"
PAIR: Final = re.compile(rf"[(\[]\s*({NUMBER})\s*,\s*({NUMBER})\s*[)\]]")
TAG: Final = re.compile(r"<points?\s([^<>]*)>(?:([^<>]*)</points?>)?")
"""Attributes of a tag, and the text that it stands around."""
ATTRIBUTE: Final = re.compile(rf"""\b([xy])([0-9]{{0,4}})\s*=\s*["']?({NUMBER})""")
ALT: Final = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""")
BETWEEN: Final = " \t\r\n,;[]()"
"""What may stand between pairs that are alone."""


def json_items(text: str) -> list[Any]:
    """The items of every JSON list in a text, and every object with a point, whatever surrounds them.

    The search for boxes is used for points: the key of a point stands for that of a box.

    Example:
        >>> json_items("A cat: {'point_2d': [1, 2], 'label': 'cat',} // done")
        [{'bbox_2d': [1, 2], 'label': 'cat'}]
    """
    without_boxes = OTHER_KEY.sub(r"\1box\1", text) if "box" in text else text
    return search(POINT_KEY.sub(rf"\1{BOX_KEYS[0]}\1", without_boxes)).items


def point_of(item: Any) -> list[float] | None:
    """The point of an item, `[x, y]`; None if it has none.

    Example:
        >>> point_of({"point_2d": [1, "2.5"]}), point_of({"point_2d": [1, 2, 3, 4]}), point_of([1, 2])
        ([1.0, 2.5], None, None)
    """
    if not isinstance(item, dict):
        return None
    value = next((item[key] for key in (*POINT_KEYS, BOX_KEYS[0]) if key in item), None)
    if not isinstance(value, list) or len(value) != 2:
        return None
    numbers = [number_of(part) for part in value]
    return None if None in numbers else numbers  # type: ignore[return-value]


def tagged_points(text: str, frame: Size) -> tuple[list[list[float]], Labels, int, bool]:
    """The points of Molmo's tags, `<point x="" y="" alt="">` and `<points x1="" y1="" x2="" y2="" alt="">`.

    Args:
        text: The text of a completion.
        frame: (width, height) of the frame in which the points are returned; tags have percent of the image.

    Returns:
        The points `[x, y]` in the order of the frame's axes, a name or None for each, the number of points that were
        begun, and whether there is nothing but tags and all of them are complete.

    Source:
        Molmo and PixMo (arXiv 2409.17146).

    Example:
        >>> tagged_points('<points x1="10" y1="20.5" x2="30" y2="40" alt="cats">cats</points>', (1000, 1000))
        ([[100.0, 205.0], [300.0, 400.0]], ['cats', 'cats'], 2, True)
    """
    rows: list[list[float]] = []
    labels: Labels = []
    begun, end, alone = 0, 0, True
    across, down, y_first = frame[0] / 100, frame[1] / 100, isinstance(frame, YFirst)
    for tag in TAG.finditer(text):
        attributes, inner = tag.groups()
        alt = ALT.search(attributes)
        name = ((alt[1] or alt[2]) if alt else inner) or ""
        x: dict[str, float] = {}
        y: dict[str, float] = {}
        for axis, number, value in ATTRIBUTE.findall(attributes):
            (x if axis == "x" else y).setdefault(number, float(value))
        places = [[x[number] * across, y[number] * down] for number in x if number in y]
        rows += [place[::-1] for place in places] if y_first else places
        labels += [name.strip() or None] * len(places)
        begun += max(len(x), len(y), 1)
        alone = alone and inner is not None and bool(name.strip()) and not text[end : tag.start()].strip()
        end = tag.end()
    return rows, labels, begun, alone and begun == len(rows) and not text[end:].strip()


def bare_points(text: str) -> list[list[float]]:
    """Pairs of numbers in brackets.

    Example:
        >>> bare_points("At (1, 2.5) and [30, 40].")
        [[1.0, 2.5], [30.0, 40.0]]
    """
    return [[float(x), float(y)] for x, y in PAIR.findall(text)]


def are_alone(text: str) -> bool:
    """Whether there is nothing but pairs of numbers in a text.

    Example:
        >>> are_alone("(1, 2), (3, 4)"), are_alone("At (1, 2).")
        (True, False)
    """
    return not PAIR.sub("", text).strip(BETWEEN)
