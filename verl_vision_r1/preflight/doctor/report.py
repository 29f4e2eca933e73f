"""Output of the checks: one line each, readable without colours, or a JSON list."""

import json
from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from verl_vision_r1.preflight.doctor.check import Check
from verl_vision_r1.shown import printable

STYLES = {"ok": "green", "failed": "bold red", "skipped": "dim"}


def show(checks: Iterable[Check], console: Console | None = None) -> bool:
    """Print each check as it arrives, then the number of checks by state.

    Returns:
        True if no check failed.
    """
    console = console or Console()
    states: Counter[str] = Counter()
    for check in checks:
        states[check.state] += 1
        console.print(line(check), soft_wrap=True)
        if check.ok is False:
            console.print(Text(printable(f"{'':9}to do: {check.advice}", None)), soft_wrap=True)
    console.print(Text(", ".join(f"{count} {state}" for state, count in states.items())), soft_wrap=True)
    return not states["failed"]


def line(check: Check) -> Text:
    """A check as one line of text.

    Example:
        >>> line(Check("python", False, "3.9.1, expected >=3.10")).plain
        'FAILED   python           3.9.1, expected >=3.10'
    """
    word = "FAILED" if check.ok is False else check.state
    return Text.assemble((f"{word:9}", STYLES[check.state]), f"{check.name:17}", printable(check.found, None))


def as_json(checks: Iterable[Check]) -> str:
    """The checks as a JSON list of `name`, `state`, `found` and `advice`.

    Example:
        >>> print(as_json([Check("python", True, "3.11.2")]))
        [
          {
            "name": "python",
            "state": "ok",
            "found": "3.11.2",
            "advice": ""
          }
        ]
    """
    fields = ("name", "state", "found", "advice")
    return json.dumps([{field: getattr(check, field) for field in fields} for check in checks], indent=2)
