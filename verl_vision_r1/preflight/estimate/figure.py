"""What an estimate is made of: numbers, each with what it rests on."""

from dataclasses import dataclass
from typing import Final

GIB: Final = 2**30
"""Bytes of a GiB, which verl's metrics and the makers of 80 GB GPUs call a GB."""


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        name: What it is of.
        value: The number, or words where it is none; None where it cannot be known here.
        unit: `bytes`, `tokens`, `seconds` and the like; empty for a plain number or words.
        basis: How it was counted and what was assumed.
    """

    name: str
    value: float | str | None
    unit: str
    basis: str

    @property
    def shown(self) -> str:
        """The value as a person reads it.

        Example:
            >>> Figure("weights", 15.5 * GIB, "bytes", "").shown, Figure("steps", 1200, "", "").shown
            ('15.5 GiB', '1,200')
        """
        if self.value is None:
            return "unknown"
        if isinstance(self.value, str):
            return self.value
        if self.unit == "bytes":
            return in_bytes(self.value)
        number = f"{self.value:,.0f}" if self.value == int(self.value) else f"{self.value:,.3g}"
        return f"{number} {self.unit}".strip()


@dataclass(frozen=True)
class Section:
    """The figures of one subject."""

    title: str
    figures: tuple[Figure, ...]


def in_bytes(value: float) -> str:
    """A number of bytes in the greatest unit that leaves something before the point.

    Example:
        >>> in_bytes(2048), in_bytes(-3 * GIB)
        ('2.0 KiB', '-3.0 GiB')
    """
    for unit, size in (("GiB", GIB), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(value) >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:.0f} B"


def counted(number: int, word: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "GPU"), counted(8, "GPU")
        ('1 GPU', '8 GPUs')
    """
    return f"{number:,} {word}" + ("" if number == 1 else "s")
