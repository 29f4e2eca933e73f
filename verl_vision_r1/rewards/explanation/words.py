"""What a model wrote, as it can be shown in a terminal, on one line."""


def printable(text: str, length: int = 40) -> str:
    r"""A text on one line, cut to a length, everything that a terminal would obey or cannot show spelled out.

    Args:
        text: Anything, lone surrogates, control characters and marks of direction included.
        length: Letters of the text that are kept, before any is spelled out.

    Example:
        >>> printable("a\x1b[31m\n\u202eb"), len(printable("x" * 10**6))
        ('a\\x1b[31m\\n\\u202eb', 40)
    """
    kept = text if len(text) <= length else text[: length - 3] + "..."
    return "".join(letter if letter.isprintable() else _spelled(letter) for letter in kept)


def _spelled(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
