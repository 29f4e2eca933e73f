"""The cells of the matrix: a verl, a set of packages to go with it, and a Python."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PINNED: Final = ROOT / "requirements" / "cpu.in"
SETS: Final = ("oldest", "pinned", "newest")
"""The oldest and the newest that verl's metadata and vLLM's allow together, and those of the project's own list."""
PYTHONS: Final = ("3.10", "3.11", "3.12")
MAIN: Final = "3.11"
"""The Python that every verl and every set is tried with; the others see the newest alone."""


@dataclass(frozen=True)
class Cell:
    """One environment.

    Attributes:
        verl: Its version of verl.
        packages: One of `SETS`.
        python: Its Python, as "3.11".
    """

    verl: str
    packages: str
    python: str

    @property
    def name(self) -> str:
        """As a folder's name.

        >>> Cell("0.9.1", "newest", "3.12").name
        '0.9.1-newest-3.12'
        """
        return f"{self.verl}-{self.packages}-{self.python}"


def cells(releases: Sequence[str], pythons: Sequence[str] = PYTHONS) -> list[Cell]:
    """The matrix, the main Python first.

    >>> [cell.name for cell in cells(["0.9.0", "0.9.1"], ["3.11", "3.12"])][-2:]
    ['0.9.1-newest-3.11', '0.9.1-newest-3.12']
    """
    main = [Cell(verl, packages, MAIN) for verl in releases for packages in SETS if MAIN in pythons]
    return main + [Cell(releases[-1], "newest", python) for python in pythons if python != MAIN]


def releases_in(listing: str, supported: str) -> list[str]:
    """The releases of verl in a range, oldest first, from what `pip index versions verl` prints.

    >>> releases_in("verl (0.10.0)\\nAvailable versions: 0.10.0, 0.9.1, 0.9.0, 0.8.0", ">=0.9,<0.10")
    ['0.9.0', '0.9.1']
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    (line,) = re.findall(r"^Available versions: (.+)$", listing, re.MULTILINE)
    return sorted(SpecifierSet(supported).filter(line.split(", ")), key=Version)


def pinned(lines: Sequence[str]) -> dict[str, str]:
    """The versions that a list of requirements pins, without that of verl.

    >>> pinned(["# why", "verl==0.9.1", "torch==2.11.0", "scipy"])
    {'torch': '2.11.0'}
    """
    found = dict(line.strip().split("==") for line in lines if re.match(r"^[\w-]+==", line))
    return {name: version for name, version in found.items() if name != "verl"}


def wanted(cell: Cell) -> Iterator[str]:
    """What uv is asked to resolve for the oldest or the newest set: what a user with a GPU would ask for.

    `transformers` is named, so that its oldest version is taken too.
    """
    yield from (f"verl=={cell.verl}", "vllm>=0.18.0", "TransferQueue>=0.1.10", "transformers", "qwen-vl-utils")
