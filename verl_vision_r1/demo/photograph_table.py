"""Tables of the runs on photographs: GRPO beside supervised training alone, and other settings of GRPO."""

from collections.abc import Iterator, Mapping
from typing import Final

from verl_vision_r1.demo.ablation_results import MeasuredRun, Results, start_variant
from verl_vision_r1.evaluation.presentation.tables import Grid

GRPO: Final = "/grpo"
SUPERVISED: Final = "/supervised"
TRIED: Final = "/tried: "
"""Between the dataset and other settings of GRPO. The first point of such a run is its supervised model."""
CHANGE: Final = ("AP, supervised", "AP, then GRPO", "times", "change, 95 % CI")
HEADING: Final = (
    *("", "seed", *CHANGE),
    *("AP, supervised for as long", "minutes", "supervised, of these"),
)


def photograph_tables(results: Results, steps: int) -> list[Grid]:
    """The tables of the finished runs: the demo's own settings, and others. A table without a run is left out."""
    return [grid for make in (photograph_table, tried_table) if (grid := make(results, steps)).rows]


def photograph_table(results: Results, steps: int) -> Grid:
    """A line for each dataset and seed. AP in percent; the interval is that of a paired bootstrap over the images."""
    names = dict.fromkeys(run.variant.removesuffix(GRPO) for run in results.runs() if run.variant.endswith(GRPO))
    return Grid(
        f"photographs, {steps} steps of GRPO",
        HEADING,
        tuple(row for name in names for row in _rows(results, name, steps)),
    )


def tried_table(results: Results, steps: int) -> Grid:
    """A line for each run with other settings of GRPO."""
    rows = (
        (f"{name}: {settings.replace('actor_rollout_ref.', '')}", str(run.seed), *change(*measures))
        for name, settings, run, measures in tried_runs(results, steps)
    )
    return Grid("other settings of GRPO", ("", "seed", *CHANGE), tuple(sorted(rows)))


def tried_runs(results: Results, steps: int) -> Iterator[tuple[str, str, MeasuredRun, list[dict[str, float]]]]:
    """Dataset, settings, and the measures before and after GRPO, of each run with other settings."""
    for run in results.runs():
        name, tried, settings = run.variant.partition(TRIED)
        if tried and run.steps == steps:
            yield name, settings, run, [point.measures[name] for point in run.points]


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
