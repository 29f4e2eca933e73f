"""Table of the runs on photographs: GRPO beside the supervised model it starts from, and supervised training alone."""

from collections.abc import Iterator
from typing import Final

from verl_vision_r1.demo.ablation_results import MeasuredRun, Results, start_variant
from verl_vision_r1.evaluation.presentation.tables import Grid

GRPO: Final = "/grpo"
SUPERVISED: Final = "/supervised"
HEADING: Final = (
    *("", "seed", "AP, supervised", "AP, then GRPO", "times", "change, 95 % CI"),
    *("AP, supervised for as long", "minutes", "supervised, of these"),
)


def photograph_table(results: Results, steps: int) -> Grid:
    """A line for each dataset and seed. AP in percent; the interval is that of a paired bootstrap over the images."""
    names = dict.fromkeys(run.variant.removesuffix(GRPO) for run in results.runs() if run.variant.endswith(GRPO))
    return Grid(
        f"photographs, {steps} steps of GRPO",
        HEADING,
        tuple(row for name in names for row in _rows(results, name, steps)),
    )


def _rows(results: Results, name: str, steps: int) -> Iterator[tuple[str, ...]]:
    starts, longer = results.of(start_variant(name), 0), results.of(name + SUPERVISED, steps)
    for seed, run in results.of(name + GRPO, steps).items():
        before, after = average_precision(starts[seed], name), average_precision(run, name)
        low, high = (100 * run.measures[name][f"AP_change_{end}"] for end in ("low", "high"))
        minutes = (run.points[-1].seconds / 60, starts[seed].points[-1].seconds / 60)
        yield (
            name,
            str(seed),
            f"{before:.1f}",
            f"{after:.1f}",
            f"{after / before:.2f}" if before else "",
            f"{low:+.1f} to {high:+.1f}",
            f"{average_precision(longer[seed], name):.1f}" if seed in longer else "",
            *(f"{value:.1f}" for value in minutes),
        )


def average_precision(run: MeasuredRun, name: str) -> float:
    """AP of a dataset in percent."""
    return 100 * run.measures[name]["AP"]
