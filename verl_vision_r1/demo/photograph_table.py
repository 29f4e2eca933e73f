"""Table of the runs on photographs: GRPO beside the supervised model it starts from, and supervised training alone."""

from collections.abc import Iterator, Mapping
from typing import Final

from verl_vision_r1.demo.ablation_results import Results, start_variant
from verl_vision_r1.evaluation.presentation.tables import Grid

GRPO: Final = "/grpo"
SUPERVISED: Final = "/supervised"
CHANGE: Final = ("AP, supervised", "AP, then GRPO", "times", "change, 95 % CI")
HEADING: Final = (
    *("", "seed", *CHANGE),
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
        minutes = (run.points[-1].seconds / 60, starts[seed].points[-1].seconds / 60)
        yield (
            name,
            str(seed),
            *change(starts[seed].measures[name], run.measures[name]),
            f"{100 * longer[seed].measures[name]['AP']:.1f}" if seed in longer else "",
            *(f"{value:.1f}" for value in minutes),
        )


def change(first: Mapping[str, float], last: Mapping[str, float]) -> tuple[str, str, str, str]:
    """AP before and after in percent, their ratio, and the interval of the change in points.

    Args:
        first: Measures of the supervised model.
        last: Measures after GRPO, with the ends of the interval.
    """
    before, after = 100 * first["AP"], 100 * last["AP"]
    low, high = (100 * last[f"AP_change_{end}"] for end in ("low", "high"))
    times = f"{after / before:.2f}" if before else ""
    return f"{before:.1f}", f"{after:.1f}", times, f"{low:+.1f} to {high:+.1f}"
