"""Tables of Markdown, and the parts of docstrings."""

import inspect
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).parents[1]
CONFIGURATION: Final = "reference/configuration"
"""Folder of the generated pages that link to others."""

BEGIN: Final = "<!-- Made by docs/generate.py: begin -->"
END: Final = "<!-- Made by docs/generate.py: end -->"
CODE_SPAN: Final = re.compile(r"(`[^`]*`)")


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table of Markdown.

    Example:
        >>> print(table(("key", "meaning"), [("a", "one | two")]))
        | key | meaning |
        |---|---|
        | a | one \| two |
    """
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    return "\n".join(lines + ["| " + " | ".join(map(_cell, row)) + " |" for row in rows])


def _cell(text: str) -> str:
    """Text that stands in a table as it is; in code nothing needs to be masked."""
    parts = CODE_SPAN.split(text.replace("\n", " "))
    return "".join(
        part if part.startswith("`") else part.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
        for part in parts
    )


def between_marks(written: str, made: str, page: str) -> str:
    r"""A page whose part between the two marks is made anew; the text around it stays.

    Raises:
        ValueError: The marks are missing.

    Example:
        >>> between_marks(f"Above.\n{BEGIN}\nold\n{END}\n", "new\n", "a.md").splitlines()[3]
        'new'
    """
    before, begin, rest = written.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: expected the marks {BEGIN} and {END}, got a page without")
    return f"{before}{begin}\n\n{made}\n{end}{after}"


def linked(text: str) -> str:
    """Text of a configuration page in which every file of the manual is a link.

    Example:
        >>> linked("docs/reference/metrics.md has the names.")
        '[Metrics](../metrics.md) has the names.'
    """
    return re.sub(r"docs/([\w/]+\.md)", lambda found: link(found[1]), text)


def link(page: str) -> str:
    """A link from a configuration page to another page, named by its title.

    Args:
        page: Its path within `docs/`.
    """
    return f"[{title(page)}]({os.path.relpath(page, CONFIGURATION)})"


def title(page: str) -> str:
    """The first heading of a page.

    Raises:
        ValueError: The page does not begin with one.
    """
    first = (DOCS / page).read_text(encoding="utf-8").partition("\n")[0]
    if not first.startswith("# "):
        raise ValueError(f"docs/{page}: expected a page that begins with its title, got {first!r}")
    return first.removeprefix("# ")


def code(value: Any) -> str:
    """A value as YAML has it, in a span of code; an empty text stays empty.

    Example:
        >>> code(True), code(None), code("a"), code([1, "b"]), code(2e-4)
        ('`true`', '`null`', '`a`', '`[1, b]`', '`0.0002`')
    """
    text = plain(value)
    return f"`{text}`" if text else ""


def plain(value: Any) -> str:
    """A value as YAML has it on one line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(plain, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {plain(part)}" for key, part in value.items()) + "}"
    return str(value)


def first_sentence(thing: Any) -> str:
    """What a docstring begins with: its first paragraph, on one line."""
    return _joined((inspect.getdoc(thing) or "").split("\n\n")[0])


def section(thing: Any, name: str) -> str:
    """The lines of a section of a docstring, such as `Returns`, on one line; nothing where there is none."""
    found = re.search(rf"^{name}:\n(.*?)(?=^\S|\Z)", inspect.getdoc(thing) or "", re.DOTALL | re.MULTILINE)
    return _joined(found.group(1).split("\n\n")[0]) if found else ""


def entries(thing: Any, name: str) -> dict[str, str]:
    """The named entries of a section of a docstring, such as `Args`.

    Example:
        >>> from verl_vision_r1.rewards.matching import match_by_confidence, Match
        >>> entries(Match, "Attributes")["iou"]
        '(K,) IoU of each pair, in [0, 1]; for points their nearness, see `points.Regions`.'
    """
    found = re.search(rf"^{name}:\n(.*?)(?=^\S|\Z)", inspect.getdoc(thing) or "", re.DOTALL | re.MULTILINE)
    listed = re.findall(r"^ {4}(\w+): (.*?)(?=^ {4}\w|\Z)", found.group(1) if found else "", re.DOTALL | re.MULTILINE)
    return {name: _joined(text) for name, text in listed}


def _joined(text: str) -> str:
    return " ".join(text.split())
