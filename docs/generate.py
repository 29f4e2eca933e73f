"""Writes the pages that say what the code says: `make docs-generate`.

configuration.md and command_line.md are generated whole, metrics.md between its two marks. The generators read the
YAML files with their comments, the docstrings, the command line and the names that a real sample logs, so that the
pages cannot tell anything else; a test holds them to it.
"""

import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

from generators import command_line, configuration, metrics

DOCS: Final = Path(__file__).parent
PAGES: Final[dict[str, Callable[[str], str]]] = {
    "configuration.md": lambda written: configuration.page(),
    "command_line.md": lambda written: command_line.page(),
    "metrics.md": metrics.page,
}
"""Each page's file, and what makes its text from the one that is there."""


def made(name: str) -> str:
    """The text of a page as it should be."""
    path = DOCS / name
    return PAGES[name](path.read_text(encoding="utf-8") if path.is_file() else "")


def main() -> None:
    """Write all pages, or those that are named on the command line."""
    # verl says at every import which accelerators and engines this machine has not.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or PAGES:
        (DOCS / name).write_text(made(name), encoding="utf-8")


if __name__ == "__main__":
    main()
