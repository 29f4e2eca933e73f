"""Makes model output safe to print in a terminal, on one line."""


def printable(text: str, length: int = 40) -> str:
    r"""Cut a text to a length and escape line breaks, control characters and everything else that is not printable.

    Args:
        text: Any text, including lone surrogates, control characters and directional marks.
        length: Maximum number of characters, before escaping.

    Example:
        >>> printable("a\x1b[31m\n\u202eb"), len(printable("x" * 10**6))
        ('a\\x1b[31m\\n\\u202eb', 40)
    """
    kept = text if len(text) <= length else text[: length - 3] + "..."
    return "".join(character if character.isprintable() else _escaped(character) for character in kept)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
