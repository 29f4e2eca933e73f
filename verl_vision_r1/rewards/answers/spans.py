"""What stands between two marks in a text, in linear time.

A regular expression for it, `<answer>(.*?)</answer>`, looks through the rest of the text again for every mark that
opens and is not closed: a second and more for a long completion of nothing but `<answer>`.
"""

from collections.abc import Iterator
from typing import Final

THINK: Final = "<think>"
THOUGHT: Final = "</think>"
ANSWER: Final = ("<answer>", "</answer>")
BOX_MARKS: Final = ("<|begin_of_box|>", "<|end_of_box|>")
"""GLM writes what it answers between these two, within a sentence."""


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


def unwrap(text: str) -> tuple[str, bool]:
    """What a thinking block, answer tags and box marks stand around, and whether there were box marks.

    Each of them may be missing. A text with two thinking blocks stays as it is.

    Args:
        text: A completion, stripped.

    Example:
        >>> unwrap("A cat.</think><answer>Here: <|begin_of_box|>[[1, 2, 3, 4]]<|end_of_box|></answer>")
        ('[[1, 2, 3, 4]]', True)
    """
    thought, closed, rest = text.rpartition(THOUGHT)
    if closed and not is_one_thought(thought):
        return text, False
    inner = rest.strip()
    if inner.startswith(ANSWER[0]) and inner.endswith(ANSWER[1]):
        inner = inner[len(ANSWER[0]) : -len(ANSWER[1])].strip()
    before, opening, tail = inner.partition(BOX_MARKS[0])
    boxes, closing, after = tail.partition(BOX_MARKS[1])
    if opening and closing and not set("[{") & set(before + after):
        return boxes.strip(), True
    return inner, False


def is_one_thought(text: str) -> bool:
    """Whether what stands before a closing tag is one thinking block; a template may have opened it already.

    Example:
        >>> is_one_thought("<think>a"), is_one_thought("a"), is_one_thought("<think>a</think>b")
        (True, True, False)
    """
    return THOUGHT not in text and text.count(THINK) == text.startswith(THINK)
