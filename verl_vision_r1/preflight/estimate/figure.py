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
        lower_bound: Whether the number can only be higher.
        fits: For a peak of memory: whether it is within that of the GPU.
    """

    name: str
    value: float | str | None
    unit: str
    basis: str
    lower_bound: bool = False
    fits: bool | None = None

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
        if self.unit == "seconds":
            return ("at least " if self.lower_bound else "") + in_time(self.value)
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


def in_time(seconds: float) -> str:
    """A duration in plain units.

    Example:
        >>> in_time(0.0467), in_time(29), in_time(200), in_time(7500)
        ('0.047 s', '29 s', '3 min 20 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds) // 60, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {round(seconds) % 60} s"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "GPU"), counted(8, "GPU")
        ('1 GPU', '8 GPUs')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
