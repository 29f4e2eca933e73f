"""The cells of the matrix: a verl, a set of packages to go with it, and a Python."""

import re
from collections.abc import Iterable, Iterator, Sequence
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
        wheel: The wheel of a verl that is not released; None for one of the package index.
    """

    verl: str
    packages: str
    python: str
    wheel: Path | None = None

    @property
    def name(self) -> str:
        """As a folder's name.

        >>> Cell("0.9.1", "newest", "3.12").name
        '0.9.1-newest-3.12'
        """
        return f"{self.verl}-{self.packages}-{self.python}"

    @property
    def requirement(self) -> str:
        """What uv is asked to install.

        >>> Cell("0.9.1", "newest", "3.12").requirement
        'verl==0.9.1'
        >>> Cell("0.10.0.dev0", "newest", "3.12", Path("/tmp/verl-0.10.0.dev0-py3-none-any.whl")).requirement
        'verl @ file:///tmp/verl-0.10.0.dev0-py3-none-any.whl'
        """
        return f"verl @ {self.wheel.as_uri()}" if self.wheel else f"verl=={self.verl}"


def cells(releases: Sequence[str], pythons: Sequence[str] = PYTHONS, wheel: Path | None = None) -> list[Cell]:
    """The matrix, the main Python first.

    Args:
        releases: Versions of verl, oldest first.
        pythons: The Pythons to try.
        wheel: The wheel of a verl that is not released.

    >>> [cell.name for cell in cells(["0.9.0", "0.9.1"], ["3.11", "3.12"])][-2:]
    ['0.9.1-newest-3.11', '0.9.1-newest-3.12']
    """
    main = [Cell(verl, packages, MAIN, wheel) for verl in releases for packages in SETS if MAIN in pythons]
    return main + [Cell(releases[-1], "newest", python, wheel) for python in pythons if python != MAIN]


def named(words: Sequence[str], known: Iterable[Cell]) -> list[Cell]:
    """The cells with one of these names, or ends of names; all without one.

    Raises:
        ValueError: No cell has such a name.

    >>> [cell.name for cell in named(["pinned-3.11"], cells(["0.9.0", "0.9.1"]))]
    ['0.9.0-pinned-3.11', '0.9.1-pinned-3.11']
    """
    found = {word: [cell for cell in known if f"-{cell.name}".endswith(f"-{word}")] for word in words}
    if unknown := [word for word, chosen in found.items() if not chosen]:
        raise ValueError(f"expected some of {', '.join(cell.name for cell in known)}, got {', '.join(unknown)}")
    return [cell for cell in known if not words or any(cell in chosen for chosen in found.values())]


def releases_in(listing: str, supported: str) -> list[str]:
    """The releases of verl in a range, oldest first, from what `pip index versions verl` prints.

    >>> releases_in("verl (0.11.0)\\nAvailable versions: 0.11.0, 0.9.1, 0.9.0, 0.8.0", ">=0.9,<0.11")
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
    yield from (cell.requirement, "vllm>=0.18.0", "TransferQueue>=0.1.10", "transformers", "qwen-vl-utils")
