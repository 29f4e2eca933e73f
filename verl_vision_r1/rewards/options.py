"""Checks of the options that a configuration gives to a matcher or a criterion, when it is read."""


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
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value <= 1:  # type: ignore[operator]
            raise ValueError(f"{name}: expected a number in [0, 1], got {value!r}")
