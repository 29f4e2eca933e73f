"""Reward curves: the mean of every criterion at every step, as plotly figures."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from verl_vision_r1.evaluation.predictions.predictions_file import Line, PredictionsFile
from verl_vision_r1.evaluation.presentation.style import CURVES
from verl_vision_r1.report.prompts import identity
from verl_vision_r1.report.rollout_files import RolloutFolder
from verl_vision_r1.training.groups import KINDS, fractions

THRESHOLDS: Final = ("xi0", "xi1", "xi2")


@dataclass(frozen=True)
class Means:
    """The means over the completions of one step.

    Attributes:
        overall: The mean of every number in the lines by key, and the fraction of prompts of each kind as groups/KIND.
        by_source: The same for each data source.
        stage: Index of the current stage of the curriculum.
        thresholds: xi0, xi1, xi2.
        tasks: The tasks of the samples.
        completions: Number of completions.
        broken: Number of truncated lines in the file.
    """

    overall: dict[str, float]
    by_source: dict[str, dict[str, float]]
    stage: int
    thresholds: tuple[float, ...]
    tasks: frozenset[str]
    completions: int
    broken: int


def means_of(file: PredictionsFile) -> Means:
    """The means over the completions of one step, from its rollout file or predictions file."""
    sources: dict[str, list[Line]] = {}
    for line in file.lines:
        sources.setdefault(line.data_source, []).append(line)
    first = file.lines[0].values
    return Means(
        _means(file.lines),
        {source: _means(own) for source, own in sources.items()},
        int(first.get("stage", 0)),
        tuple(first.get(name, 0.0) for name in THRESHOLDS),
        frozenset(line.target.task for line in file.lines),
        len(file.lines),
        len(file.broken),
    )


def _means(lines: list[Line]) -> dict[str, float]:
    scores = [line.values.get("total", line.values.get("score", 0.0)) for line in lines]
    kinds = fractions([identity(line) for line in lines], scores, [line.values for line in lines])
    means = {name: fmean(line.values.get(name, 0.0) for line in lines) for name in lines[0].values}
    return means | {f"groups/{kind}": value for kind, value in kinds.items()}


def criteria_of(values: dict[str, float]) -> list[str]:
    """The criteria among the numbers of a line: those with a raw value too.

    Example:
        >>> criteria_of({"total": 2.0, "recall": 0.5, "recall_raw": 0.7})
        ['recall']
    """
    return [name for name in values if f"{name}_raw" in values]


def read_means(
    folders: Sequence[RolloutFolder], read: Callable[[Path], Means], progress: Callable[..., Any]
) -> dict[str, dict[int, Means]]:
    """The means of every step, by kind (`training` or `validation`) and step."""
    wanted = [(folder.kind, step, file) for folder in folders for step, file in folder.files.items()]
    found: dict[str, dict[int, Means]] = {}
    for kind, step, file in progress(wanted, desc="rollout files", unit="file"):
        found.setdefault(kind, {})[step] = read(file)
    return found


def figures(
    means: dict[str, dict[int, Means]],
    criteria: Sequence[str],
    other: dict[str, dict[int, Means]] | None = None,
    name: str = "",
) -> dict[str, Any]:
    """A figure of all completions, and one for each data source, as plotly JSON: `{"data": [...], "layout": {...}}`.

    Training is a line; raw values (without refinement) are dotted, unless they are equal. Validation is markers. A
    vertical line marks the start of each stage, with its thresholds. The kinds of groups, and the criteria of two
    runs, are drawn once they are selected in the legend.

    Args:
        means: The means by kind and step, from `read_means`.
        criteria: The criteria to draw, in addition to the total reward and `acc`.
        other: The means of a second run, drawn dashed; raw values are then left out.
        name: Its name.

    Returns:
        `overall` and `by_source`.
    """
    every = [steps for run in (means, other or {}) for steps in run.values()]
    sources = dict.fromkeys(source for steps in every for mean in steps.values() for source in mean.by_source)
    groups = [f"groups/{kind}" for kind in KINDS]
    names = ["total", "acc", *criteria, *groups]
    later = {*groups, *(criteria if other else ())}

    def figure(source: str | None) -> dict[str, Any]:
        second = [] if other is None else _traces(other, source, names, DASHED, f", {name}")
        traces = _traces(means, source, names, WITH_RAW if other is None else PLAIN) + second
        for trace in traces:
            if trace["legendgroup"] in later:
                trace["visible"] = "legendonly"
        return {"data": traces, "layout": _layout(means)}

    return {"overall": figure(None), "by_source": {source: figure(source) for source in sources}}


Curve = tuple[str, str, str, str, str]
"""(`training` or `validation`, end of the key, mode, dash and symbol of plotly)."""
PLAIN: Final[tuple[Curve, ...]] = (
    ("training", "", "lines+markers", "solid", "circle"),
    ("validation", "", "markers", "solid", "diamond-open"),
)
WITH_RAW: Final[tuple[Curve, ...]] = (PLAIN[0], ("training", "_raw", "lines", "dot", "circle"), PLAIN[1])
DASHED: Final[tuple[Curve, ...]] = (
    ("training", "", "lines+markers", "dash", "circle-open"),
    ("validation", "", "markers", "solid", "square-open"),
)


def _traces(
    means: dict[str, dict[int, Means]],
    source: str | None,
    names: Sequence[str],
    curves: Sequence[Curve],
    end: str = "",
) -> list[dict[str, Any]]:
    traces = []
    for index, name in enumerate(names):
        colour = CURVES[index % len(CURVES)][0]
        refined = _points(means.get("training", {}), source, name)
        for kind, key_end, mode, dash, symbol in curves:
            # Most validations have one completion per prompt, which is no group.
            grouped = name.startswith("groups/") and kind == "validation"
            points = [] if grouped else _points(means.get(kind, {}), source, name + key_end)
            if points and (mode != "lines" or points != refined):
                said = f"{name}{key_end}{', validation' * (kind == 'validation')}{end}"
                trace = _trace(points, html.escape(said), colour, mode, dash)
                trace["marker"] |= {"size": 4 if kind == "training" else 9, "symbol": symbol}
                traces.append(trace | {"legendgroup": name})
    return traces


def _trace(points: list[tuple[int, float]], name: str, colour: str, mode: str, dash: str) -> dict[str, Any]:
    return {
        **{"x": [step for step, _ in points], "y": [value for _, value in points]},
        **{"type": "scatter", "mode": mode, "name": name},
        "line": {"color": colour, "dash": dash, "width": 1.5},
        "marker": {"color": colour},
    }


def _points(steps: dict[int, Means], source: str | None, key: str) -> list[tuple[int, float]]:
    """The mean of a number at each step; of all data sources if `source` is None."""
    ordered = sorted(steps.items())
    values = [(step, mean.overall if source is None else mean.by_source.get(source, {})) for step, mean in ordered]
    return [(step, found[key]) for step, found in values if key in found]


def _layout(means: dict[str, dict[int, Means]]) -> dict[str, Any]:
    starts = _stage_starts(means.get("training", {}))
    return {
        "xaxis": {"title": {"text": "step"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "mean over completions"}, "rangemode": "tozero"},
        "margin": {"l": 50, "r": 10, "t": 30, "b": 40},
        "height": 250,
        "hovermode": "x unified",
        "shapes": [
            {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": {"dash": "dash", "width": 1}}
            for x, _ in starts
        ],
        "annotations": [
            {"x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "left", "showarrow": False, "text": text}
            for x, text in starts
        ],
    }


def _stage_starts(steps: dict[int, Means]) -> list[tuple[float, str]]:
    """The start of each stage but the first, half a step before its first file, and its thresholds."""
    ordered = sorted(steps.items())
    return [
        (step - 0.5, f"stage {mean.stage}: {thresholds_in_words(mean.thresholds)}")
        for (_, before), (step, mean) in pairwise(ordered)
        if mean.stage != before.stage
    ]


def thresholds_in_words(thresholds: Sequence[float]) -> str:
    """The thresholds of a stage, in the order of `THRESHOLDS`.

    Example:
        >>> thresholds_in_words((0.5, 0.5, 0.75))
        'xi0 0.5, xi1 0.5, xi2 0.75'
    """
    return ", ".join(f"{name} {value:g}" for name, value in zip(THRESHOLDS, thresholds, strict=True))
