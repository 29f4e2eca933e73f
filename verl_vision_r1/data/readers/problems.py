"""The defects of a dataset: all are counted and listed; then they stop `prepare`, or are skipped."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

OnProblem = Callable[[Exception], None]
"""Called with the error of one defective box or image. If it does not raise, the item is skipped."""

MOST_MESSAGES = 20


def fail(problem: Exception) -> NoReturn:
    """The default `OnProblem`: raise the error."""
    raise problem


class Problems:
    """An `OnProblem` that collects all defects, and prints the first ones to stderr.

    Attributes:
        messages: The defects, in order.
    """

    def __init__(self) -> None:
        """Start without defects."""
        self.messages: list[str] = []

    def __call__(self, problem: Exception) -> None:
        """Add a defect."""
        self.messages.append(str(problem))
        if len(self.messages) <= MOST_MESSAGES:
            _print(f"defect: {problem}")
        elif len(self.messages) == MOST_MESSAGES + 1:
            _print("defect: further ones are only listed in defects.txt")

    def settle(self, listing: Path, *, strict: bool) -> None:
        """Write the defects to a file, or remove the file if there are none.

        Raises:
            ValueError: There are defects, and `strict` is true.
        """
        if not self.messages:
            listing.unlink(missing_ok=True)
            return
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("\n".join(self.messages) + "\n", encoding="utf-8")
        if strict:
            raise ValueError(
                f"{self.messages[0]}. Defects: {len(self.messages)}, all listed in {listing}; nothing was written."
                " Correct them, or skip them with --skip-bad"
            )


def _print(message: str) -> None:
    # Overwrites a progress bar on the line; it redraws itself below.
    print("\r\x1b[K" * sys.stderr.isatty() + message, file=sys.stderr)
