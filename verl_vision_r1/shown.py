"""Values of files and texts of models, short and on one line, in messages and on the terminal."""

from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

LONG_NUMBER: Final = 2_000
"""Bits of a whole number that is described instead of written."""


def shown(value: Any, length: int = 120) -> str:
    """The `repr` of a value, cut while it is written: it takes the time and memory of the result.

    Args:
        value: Any value of a JSON or YAML file.
        length: Maximum number of characters.

    Example:
        >>> shown({"a": [1, None], "b": "text"}), shown(["x" * 10**6], 12), shown(10**5000)
        ("{'a': [1, None], 'b': 'text'}", "['xxxxxxx...", 'a whole number of 16610 bits')
    """
    text = _written(value, length + 1)
    return text if len(text) <= length else text[: length - 3] + "..."


def _written(value: Any, room: int) -> str:
    """The beginning of the `repr` of a value: at least `room` characters, or all."""
    if isinstance(value, str | bytes):
        return repr(value[:room])
    if isinstance(value, int) and not -(1 << LONG_NUMBER) < value < 1 << LONG_NUMBER:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, Mapping):
        return _joined("{", ((key, item) for key, item in value.items()), "}", room)
    if isinstance(value, list):
        return _joined("[", ((item,) for item in value), "]", room)
    if isinstance(value, tuple):
        return _joined("(", ((item,) for item in value), ",)" if len(value) == 1 else ")", room)
    if isinstance(value, Set) and value:
        return _joined("{", ((item,) for item in value), "}", room)
    return repr(value)


def _joined(opening: str, entries: Iterable[tuple[Any, ...]], closing: str, room: int) -> str:
    text = opening
    for entry in entries:
        if len(text) > room:
            return text
        text += ", " if len(text) > 1 else ""
        for place, part in enumerate(entry):
            text += (": " if place else "") + _written(part, max(room - len(text), 1))
    return text + closing


def printable(text: str, length: int | None = 40) -> str:
    r"""Escape line breaks, control characters and everything else that is not printable, and cut a text to a length.

    Args:
        text: Any text, including lone surrogates, control characters and directional marks.
        length: Maximum number of characters, before escaping; None for no limit.

    Example:
        >>> printable("a\x1b[31m\n\u202eb"), len(printable("x" * 10**6))
        ('a\\x1b[31m\\n\\u202eb', 40)
    """
    kept = text if length is None or len(text) <= length else text[: length - 3] + "..."
    if kept.isprintable():
        return kept
    return "".join(character if character.isprintable() else _escaped(character) for character in kept)


def printable_lines(text: str) -> str:
    r"""As `printable`, of any length and with its line feeds.

    Example:
        >>> printable_lines("a\n\x1b[31mb")
        'a\n\\x1b[31mb'
    """
    return "\n".join(printable(line, None) for line in text.split("\n"))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
