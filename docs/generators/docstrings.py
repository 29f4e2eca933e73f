"""A griffe extension for docs/reference/api.md: our docstring sections in a form that mkdocstrings renders."""

import re
from typing import Any, Final

import griffe

EXAMPLE: Final = re.compile(r"^Example:$", re.MULTILINE)
SOURCE: Final = re.compile(r"^Source:\n((?: {4}.*\n?)+)", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Makes a section `Example:` a block of code, and a section `Source:` a paragraph."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for every object that griffe loads."""
        if obj.docstring:
            obj.docstring.value = rendered(obj.docstring.value)


def rendered(docstring: str) -> str:
    r"""A docstring in the form that mkdocstrings renders.

    Example:
        >>> rendered("Source:\n    Eq. 4\n    of it.\n\nExample:\n    >>> 1\n")
        '**Source:** Eq. 4 of it.\n\nExamples:\n    >>> 1\n'
    """
    text = SOURCE.sub(lambda found: f"**Source:** {' '.join(found[1].split())}\n", docstring)
    return EXAMPLE.sub("Examples:", text)
