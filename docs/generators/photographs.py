"""The generated part of docs/background/photographs.md: the runs of docs/photographs.jsonl."""

from collections.abc import Iterator
from typing import Final

from generators.ablations import provenance
from generators.markdown import DOCS, between_marks
from verl_vision_r1.demo.ablation_results import MeasuredRun, Results
from verl_vision_r1.demo.photograph_table import CHANGE, change, photograph_table
from verl_vision_r1.evaluation.presentation.tables import Grid, markdown

RESULTS: Final = Results(DOCS / "photographs.jsonl")
STEPS: Final = 40
"""Steps of GRPO in each run."""
TRIED: Final = "/tried: "
"""Between the dataset and the description of a run with other settings, whose first point is its supervised model."""


def page(written: str) -> str:
    """The page with the table of all runs, and that of the settings that were tried."""
    runs = RESULTS.runs()
    parts = (markdown(photograph_table(RESULTS, STEPS)), markdown(tried(runs)), provenance(runs))
    return between_marks(written, "\n\n".join(parts), "background/photographs.md")


def tried(runs: list[MeasuredRun]) -> Grid:
    """A line for each run with other settings."""
    rows = ((f"{name}: {settings}", seed, *change(*measures)) for name, settings, seed, *measures in tried_runs(runs))
    return Grid("other settings of GRPO", ("", "seed", *CHANGE), tuple(sorted(rows)))


def tried_runs(runs: list[MeasuredRun]) -> Iterator[tuple[str, str, str, dict[str, float], dict[str, float]]]:
    """Dataset, settings, seed, and the measures before and after GRPO, of each run with other settings."""
    for run in runs:
        name, other, settings = run.variant.partition(TRIED)
        if other:
            first, last = (point.measures[name] for point in run.points)
            yield name, settings, str(run.seed), first, last
