"""Boxes anywhere in a text: every JSON list or object that decodes is read, whatever surrounds it.

Linear in the length of the text up to `BUDGET`: a text of nothing but opening brackets would otherwise be decoded once
for each of them.
"""

import functools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

BOX_KEYS: Final = ("bbox_2d", "bbox", "box_2d")
"""Keys of an item's box. Only one is the demanded form, see `json_boxes.demanded_key`."""

OPENING: Final = re.compile(r"[\[{]")
BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
"""A bracket, or a quoted text, in which there are none."""
EXACT_ITEM: Final = re.compile(r'\{"bbox_2d": \[([0-9]+), ([0-9]+), ([0-9]+), ([0-9]+)\], "label": "([^"]*)"\}')
CORNERS: Final = re.compile(r"\(\s*(-?[0-9.]+)\s*,\s*(-?[0-9.]+)\s*\)\s*,\s*\(\s*(-?[0-9.]+)\s*,\s*(-?[0-9.]+)\s*\)")
QUOTED: Final = {
    "double": r'"(?:[^"\\]|\\.)*(?P<double>"|\Z)',
    "single": r"'(?:[^'\\]|\\.)*(?P<single>'|\Z)",
    "comment": r"/\*.*?(?P<comment>\*/|\Z)",
}
"""What a mark opens and another one closes, or the end of the text."""

OTHER_SLIPS: Final = r"//[^\n]*|,(?=\s*[\]}])|\b(?:None|True|False)\b"
"""A comment to the end of its line, a comma before a closing bracket, or a word of Python's."""

PYTHON_WORDS: Final = {"None": "null", "True": "true", "False": "false"}
BUDGET: Final = 200_000
"""Characters that may be decoded in vain; beyond it only objects without inner braces are looked for."""
PER_VALUE: Final = 16
"""What a value that decodes takes of the budget; the shortest object with a box has more characters."""
PER_ERROR: Final = 180
PER_LEVEL: Final = 8
"""What an error takes of the budget for each bracket that is open where it is, from its second sight on."""
NESTED: Final = 8_000
"""What a text that is nested too deeply takes of the budget."""


@dataclass
class Found:
    """What a search read.

    Attributes:
        items: Every entry of a list that decoded, and every object with a box; some may be no box.
        bare: Lists of four numbers that are the box of no object.
        decoded: Whether anything that can hold boxes decoded.
    """

    items: list[Any] = field(default_factory=list)
    bare: list[list[float]] = field(default_factory=list)
    decoded: bool = False

    def add(self, value: Any) -> None:
        """Add what a JSON value holds, in its order."""
        pending: list[tuple[Any, bool]] = [(value, False)]
        while pending:
            entry, listed = pending.pop()
            if isinstance(entry, dict):
                has_box = box_of(entry) is not None
                if not has_box and (inner := _containers(entry)):
                    pending.extend((part, False) for part in reversed(inner))
                elif listed or has_box:
                    self.items.append(entry)
                    self.decoded = True
            elif isinstance(entry, list):
                kinds = set(map(type, entry))
                if len(entry) == 4 and kinds <= {int, float}:
                    self.bare.append(entry)
                elif dict in kinds:
                    self.decoded = True
                    pending.extend([(part, True) for part in reversed(entry)])
                elif list in kinds:
                    pending.extend([(part, False) for part in reversed(entry)])
            elif listed:
                self.items.append(entry)


def search(text: str) -> Found:
    """Read every JSON list and object in a text; only where none decodes, what remains after usual slips are repaired.

    Repaired are a trailing comma, single quotes, comments and Python's words. The last resort is the exact spelling of
    an item.

    Args:
        text: What to search, without the reasoning before it.

    Source:
        Vision-R1 (arXiv 2503.18013), Eq. 3; the paper names no parser, its release searches for the exact spelling.

    Example:
        >>> search("A cat: {'bbox_2d': [1, 2, 3, 4], 'label': 'cat',} // done").items
        [{'bbox_2d': [1, 2, 3, 4], 'label': 'cat'}]
    """
    found = _decode_all(text)
    if not found.decoded:
        repaired = _decode_all(_without_slips(text))
        if repaired.decoded:
            return repaired
        for *corners, label in EXACT_ITEM.findall(text):
            found.items.append({"bbox_2d": [as_float(corner) for corner in corners], "label": label})
    return found


def bare_boxes(text: str, found: Found) -> list[list[float]]:
    """Boxes without an object around them, `[x1, y1, x2, y2]` or `(x1, y1), (x2, y2)`, for a question about one thing.

    Example:
        >>> bare_boxes("It is at (1, 2), (30, 40).", Found())
        [[1.0, 2.0, 30.0, 40.0]]
    """
    if found.bare:
        return found.bare
    groups = ([_decimal(part) for part in match.groups()] for match in CORNERS.finditer(text))
    return [corners for corners in groups if None not in corners]  # type: ignore[misc]


def box_of(item: dict[str, Any]) -> str | None:
    """The key that an item's box stands under, or None."""
    for key in BOX_KEYS:
        if key in item:
            return key
    return None


def _decode_all(text: str) -> Found:
    found, start, budget, failure = Found(), 0, BUDGET, 0
    unclosed: set[int] = set()
    while (opening := OPENING.search(text, start)) and budget > 0:
        start = opening.start()
        if start in unclosed:
            start += 1
            continue
        try:
            value, start = decode_value(text, start)
        except RecursionError:
            budget -= NESTED
            start += 1
        except json.JSONDecodeError as error:
            if error.pos == failure:
                opened = _unclosed(text, start, failure)
                budget -= PER_LEVEL * len(opened)
                unclosed.update(opened)
            # Beside the characters, for which it is budgeted, an error counts the lines of all the text before it.
            budget -= error.pos - start + PER_ERROR + error.pos // 10
            failure = error.pos
            start += 1
        else:
            found.add(value)
            budget -= PER_VALUE
    if opening:
        for flat in _flat_objects(text[start:]):
            found.items.extend(_flat_items(flat))
        found.decoded = found.decoded or bool(found.items)
    return found


def _unclosed(text: str, start: int, failure: int) -> list[int]:
    """The places of the brackets that are open where decoding failed: none of them begins a JSON value."""
    opened: list[int] = []
    for bracket in BRACKET.finditer(text, start, failure):
        if bracket[0] in "[{":
            opened.append(bracket.start())
        elif bracket[0] in "]}" and opened:
            opened.pop()
    return opened


def _flat_objects(text: str) -> Iterator[str]:
    """The objects without inner braces that may have a box."""
    for part in text.split("}")[:-1]:
        if "box" in part and "{" in part:
            yield part[part.rindex("{") :] + "}"


def _flat_items(text: str) -> Iterator[dict[str, Any]]:
    try:
        item = decode_value(text)[0]
    except (ValueError, RecursionError):
        return
    if box_of(item) is not None:
        yield item


def decode_value(text: str, start: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at a place of a text, and where it ends.

    Raises:
        json.JSONDecodeError, RecursionError: No JSON value begins there, or it is nested too deeply.
    """
    try:
        return DECODER.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python refuses integers of more than 4,300 digits: only here the slow decoder, which takes them for infinite.
        return LONG_INTEGER_DECODER.raw_decode(text, start)


ENCODER: Final = json.JSONEncoder()
DECODER: Final = json.JSONDecoder()
LONG_INTEGER_DECODER: Final = json.JSONDecoder(parse_int=lambda digits: float(digits))


def _containers(entry: dict[str, Any]) -> list[Any]:
    return [part for part in entry.values() if isinstance(part, list | dict)]


def _without_slips(text: str) -> str:
    """The text from its first to its last bracket, the usual slips repaired, in linear time.

    A kind of quotes that is once not closed is never closed after that: it is given up, and the rest is read without.
    """
    opening, closing = OPENING.search(text), max(text.rfind("]"), text.rfind("}"))
    if not opening:
        return ""
    text, kinds, parts, place, done = text[opening.start() : closing + 1], tuple(QUOTED), [], 0, 0
    while slip := _slips(kinds).search(text, place):
        if slip.lastgroup and not slip[slip.lastgroup]:
            kinds, place = tuple(kind for kind in kinds if kind != slip.lastgroup), slip.start()
            continue
        parts += [text[done : slip.start()], _repaired(slip)]
        place = done = slip.end()
    return "".join(parts) + text[done:]


@functools.cache
def _slips(kinds: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join([*(QUOTED[kind] for kind in kinds), OTHER_SLIPS]), re.DOTALL)


def _repaired(slip: re.Match[str]) -> str:
    token = slip.group()
    if token[0] == "'":
        return ENCODER.encode(token[1:-1].replace("\\'", "'"))
    return token if token[0] == '"' else PYTHON_WORDS.get(token, "")


def _decimal(text: str) -> float | None:
    try:
        return float(text)
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


def number_of(value: Any) -> float | None:
    """A coordinate: a number, or a string that spells one in ASCII, never a boolean; None for anything else.

    Example:
        >>> number_of(3), number_of("2.5"), number_of(True), number_of("two")
        (3.0, 2.5, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not value.isascii():
        return None
    try:
        return as_float(value)
    except ValueError:
        return None
