"""Output of an estimate: one line per figure with its assumptions, or JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from verl_vision_r1.preflight.estimate.figure import Figure, Section


def verdict(sections: Sequence[Section]) -> str:
    """Whether all phases fit into the memory of a GPU, in one line.

    Example:
        >>> verdict([Section("Training", (Figure("peak: update", 2**30, "bytes", "", fits=False),))])
        'does not fit: peak: update 1.0 GiB; vision-r1 rehearse finds the smallest change'
    """
    peaks = [figure for section in sections for figure in section.figures if figure.fits is not None]
    over = [f"{figure.name} {figure.shown}" for figure in peaks if not figure.fits]
    if over:
        return f"does not fit: {', '.join(over)}; vision-r1 rehearse finds the smallest change"
    worst = max(peaks, key=lambda figure: float(figure.value or 0), default=None)
    return f"fits; {worst.name} {worst.shown}" if worst else "no memory estimated"


def fits(sections: Iterable[Section]) -> bool:
    """Whether no phase exceeds the memory of a GPU."""
    return all(figure.fits is not False for section in sections for figure in section.figures)


def show(sections: Sequence[Section], console: Console | None = None) -> None:
    """Print the verdict and the sections."""
    console = console or Console()
    console.print(Text(verdict(sections), style="green" if fits(sections) else "bold red"), soft_wrap=True)
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
    style = "red" if figure.fits is False else ""
    return Text.assemble(
        f"  {figure.name:30} ", (f"{figure.shown:>15}", style or "bold"), "  ", (figure.basis, style or "dim")
    )


def as_json(sections: Iterable[Section]) -> str:
    """The sections as a JSON list of `title` and `figures`. Sizes are in bytes, durations in seconds.

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
                "basis": "given",
                "lower_bound": false,
                "fits": null
              }
            ]
          }
        ]
    """
    return json.dumps([asdict(section) for section in sections], indent=2)
