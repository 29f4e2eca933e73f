"""Checks of the options that a configuration gives to a parser, a matcher or a criterion, when it is read."""

from collections.abc import Mapping, Sequence
from typing import Any

from verl_vision_r1.shown import shown


def check_fraction(**options: object) -> None:
    """Check options that are fractions.

    Raises:
        ValueError: One is not a number in [0, 1].

    Example:
        >>> check_fraction(save=3)
        Traceback (most recent call last):
            ...
        ValueError: save: expected a number in [0, 1], got 3
    """
    for name, value in options.items():
        if not _is_fraction(value):
            raise ValueError(f"{name}: expected a number in [0, 1], got {shown(value)}")


def check_kinds(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Check the options of a built-in function by its defaults: every number is a fraction in [0, 1].

    Args:
        options: The given options by name.
        defaults: The default of each option. None allows None; a tuple stands for as many ascending fractions.

    Raises:
        ValueError: The kind of an option is not that of its default, or a number is out of range.

    Example:
        >>> check_kinds({"length": "yes"}, {"length": False})
        Traceback (most recent call last):
            ...
        ValueError: length: expected true or false, got 'yes'
    """
    for name, value in options.items():
        default = defaults[name]
        if isinstance(default, bool) and not isinstance(value, bool):
            raise ValueError(f"{name}: expected true or false, got {shown(value)}")
        if isinstance(default, str) and not isinstance(value, str):
            raise ValueError(f"{name}: expected a name, got {shown(value)}")
        if isinstance(default, tuple):
            _check_fractions(name, value, len(default))
        elif not isinstance(default, bool | str) and not (value is None and default is None):
            check_fraction(**{name: value})


def _check_fractions(name: str, value: object, count: int) -> None:
    listed = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if len(listed) != count or not all(map(_is_fraction, listed)) or listed != sorted(listed):
        raise ValueError(f"{name}: expected {count} ascending numbers in [0, 1], got {shown(value)}")


def _is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
