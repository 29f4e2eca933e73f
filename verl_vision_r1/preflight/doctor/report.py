"""Output of the checks: one line each, readable without colours, or a JSON list."""

import json
from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from verl_vision_r1.preflight.doctor.check import Check
from verl_vision_r1.shown import printable

STYLES = {"ok": "green", "failed": "bold red", "unchecked": "yellow", "skipped": "dim"}
UNCHECKED = "could not be checked on this machine (no GPU)"


def show(checks: Iterable[Check], console: Console | None = None, *, elsewhere: bool = False) -> bool:
    """Print each check as it arrives, then the number of checks by state.

    Args:
        checks: The checks.
        console: Where to print.
        elsewhere: Whether the run starts on another machine.

    Returns:
        Whether the run can start, see `passed`.
    """
    console = console or Console()
    done: list[Check] = []
    for check in checks:
        done.append(check)
        console.print(line(check), soft_wrap=True)
        if check.ok is False:
            console.print(Text(printable(f"{'':10}to do: {check.advice}", None)), soft_wrap=True)
    console.print(Text(summary(done)), soft_wrap=True)
    if passed(done, elsewhere=True) and not passed(done, elsewhere=elsewhere):
        console.print(Text("The run cannot start here; --elsewhere if it starts on another machine."), soft_wrap=True)
    return passed(done, elsewhere=elsewhere)


def passed(checks: Iterable[Check], *, elsewhere: bool = False) -> bool:
    """Whether no check failed and, unless the run starts on another machine, each check that it needs was made.

    Example:
        >>> away = Check("GPUs", None, "no GPU", unchecked=True)
        >>> passed([away]), passed([away], elsewhere=True)
        (False, True)
    """
    return not {"failed", "" if elsewhere else "unchecked"} & {check.state for check in checks}


def summary(checks: Iterable[Check]) -> str:
    """The number of checks by state.

    Example:
        >>> summary([Check("python", True, "3.11.2"), Check("GPUs", None, "no GPU", unchecked=True)])
        '1 ok, 1 could not be checked on this machine (no GPU)'
    """
    states = Counter(check.state for check in checks)
    words = {state: state for state in STYLES} | {"unchecked": UNCHECKED}
    return ", ".join(f"{states[state]} {words[state]}" for state in STYLES if states[state])


def line(check: Check) -> Text:
    """A check as one line of text.

    Example:
        >>> line(Check("python", False, "3.9.1, expected >=3.10")).plain
        'FAILED    python           3.9.1, expected >=3.10'
    """
    word = "FAILED" if check.ok is False else check.state
    return Text.assemble((f"{word:10}", STYLES[check.state]), f"{check.name:17}", printable(check.found, None))


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
