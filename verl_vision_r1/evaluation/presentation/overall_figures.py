"""Figures over all categories: AP by object size, calibration, and two runs compared."""

from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Final

import numpy as np

from verl_vision_r1.evaluation.measures.average_precision import AveragePrecision
from verl_vision_r1.evaluation.measures.calibration import Calibration, expected_calibration_error
from verl_vision_r1.evaluation.measures.risk_coverage import RiskCoverage
from verl_vision_r1.evaluation.presentation.style import BLUE, GREY, PRINTED, RED, SKY, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES: Final = {
    "AP": "All",
    "AP_small": "Small\nbelow 32² px",
    "AP_medium": "Medium\n32² to 96² px",
    "AP_large": "Large\nabove 96² px",
}


@dataclass(frozen=True)
class Comparison:
    """The same metrics of two runs.

    Attributes:
        before: Metrics of the first run by name, in [0, 1].
        after: Metrics of the second run.
        intervals: Lower and upper end of the 95 % CI of `after - before`, for metrics that have one.
        names: Names of the runs.
    """

    before: dict[str, float]
    after: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    names: tuple[str, str] = ("Before", "After")


def draw_by_size(axes: "Axes", ap: AveragePrecision) -> None:
    """Draw AP of small, medium and large objects, by COCO's limits."""
    values = [ap.values[name] for name in SIZES]
    bars = axes.bar(range(len(SIZES)), np.nan_to_num(values), color=[GREY, SKY, BLUE, "#003d66"], width=0.6)
    axes.bar_label(bars, ["no objects" if isnan(value) else f"{value:.3f}" for value in values], padding=3)
    axes.set_xticks(range(len(SIZES)), list(SIZES.values()))
    axes.set(
        ylim=(0, min(1.05, max(0.1, 1.15 * float(np.nan_to_num(values).max())))),
        ylabel="AP",
        xlabel="Object size (area)",
    )
    axes.set_title("AP by object size", fontsize=11)


def draw_calibration(axes: "Axes", found: Calibration) -> None:
    """Draw a reliability diagram: precision by confidence; a calibrated model is on the diagonal."""
    bins = len(found.predictions)
    centres = (np.arange(bins) + 0.5) / bins
    axes.bar(centres, np.nan_to_num(found.precision), width=0.94 / bins, color="#b5d4e9", label="Precision")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="Perfect calibration")
    axes.plot(found.confidence, found.precision, "D", color=RED, markersize=6, label="Mean confidence of the bin")
    for centre, number in zip(centres, found.predictions.tolist(), strict=True):
        axes.text(centre, 1.035, f"{number:,}", ha="center", fontsize=8, color=GREY)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Confidence", ylabel="Precision (IoU = 0.5)")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    error = expected_calibration_error(found)
    axes.set_title(
        f"Reliability diagram: {found.predictions.sum():,} predictions, expected calibration error (ECE) {error:.3f}",
        fontsize=11,
        pad=22,
    )


def draw_risk_coverage(axes: "Axes", curve: RiskCoverage) -> None:
    """Draw the fraction of false positives among the most confident predictions, by how many are kept."""
    axes.step(curve.coverage, curve.risk, where="pre", color=BLUE, linewidth=1.6, label="By confidence")
    if len(curve.risk):
        axes.axhline(curve.risk[-1], color=GREY, linestyle="--", linewidth=1, label="Without a ranking")
        axes.legend(loc="upper left", frameon=False, fontsize=9)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.02),
        xlabel="Coverage (fraction of predictions kept)",
        ylabel="Risk (1 - precision, IoU = 0.5)",
    )
    axes.set_title(f"Risk and coverage: area under the curve (AURC) {curve.area:.3f}", fontsize=11)


def draw_before_after(axes: "Axes", comparison: Comparison) -> None:
    """Draw each metric of two runs side by side, with the difference and its 95 % CI."""
    before, after = comparison.before, comparison.after
    names = [name for name in before if name in after and not isnan(before[name]) and not isnan(after[name])]
    places = np.arange(len(names))
    for values, shift, colour, run in zip((before, after), (-0.2, 0.2), (SKY, BLUE), comparison.names, strict=True):
        axes.barh(places + shift, [values[name] for name in names], height=0.38, color=colour, label=shown(run, 40))
    ends = [max(before[name], after[name]) for name in names]
    right = max(0.05, *ends) if ends else 1.0
    for place, name, end in zip(places.tolist(), names, ends, strict=True):
        text = difference(after[name] - before[name], comparison.intervals.get(name))
        axes.text(end + 0.015 * right, place, text, va="center", fontsize=8)
    axes.set_yticks(places, [shown(PRINTED.get(name, name)) for name in names])
    axes.set(xlim=(0, 1.75 * right), ylim=(max(len(names), 6) - 0.4, -0.6), xlabel="Value")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False, fontsize=9)
    axes.set_title("Before and after: difference [95 % CI]", fontsize=11)


def difference(change: float, interval: tuple[float, float] | None) -> str:
    """Format a difference and its 95 % CI.

    Example:
        >>> difference(0.004, (-0.01, 0.02))
        '+0.004 [-0.010, +0.020] includes 0'
    """
    if interval is None or any(map(isnan, interval)):
        return f"{change:+.3f}"
    note = " includes 0" if interval[0] <= 0 <= interval[1] else ""
    return f"{change:+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}]{note}"
