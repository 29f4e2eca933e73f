"""The generated part of docs/background/ablations.md: the tables of docs/ablations.jsonl (`make ablations`)."""

from collections.abc import Iterator, Sequence
from typing import Final

from generators.markdown import DOCS, between_marks
from verl_vision_r1.demo.ablation_results import MeasuredRun, Results
from verl_vision_r1.demo.ablations import ablation_tables
from verl_vision_r1.evaluation.presentation.tables import markdown

RESULTS: Final = Results(DOCS / "ablations.jsonl")


def page(written: str) -> str:
    """The page with the tables of all measured runs."""
    return between_marks(written, "\n\n".join(tables()), "background/ablations.md")


def tables() -> Iterator[str]:
    """The tables by number of steps, and where the figures come from."""
    runs = RESULTS.runs()
    for steps in sorted({run.steps for run in runs if run.steps}):
        yield from map(markdown, ablation_tables(RESULTS, steps))
    yield provenance(runs)


def provenance(runs: Sequence[MeasuredRun]) -> str:
    """How many runs there are, when they were made and on which machines."""
    dates, machines = sorted({run.date for run in runs}), sorted({run.hardware for run in runs})
    when = f"of {dates[0]}" if len(dates) == 1 else f"from {dates[0]} to {dates[-1]}"
    return f"{len(runs)} runs {when}, each on {' or '.join(machines)}."
