"""What is done about one bad box or image of a data set: stop, or leave it out and say so."""

import sys
from collections.abc import Callable
from typing import Literal, NoReturn

from tqdm import tqdm

OnProblem = Callable[[Exception], None]
"""Told about one bad box or image: raises, or returns, and then the item is left out."""

MOST_MESSAGES = 20


def fail(problem: Exception) -> NoReturn:
    """The strict `OnProblem`: raise what was found."""
    raise problem


class Problems:
    """An `OnProblem` that raises at the first problem, or counts them all and prints the first ones to stderr.

    Attributes:
        on_bad: "raise" or "skip".
        count: How many there were.
    """

    def __init__(self, on_bad: Literal["raise", "skip"]) -> None:
        """Start without problems."""
        self.on_bad = on_bad
        self.count = 0

    def __call__(self, problem: Exception) -> None:
        """Raise the problem, or count it."""
        if self.on_bad == "raise":
            raise type(problem)(f"{problem} (on_bad=skip leaves such items out)")
        self.count += 1
        if self.count <= MOST_MESSAGES:
            # Not `print`, which would tear the progress bar.
            tqdm.write(f"left out: {problem}", file=sys.stderr)
        elif self.count == MOST_MESSAGES + 1:
            tqdm.write("left out: more than these, which are only counted", file=sys.stderr)
