"""Figures of a detection run that people look at, each on axes of its own and all on one page.

matplotlib is an optional extra, `pip install "verl-vision-r1[eval]"`, used without pyplot: no window, no state.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.evaluation.measures.average_precision import AveragePrecision
from verl_vision_r1.evaluation.measures.calibration import Calibration, calibration, expected_calibration_error
from verl_vision_r1.evaluation.measures.confusion import confusion
from verl_vision_r1.evaluation.measures.f1 import Counts, Matches, counts_by_category
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, SKY, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#56b4e9", "#e69f00", "#009e73", "#767676"
"""Okabe and Ito's colours, which stay apart for eyes that confuse red with green."""
CURVES: Final = [(colour, line) for line in ("-", "--") for colour in (BLUE, RED, SKY, ORANGE, GREEN)]
SHOWN: Final = 30
"""Categories that a figure names at most: more could not be read."""
WRITTEN_IN_CELLS: Final = 12
"""Categories up to which the confusion's numbers are written into its cells."""
SIZES: Final = {
    "AP": "all",
    "AP_small": "small\nbelow 32² px",
    "AP_medium": "medium\n32² to 96² px",
    "AP_large": "large\nabove 96² px",
}
FAMILIES: Final = (
    *("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Arial Unicode MS"),
)
"""Fonts in the order in which they are asked for a letter; matplotlib brings the first."""


@dataclass(frozen=True)
class Comparison:
    """The same measures of two runs.

    Attributes:
        before: Values by the measure's name, in [0, 1].
        after: The same measures of the other run.
        intervals: Lower and upper end of the interval of the difference after - before, where it is known.
        names: What the runs are called.
    """

    before: dict[str, float]
    after: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    names: tuple[str, str] = ("before", "after")


def save_figures(
    out: Path,
    truth: GroundTruth,
    detections: Detections,
    ap: AveragePrecision,
    matches: Matches,
    comparison: Comparison | None = None,
) -> list[Path]:
    """Draw everything there is to see of a run.

    Args:
        out: The folder for the images; it is made.
        truth: What is in the images.
        detections: What was said.
        ap: COCO's measures of it.
        matches: `f1.match` of the two.
        comparison: This run beside another, where there is one.

    Returns:
        `precision_recall.png`, `by_category.png`, `by_size.png`, `confusion.png`; `calibration.png` where there are
        confidences; `before_after.png` where there is another run; `page.png` with all of them.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager

    panels = _panels(truth, detections, ap, matches, comparison)
    known = {font.name for font in fontManager.ttflist}
    families: dict[Any, Any] = {"font.family": [family for family in FAMILIES if family in known]}
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with matplotlib.rc_context(families), warnings.catch_warnings():
        # A letter that no font has is drawn as a box; that is enough said.
        warnings.filterwarnings("ignore", message="Glyph")
        for name, draw in panels.items():
            figure = Figure(figsize=(8, 7), layout="constrained")
            draw(figure.add_subplot())
            written.append(_saved(figure, out / f"{name}.png"))
        columns = 2 if len(panels) <= 4 else 3
        page = Figure(figsize=(7.2 * columns, 12.6), layout="constrained")
        for axes, draw in zip(page.subplots(2, columns).flat, panels.values(), strict=False):
            draw(axes)
        for axes in page.axes[len(panels) : 2 * columns]:
            axes.set_axis_off()
        written.append(_saved(page, out / "page.png"))
    return written


def _panels(
    truth: GroundTruth, detections: Detections, ap: AveragePrecision, matches: Matches, comparison: Comparison | None
) -> dict[str, Callable[["Axes"], None]]:
    """What is drawn, by the name of its file."""
    counts = counts_by_category(truth, detections, matches)
    table = confusion(truth, detections)
    panels: dict[str, Callable[[Axes], None]] = {
        "precision_recall": lambda axes: draw_precision_recall(axes, truth, ap, counts, detections.constant),
        "by_category": lambda axes: draw_by_category(axes, truth, ap, counts),
        "by_size": lambda axes: draw_by_size(axes, ap),
        "confusion": lambda axes: draw_confusion(axes, truth, table),
    }
    if not detections.constant:
        judged = ~matches.ignored[:, 0]
        held = calibration(detections.scores[judged], matches.hit[judged, 0])
        panels["calibration"] = lambda axes: draw_calibration(axes, held)
    if comparison is not None:
        panels["before_after"] = lambda axes: draw_before_after(axes, comparison)
    return panels


def draw_precision_recall(
    axes: "Axes", truth: GroundTruth, ap: AveragePrecision, counts: Counts, constant: bool
) -> None:
    """Precision over recall at an IoU of 0.5, by category.

    Args:
        axes: Where to draw.
        truth: For the categories' names.
        ap: Its interpolated precision makes the curves.
        counts: By category, (K, T); the points where there are no curves.
        constant: Whether all scores are alike: then there is no ranking, hence no curve, but a point per category.
    """
    if constant:
        _draw_points(axes, truth, counts)
    else:
        _draw_curves(axes, truth, ap, counts)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")


def _draw_curves(axes: "Axes", truth: GroundTruth, ap: AveragePrecision, counts: Counts) -> None:
    recalls = np.linspace(0, 1, ap.precision.shape[1])
    chosen = most_objects(counts.objects[:, 0], len(CURVES))
    for category, (colour, line) in zip(chosen, CURVES, strict=False):
        # Beyond the greatest recall there is no precision, which COCO writes as 0.
        height = np.where(ap.precision[category] > 0, ap.precision[category], np.nan)
        name = f"{ap.by_category_50[category]:.2f}  {shown(truth.categories[category])}"
        axes.plot(recalls, height, color=colour, linestyle=line, linewidth=1.4, label=name)
    known = ap.precision[~np.isnan(ap.precision).any(axis=1)]
    if len(known):
        axes.plot(recalls, known.mean(axis=0), color="black", linewidth=2.6, label=f"{known.mean():.2f}  mean of all")
        axes.legend(title="AP50", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    axes.set_title(f"Precision and recall at IoU 0.5{_of(len(chosen), len(known))}", fontsize=11)


def _draw_points(axes: "Axes", truth: GroundTruth, counts: Counts) -> None:
    objects = counts.objects[:, 0]
    recall, precision = counts.recall[:, 0], counts.precision[:, 0]
    drawn = np.array([place for place in most_objects(objects, len(objects)) if not isnan(precision[place])], np.intp)
    _draw_equal_f1(axes)
    areas = 12 + 250 * objects[drawn] / max(1, objects.max(initial=1))
    axes.scatter(recall[drawn], precision[drawn], s=areas, color=BLUE, alpha=0.55, edgecolor="white", clip_on=False)
    pooled = counts.total()
    all_ = axes.scatter(pooled.recall[:1], pooled.precision[:1], marker="D", s=60, color=RED, zorder=3, clip_on=False)
    axes.legend([all_], ["all objects together"], loc="lower left", frameon=False, fontsize=9)
    spots = np.stack([recall[drawn], precision[drawn]], axis=1)
    _label_spots(axes, [shown(truth.categories[place], 16) for place in drawn], spots, np.sqrt(areas) / 2)
    silent = int(((objects > 0) & np.isnan(precision)).sum())
    axes.set_title(
        "Precision and recall at IoU 0.5: no confidences, so a point per category and no curve\n"
        f"size: number of objects{f'; never predicted, so without a point: {silent}' if silent else ''}",
        fontsize=10,
    )


def _draw_equal_f1(axes: "Axes") -> None:
    """Lines on which F1 is the same."""
    for f1 in (0.2, 0.4, 0.6, 0.8):
        recall = np.linspace(f1 / (2 - f1), 1, 500)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color="#c8c8c8", linewidth=0.9, zorder=0)
        axes.text(1.01, f1 / (2 - f1), f"F1 {f1}", color=GREY, fontsize=8, va="center")


def _label_spots(
    axes: "Axes", names: Sequence[str], spots: NDArray[np.float64], radii: NDArray[np.float64], size: float = 8
) -> None:
    """Write names beside spots, the first ones first, where no other name or spot is.

    Args:
        axes: Drawn over [0, 1] along x and y.
        names: What to write.
        spots: (N, 2) where.
        radii: (N,) of the spots, in points.
        size: Of the letters, in points.
    """
    extent = axes.get_window_extent().transformed(axes.figure.dpi_scale_trans.inverted())
    scale = np.array([extent.width, extent.height]) * 72
    centres = spots * scale
    taken = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(centres, radii * 0.7, strict=True)]
    for name, (x, y), radius in zip(names, centres, radii, strict=True):
        wide, high, gap = 0.6 * size * len(name), 1.2 * size, radius + 1
        corners = [(x + gap, y - high / 2, "left"), (x - gap - wide, y - high / 2, "right")]
        corners += [(x - wide / 2, y + gap, "center"), (x - wide / 2, y - gap - high, "center")]
        for left, bottom, side in corners:
            box = (left, bottom, left + wide, bottom + high)
            inside = left >= 0 and bottom >= 0 and box[2] <= scale[0] and box[3] <= scale[1]
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                across = left + {"left": 0, "center": wide / 2, "right": wide}[side]
                places = across / scale[0], (bottom + high / 2) / scale[1]
                axes.text(places[0], places[1], name, fontsize=size, ha=side, va="center", zorder=4)
                break


def _overlap(first: Sequence[float], second: Sequence[float]) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def draw_by_category(axes: "Axes", truth: GroundTruth, ap: AveragePrecision, counts: Counts) -> None:
    """AP, AP50 and F1 of the categories, those with most objects first.

    Args:
        axes: Where to draw.
        truth: For the names.
        ap: AP by category.
        counts: By category, (K, T).
    """
    objects = counts.objects[:, 0]
    chosen = most_objects(objects, SHOWN)
    places = np.arange(len(chosen))
    axes.barh(places, ap.by_category_50[chosen], height=0.8, color="#b5d4e9", label="AP50")
    axes.barh(places, ap.by_category[chosen], height=0.45, color=BLUE, label="AP")
    marks: dict[str, Any] = {"color": RED, "markersize": 4.5, "clip_on": False, "in_layout": False}
    # Not in the layout: without categories the marks extend to nowhere, and the page would make room for that.
    axes.plot(counts.f1[chosen, 0], places, "D", label="F1 at IoU 0.5", **marks)
    names = [f"{shown(truth.categories[place])} ({objects[place]})" for place in chosen]
    axes.set_yticks(places, names, fontsize=8)
    # A few categories do not fill the height with bars as thick as walls.
    axes.set(xlim=(0, 1), ylim=(max(len(chosen), 8) - 0.4, -0.6))
    axes.grid(axis="x", color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.04), ncols=3, frameon=False, fontsize=9)
    axes.set_title(f"By category (number of objects){_of(len(chosen), int((objects > 0).sum()))}", fontsize=11)


def draw_by_size(axes: "Axes", ap: AveragePrecision) -> None:
    """AP of small, medium and large objects, by COCO's bounds."""
    values = [ap.values[name] for name in SIZES]
    bars = axes.bar(range(len(SIZES)), np.nan_to_num(values), color=[GREY, SKY, BLUE, "#003d66"], width=0.6)
    axes.bar_label(bars, ["no objects" if isnan(value) else f"{value:.3f}" for value in values], padding=3)
    axes.set_xticks(range(len(SIZES)), list(SIZES.values()))
    axes.set(ylim=(0, min(1.05, max(0.1, 1.15 * float(np.nan_to_num(values).max())))), ylabel="AP")
    axes.set_title("AP by size of the objects", fontsize=11)


def draw_confusion(axes: "Axes", truth: GroundTruth, table: NDArray[np.int64]) -> None:
    """What was said of what is there, coloured by the share of its row.

    Args:
        axes: Where to draw.
        truth: For the names.
        table: (K + 1, K + 1) counts of `confusion.confusion`.
    """
    objects = table[:-1].sum(axis=1)
    met = objects + table[-1, :-1]
    chosen = most_objects(objects, SHOWN, met)
    kept = np.append(chosen, len(table) - 1)
    whole = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, whole, out=np.zeros(table.shape), where=whole > 0)[np.ix_(kept, kept)]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [*(shown(truth.categories[place], 18) for place in chosen), "nothing"]
    size = 9 if len(chosen) <= WRITTEN_IN_CELLS else 7
    axes.set_yticks(range(len(kept)), names, fontsize=size)
    axes.set_xticks(range(len(kept)), names, fontsize=size, rotation=90)
    axes.set(xlabel="what was said", ylabel="what is there")
    for edge in (axes.axhline, axes.axvline):
        edge(len(chosen) - 0.5, color=GREY, linewidth=0.8)
    if len(chosen) <= WRITTEN_IN_CELLS:
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 0.5 else "black"
            number = str(table[kept[row], kept[column]])
            axes.text(column, row, number, ha="center", va="center", fontsize=9, color=colour)
    axes.figure.colorbar(image, ax=axes, label="share of the row", shrink=0.7)
    axes.set_title(f"Labels said of objects, IoU 0.5{_of(len(chosen), int((met > 0).sum()))}", fontsize=11)


def draw_calibration(axes: "Axes", held: Calibration) -> None:
    """The share of right predictions over their confidence; on the diagonal a model is as sure as it is right."""
    bins = len(held.number)
    centres = (np.arange(bins) + 0.5) / bins
    axes.bar(centres, np.nan_to_num(held.right), width=0.94 / bins, color="#b5d4e9", label="share that is right")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as sure as right")
    axes.plot(held.confidence, held.right, "D", color=RED, markersize=6, label="at the mean confidence")
    for centre, number in zip(centres, held.number.tolist(), strict=True):
        axes.text(centre, 1.035, f"{number:,}", ha="center", fontsize=8, color=GREY)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share right at IoU 0.5")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    error = expected_calibration_error(held)
    axes.set_title(
        f"Calibration of {held.number.sum():,} predictions, expected error {error:.3f}", fontsize=11, pad=22
    )


def draw_before_after(axes: "Axes", comparison: Comparison) -> None:
    """Each measure of two runs side by side, with the difference and its interval in words."""
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
    axes.set_yticks(places, [shown(name) for name in names])
    axes.set(xlim=(0, 1.75 * right), ylim=(max(len(names), 6) - 0.4, -0.6))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.04), ncols=2, frameon=False, fontsize=9)
    axes.set_title("Two runs: difference [its interval]", fontsize=11)


def difference(gain: float, interval: tuple[float, float] | None) -> str:
    """A difference in words, with the verdict of its interval.

    Example:
        >>> difference(0.004, (-0.01, 0.02))
        '+0.004 [-0.010, +0.020]: may be chance'
    """
    if interval is None or any(map(isnan, interval)):
        return f"{gain:+.3f}"
    verdict = ": may be chance" if interval[0] <= 0 <= interval[1] else ""
    return f"{gain:+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}]{verdict}"


def most_objects(objects: NDArray[np.int64], count: int, among: NDArray[np.int64] | None = None) -> NDArray[np.intp]:
    """The categories with most objects, most first, at most `count` and none without; ties by their order.

    Args:
        objects: (K,) how many there are.
        count: How many categories.
        among: (K,) what a category must have some of, where that is not an object.
    """
    order = np.argsort(-objects, kind="stable")
    return order[(objects if among is None else among)[order] > 0][:count]


def shown(name: str, length: int = 24) -> str:
    r"""A name as matplotlib can draw it: in one line, not too long, and no formula.

    Example:
        >>> shown("US$ and\n$x_1$")
        'US\\$ and \\$x_1\\$'
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    short = line if len(line) <= length else line[: length - 1] + "…"
    return short.replace("$", r"\$")


def _of(some: int, all_: int) -> str:
    """What to say of categories that are not shown."""
    return f"\nthe {some} of {all_} categories with most objects" if some < all_ else ""


def _saved(figure: "Figure", path: Path) -> Path:
    software: dict[str, Any] = {"Software": None}
    figure.savefig(path, dpi=110, metadata=software)
    return path
