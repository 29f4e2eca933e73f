"""The generated part of docs/background/photographs.md: the runs of docs/photographs.jsonl."""

from typing import Final

from generators.ablations import provenance
from generators.markdown import DOCS, between_marks
from verl_vision_r1.demo.ablation_results import Results
from verl_vision_r1.demo.photograph_table import photograph_tables
from verl_vision_r1.evaluation.presentation.tables import markdown

RESULTS: Final = Results(DOCS / "photographs.jsonl")
STEPS: Final = 40
"""Steps of GRPO in each run."""


def page(written: str) -> str:
    """The page with the tables of all runs."""
    parts = (*map(markdown, photograph_tables(RESULTS, STEPS)), provenance(RESULTS.runs()))
    return between_marks(written, "\n\n".join(parts), "background/photographs.md")
