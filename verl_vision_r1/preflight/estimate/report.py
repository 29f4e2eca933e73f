"""Output of an estimate: one line per figure with its assumptions, or JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from verl_vision_r1.preflight.estimate.figure import Figure, Section


def show(sections: Iterable[Section], console: Console | None = None) -> None:
    """Print the sections."""
    console = console or Console()
    for section in sections:
        console.print(Text(section.title, style="bold"))
        for figure in section.figures:
            console.print(line(figure), soft_wrap=True)


def line(figure: Figure) -> Text:
    """A figure as one line of text.

    Example:
        >>> line(Figure("weights", 4 * 2**30, "bytes", "bfloat16")).plain
        '  weights                                4.0 GiB  bfloat16'
    """
    style = "red" if "does not fit" in figure.basis else ""
    return Text.assemble(
        f"  {figure.name:30} ", (f"{figure.shown:>15}", style or "bold"), "  ", (figure.basis, style or "dim")
    )


def as_json(sections: Iterable[Section]) -> str:
    """The sections as a JSON list of `title` and `figures`: `name`, `value`, `unit`, `basis`. Sizes are in bytes.

    Example:
        >>> print(as_json([Section("Steps", (Figure("steps", 40, "", "given"),))]))
        [
          {
            "title": "Steps",
            "figures": [
              {
                "name": "steps",
                "value": 40,
                "unit": "",
                "basis": "given"
              }
            ]
          }
        ]
    """
    return json.dumps([asdict(section) for section in sections], indent=2)
