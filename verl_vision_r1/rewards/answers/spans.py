"""What stands between two marks in a text, in linear time.

A regular expression for it, `<answer>(.*?)</answer>`, looks through the rest of the text again for every mark that
opens and is not closed: a second and more for a long completion of nothing but `<answer>`.
"""

from collections.abc import Iterator


def spans(text: str, opening: str, closing: str) -> Iterator[str]:
    """What stands between the marks, pair by pair, each from the first opening to the next closing.

    Example:
        >>> list(spans("<a>1</a> 2 <a><a>3</a></a>", "<a>", "</a>"))
        ['1', '<a>3']
    """
    start = text.find(opening)
    while start >= 0:
        end = text.find(closing, start + len(opening))
        if end < 0:
            return
        yield text[start + len(opening) : end]
        start = text.find(opening, end + len(closing))


def first_on_one_line(text: str, opening: str, closing: str) -> str | None:
    r"""What stands between the first two marks that have no line feed between them; None without such a pair.

    Example:
        >>> first_on_one_line("<a>1\n</a> <a>2</a>", "<a>", "</a>")
        '2'
    """
    start, end = text.find(opening), -1
    while start >= 0:
        start += len(opening)
        if end < start:
            end = text.find(closing, start)
        if end < 0:
            return None
        line_end = text.find("\n", start, end)
        if line_end < 0:
            return text[start:end]
        start = text.find(opening, line_end)
    return None
