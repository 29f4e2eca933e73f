"""The parts of an estimate: numbers, each with its assumptions."""

from dataclasses import dataclass
from typing import Final

GIB: Final = 2**30
"""Bytes in a GiB; verl's metrics and the names of 80 GB GPUs call it a GB."""


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        name: What it measures.
        value: The number, or a text; None if unknown.
        unit: `bytes`, `tokens`, `seconds` and the like; empty for a count or a text.
        basis: How it is computed, and its assumptions.
    """

    name: str
    value: float | str | None
    unit: str
    basis: str

    @property
    def shown(self) -> str:
        """The value as text.

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
    """A number of bytes in the largest unit that does not exceed it.

    Example:
        >>> in_bytes(2048), in_bytes(-3 * GIB)
        ('2.0 KiB', '-3.0 GiB')
    """
    for unit, size in (("GiB", GIB), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(value) >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:.0f} B"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "GPU"), counted(8, "GPU")
        ('1 GPU', '8 GPUs')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
