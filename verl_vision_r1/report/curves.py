"""The mean of every criterion in every step, as figures of plotly."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from verl_vision_r1.evaluation.predictions.predictions_file import PredictionsFile
from verl_vision_r1.evaluation.presentation.figures import CURVES
from verl_vision_r1.report.rollout_files import RolloutFolder

ALL: Final = "all"
"""Of all data sources together."""
THRESHOLDS: Final = ("xi0", "xi1", "xi2")


@dataclass(frozen=True)
class Means:
    """The means of one step.

    Attributes:
        by_source: Of each data source and of `ALL`, the mean of every number that the answers carry.
        stage: The index of the stage in force.
        thresholds: xi0, xi1, xi2.
        tasks: The tasks of the answers.
        answers: Answers that the means are of.
        broken: Lines of the dump that are cut off.
    """

    by_source: dict[str, dict[str, float]]
    stage: int
    thresholds: tuple[float, ...]
    tasks: frozenset[str]
    answers: int
    broken: int


def means_of(dump: PredictionsFile) -> Means:
    """The means over the answers of a step."""
    sources = {ALL: dump.lines}
    for line in dump.lines:
        sources.setdefault(line.data_source, []).append(line)
    first = dump.lines[0].values
    return Means(
        {
            source: {name: fmean(line.values.get(name, 0.0) for line in held) for name in held[0].values}
            for source, held in sources.items()
        },
        int(first.get("stage", 0)),
        tuple(first.get(name, 0.0) for name in THRESHOLDS),
        frozenset(line.target.task for line in dump.lines),
        len(dump.lines),
        len(dump.broken),
    )


def criteria_of(values: dict[str, float]) -> list[str]:
    """The criteria among the numbers that an answer carries: those that have a raw value beside them.

    Example:
        >>> criteria_of({"total": 2.0, "recall": 0.5, "recall_raw": 0.7})
        ['recall']
    """
    return [name for name in values if f"{name}_raw" in values]


def read_means(
    folders: Sequence[RolloutFolder], read: Callable[[Path], Means], progress: Callable[..., Any]
) -> dict[str, dict[int, Means]]:
    """The means of every step of every kind."""
    wanted = [(folder.kind, step, file) for folder in folders for step, file in folder.files.items()]
    found: dict[str, dict[int, Means]] = {}
    for kind, step, file in progress(wanted, desc="dumps", unit="file"):
        found.setdefault(kind, {})[step] = read(file)
    return found


def figures(means: dict[str, dict[int, Means]], criteria: Sequence[str]) -> dict[str, Any]:
    """A figure for each data source, as plotly's JSON: `{"data": [...], "layout": {...}}`.

    The training is a line, its raw values (refinement off) dotted where they are others, validations are marks. Where
    a stage begins, a vertical line says which thresholds hold from there.

    Args:
        means: The means of each step of each kind.
        criteria: Which criteria to draw beside the total.
    """
    sources = dict.fromkeys(source for steps in means.values() for held in steps.values() for source in held.by_source)
    names = ["total", *criteria]
    return {source: {"data": _traces(means, source, names), "layout": _layout(means)} for source in sources}


def _traces(means: dict[str, dict[int, Means]], source: str, names: Sequence[str]) -> list[dict[str, Any]]:
    traces = []
    for index, name in enumerate(names):
        colour = CURVES[index % len(CURVES)][0]
        styles = [("training", name, "lines+markers", "solid"), ("training", f"{name}_raw", "lines", "dot")]
        refined = _points(means.get("training", {}), source, name)
        for kind, key, mode, dash in [*styles, ("validation", name, "markers", "solid")]:
            points = _points(means.get(kind, {}), source, key)
            if points and (mode != "lines" or points != refined):
                traces.append(
                    {
                        **{"x": [step for step, _ in points], "y": [value for _, value in points]},
                        **{"type": "scatter", "mode": mode, "legendgroup": name},
                        "name": html.escape(key if kind == "training" else f"{key}, validation"),
                        "line": {"color": colour, "dash": dash, "width": 1.5},
                        "marker": {"color": colour, "size": 4 if kind == "training" else 9, "symbol": _SYMBOL[kind]},
                    }
                )
    return traces


_SYMBOL: Final = {"training": "circle", "validation": "diamond-open"}


def _points(steps: dict[int, Means], source: str, key: str) -> list[tuple[int, float]]:
    return [
        (step, held.by_source[source][key])
        for step, held in sorted(steps.items())
        if key in held.by_source.get(source, ())
    ]


def _layout(means: dict[str, dict[int, Means]]) -> dict[str, Any]:
    switches = _switches(means.get("training", {}))
    return {
        "xaxis": {"title": {"text": "step"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "mean of the answers"}, "rangemode": "tozero"},
        "margin": {"l": 50, "r": 10, "t": 30, "b": 40},
        "height": 320,
        "hovermode": "x unified",
        "shapes": [
            {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": {"dash": "dash", "width": 1}}
            for x, _ in switches
        ],
        "annotations": [
            {"x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "left", "showarrow": False, "text": text}
            for x, text in switches
        ],
    }


def _switches(steps: dict[int, Means]) -> list[tuple[float, str]]:
    """Where a stage begins that is not the first: half a step before the first dump in it, and its thresholds."""
    ordered = sorted(steps.items())
    return [
        (step - 0.5, f"stage {held.stage}: {_named(held.thresholds)}")
        for (_, before), (step, held) in pairwise(ordered)
        if held.stage != before.stage
    ]


def _named(thresholds: Sequence[float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in zip(THRESHOLDS, thresholds, strict=True))
