"""Output of a rehearsal: the verdict in the first line, then a table of the steps, or JSON."""

import dataclasses
import json
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from verl_vision_r1.preflight.rehearse.step import Step
from verl_vision_r1.shown import printable

STATES = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: ("skipped", "dim")}
NOT_SHOWN = "Not shown: kernels, NCCL, speed, fragmentation, and the real memory of the rollout engine."


def line(name: str, step: Step) -> str:
    """A step as a line of progress.

    Example:
        >>> line("placement", Step(True, "1 node x 8 GPUs"))
        'placement: ok: 1 node x 8 GPUs'
    """
    return f"{name}: {STATES[step.ok][0]}: {step.found}"


def verdict(steps: Mapping[str, Step]) -> str:
    """Whether the run would run, in one line.

    Args:
        steps: The results by name.

    Example:
        >>> verdict({"training": Step(False, "95.2 GiB of 80.0 GiB", advice="vision_r1/engine=fsdp2_offload")})
        'would not run: training: 95.2 GiB of 80.0 GiB; try vision_r1/engine=fsdp2_offload'
        >>> verdict({"training": Step(None, "Megatron-Core has no CPU path")})
        'would run, as far as rehearsed; skipped: training'
    """
    for name, step in steps.items():
        if step.ok is False:
            return f"would not run: {name}: {step.found}" + (f"; try {step.advice}" if step.advice else "")
    skipped = ", ".join(name for name, step in steps.items() if step.ok is None)
    return f"would run, as far as rehearsed; skipped: {skipped}" if skipped else "would run"


def would_run(steps: Mapping[str, Step]) -> bool:
    """Whether no step failed."""
    return all(step.ok is not False for step in steps.values())


def show(steps: Mapping[str, Step], console: Console | None = None) -> None:
    """Print the verdict and the table."""
    console = console or Console()
    console.print(
        Text(printable(verdict(steps), None)), style="green" if would_run(steps) else "bold red", soft_wrap=True
    )
    table = Table("step", "result", "found", "limit", box=None, padding=(0, 2, 0, 0))
    for name, step in steps.items():
        word, style = STATES[step.ok]
        table.add_row(name, Text(word, style), *(Text(printable(text, None)) for text in (step.found, step.limit)))
    console.print(table)
    console.print(Text(NOT_SHOWN, style="dim"), soft_wrap=True)


def as_json(steps: Mapping[str, Step]) -> str:
    """The verdict and the steps as JSON. Figures are bytes, tokens and counts."""
    results = {name: dataclasses.asdict(step) for name, step in steps.items()}
    return json.dumps({"would_run": would_run(steps), "verdict": verdict(steps), "steps": results}, indent=2)
