"""The defects of a dataset: all are counted and listed; then they stop `prepare`, or are skipped."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from verl_vision_r1.shown import printable, shown

OnProblem = Callable[[Exception], None]
"""Called with the error of one defective box or image. If it does not raise, the item is skipped."""

MOST_MESSAGES = 20


def fail(problem: Exception) -> NoReturn:
    """The default `OnProblem`: raise the error."""
    raise problem


class Reading:
    """An `OnProblem` for one dataset, with the options of its reader and an account of what the reader leaves out.

    Attributes:
        clip: Whether boxes that exceed their image are clipped to it.
        crowd_as_box: Whether crowds are read as boxes.
        outlines: Whether outlines are read, where a dataset has them.
        left_out: Annotations that are in no sample, by reason.
        clipped: Boxes that were clipped because of `clip`.
        notes: What else to tell the user, each note once.
    """

    def __init__(
        self, on_problem: OnProblem = fail, *, clip: bool = False, crowd_as_box: bool = False, outlines: bool = False
    ) -> None:
        """Start an account.

        Args:
            on_problem: Called with the error of each defect.
            clip: Whether boxes that exceed their image are clipped to it.
            crowd_as_box: Whether crowds are read as boxes.
            outlines: Whether outlines are read, where a dataset has them.
        """
        self.on_problem, self.clip, self.crowd_as_box, self.outlines = on_problem, clip, crowd_as_box, outlines
        self.left_out: Counter[str] = Counter()
        self.clipped = 0
        self.notes: dict[str, None] = {}

    @classmethod
    def of(cls, on_problem: OnProblem) -> "Reading":
        """The account that `on_problem` is, or a new one with default options."""
        return on_problem if isinstance(on_problem, Reading) else cls(on_problem)

    def __call__(self, problem: Exception) -> None:
        """Report a defect that concerns no annotation."""
        self.on_problem(problem)

    def defect(self, problem: Exception, reason: str = "defective annotation", annotations: int = 1) -> None:
        """Report a defect because of which annotations are left out.

        Args:
            problem: The error; its own `reason`, if it has one, replaces the other.
            reason: The line of the account.
            annotations: Number of annotations that are left out.
        """
        self.leave_out(getattr(problem, "reason", reason), annotations)
        self.on_problem(problem)

    def leave_out(self, reason: str, annotations: int = 1) -> None:
        """Count annotations that are in no sample."""
        self.left_out[reason] += annotations

    def note(self, text: str) -> None:
        """Add a note."""
        self.notes[text] = None


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
        self.messages.append(printable(str(problem), None))
        if len(self.messages) <= MOST_MESSAGES:
            _print(f"defect: {self.messages[-1]}")
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
        listing.unlink(missing_ok=True)  # A link is removed, not followed.
        listing.write_text("\n".join(self.messages) + "\n", encoding="utf-8")
        if strict:
            raise ValueError(
                f"{self.messages[0]}. Defects: {len(self.messages)}, all listed in {listing}; nothing was written."
                " Correct them, or skip them with --skip-bad"
            )


def short(key: object) -> object:
    """An id for a message: a number as it is, anything else as `shown`."""
    return key if type(key) is int and abs(key) < 10**20 else shown(key, 40)


def _print(message: str) -> None:
    # Overwrites a progress bar on the line; it redraws itself below.
    print("\r\x1b[K" * sys.stderr.isatty() + message, file=sys.stderr)
