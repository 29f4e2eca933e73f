"""The defects of a data set: all are counted and listed; then they stop the preparation, or are left out."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

OnProblem = Callable[[Exception], None]
"""Told about one bad box or image: raises, or returns, and then the item is left out."""

MOST_MESSAGES = 20


def fail(problem: Exception) -> NoReturn:
    """The `OnProblem` of those who read without `Problems`: raise what was found."""
    raise problem


class Problems:
    """An `OnProblem` that lists what it is told, and prints the first ones to stderr.

    Attributes:
        messages: What was found, in order.
    """

    def __init__(self) -> None:
        """Start without problems."""
        self.messages: list[str] = []

    def __call__(self, problem: Exception) -> None:
        """Add a problem to the list."""
        self.messages.append(str(problem))
        if len(self.messages) <= MOST_MESSAGES:
            _tell(f"defect: {problem}")
        elif len(self.messages) == MOST_MESSAGES + 1:
            _tell("defect: more than these, which are only listed")

    def settle(self, listing: Path, *, strict: bool) -> None:
        """Write the list to a file, if there is anything to list, and stop where that was asked for.

        Raises:
            ValueError: There were problems, and `strict`.
        """
        if not self.messages:
            listing.unlink(missing_ok=True)
            return
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("\n".join(self.messages) + "\n", encoding="utf-8")
        if strict:
            raise ValueError(
                f"{self.messages[0]}. Defects: {len(self.messages)}, all listed in {listing}; nothing was prepared."
                " --skip-bad leaves them out"
            )


def _tell(message: str) -> None:
    # Over a progress bar, where one stands in the line; it draws itself again below.
    print("\r\x1b[K" * sys.stderr.isatty() + message, file=sys.stderr)
