"""The generated part of docs/guides/training.md, from what `make bench-trainers` and `make bench-cold-start` write."""

import json
import statistics
from collections.abc import Iterator
from typing import Any, Final

from generators.markdown import DOCS, between_marks, table

RESULTS: Final = DOCS / "benchmark_trainers.json"
COLD_START: Final = DOCS / "benchmark_cold_start.json"
NAMES: Final = ("verl-vision-r1", "TRL", "floor")
FIGURES: Final = {
    "a step, seconds": "step",
    "generation, with scoring": "generation",
    "update": "update",
    "from the command to the first trained step, seconds": "to the first step",
    "memory at most, GiB": "GiB",
}
"""What a line shows, and its key in a round."""


def page(written: str) -> str:
    """The page with the table of the last benchmark."""
    result, cold = (json.loads(file.read_text(encoding="utf-8")) for file in (RESULTS, COLD_START))
    return between_marks(written, "\n\n".join((*parts(result), cold_start(cold))), "training.md")


def cold_start(result: dict[str, Any]) -> str:
    """A sentence with the medians."""
    rounds = result["rounds"]
    seconds = (f"{name} {statistics.median(found[name] for found in rounds):.0f} seconds" for name in NAMES)
    return (
        "With empty caches (no file in memory, no bytecode), from the command to the end of the first trained step:"
        f" {', '.join(seconds)} ({result['date']}, {result['machine']}, medians of {len(rounds)})."
    )


def parts(result: dict[str, Any]) -> Iterator[str]:
    """Where the figures come from, and the table."""
    rounds = result["rounds"]
    yield (
        f"{result['date']}, {result['machine']}, {len(rounds)} rounds of {result['steps']} steps; medians, and in"
        " brackets times the floor."
    )
    yield table(("", *NAMES), [*_medians(rounds), *_accuracies(rounds[0])])
    if used := _processor_seconds([made[NAMES[0]]["processor seconds"] for made in rounds]):
        yield f"Processor seconds of one of our steps, by the title of the process: {used}."


def _medians(rounds: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for title, key in FIGURES.items():
        found = [statistics.median(made[name][key] for made in rounds) for name in NAMES]
        yield (title, *(f"{value:.2f} ({value / found[-1]:.2f})" for value in found))


def _processor_seconds(rounds: list[dict[str, float]]) -> str:
    """Median of each kind of process, the busiest first, from a tenth of a second on."""
    found = {kind: statistics.median(made.get(kind, 0.0) for made in rounds) for kind in rounds[0]}
    busiest = sorted(found.items(), key=lambda item: -item[1])
    return ", ".join(f"{kind} {value:.1f}" for kind, value in busiest if value >= 0.1)


def _accuracies(first: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """AP of the first round: after the same steps, and after steps that took the same time as ours."""
    ours = f"{100 * first[NAMES[0]]['AP']:.1f}"
    for kind in ("steps", "time"):
        rivals = (f"{100 * first[name][f'AP, same {kind}']:.1f}" for name in NAMES[1:])
        yield (f"AP after the same {kind}", ours, *rivals)
