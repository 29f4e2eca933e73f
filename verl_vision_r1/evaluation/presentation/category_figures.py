"""Figures with one entry per category: precision and recall, AP and F1, the confusion matrix."""

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.evaluation.measures.average_precision import AveragePrecision
from verl_vision_r1.evaluation.measures.f1 import Counts
from verl_vision_r1.evaluation.predictions.arrays import GroundTruth
from verl_vision_r1.evaluation.presentation.style import BLUE, CURVES, GREY, RED, overlap, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_CATEGORIES: Final = 30
"""Maximum number of categories in a figure; more names are unreadable."""
MAX_WITH_NUMBERS: Final = 12
"""Up to this many categories the cells of the confusion matrix show their counts."""


def draw_precision_recall(
    axes: "Axes", truth: GroundTruth, ap: AveragePrecision, counts: Counts, constant: bool
) -> None:
    """Draw precision against recall at IoU 0.5 for each category.

    Args:
        axes: The axes to draw on.
        truth: The ground truth, for the names of the categories.
        ap: COCO's metrics, for the curves.
        counts: The counts of each category, (K, T), for points instead of curves.
        constant: Whether all scores are equal. Then there is no ranking and no curve, but one point per category.
    """
    if constant:
        _draw_points(axes, truth, counts)
    else:
        _draw_curves(axes, truth, ap, counts)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Recall", ylabel="Precision")


def _draw_curves(axes: "Axes", truth: GroundTruth, ap: AveragePrecision, counts: Counts) -> None:
    recalls = np.linspace(0, 1, ap.precision.shape[1])
    chosen = most_objects(counts.objects[:, 0], len(CURVES))
    for category, (colour, line) in zip(chosen, CURVES, strict=False):
        # COCO sets the precision to 0 beyond the largest recall: nothing is drawn there.
        height = np.where(ap.precision[category] > 0, ap.precision[category], np.nan)
        name = f"{ap.by_category_50[category]:.2f}  {shown(truth.categories[category])}"
        axes.plot(recalls, height, color=colour, linestyle=line, linewidth=1.4, label=name)
    known = ap.precision[~np.isnan(ap.precision).any(axis=1)]
    if len(known):
        axes.plot(
            recalls,
            known.mean(axis=0),
            color="black",
            linewidth=2.6,
            label=f"{known.mean():.2f}  all categories (mean)",
        )
        axes.legend(title="AP50", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    axes.set_title(f"Precision-recall curves, IoU = 0.5{_of(len(chosen), len(known))}", fontsize=11)


def _draw_points(axes: "Axes", truth: GroundTruth, counts: Counts) -> None:
    objects = counts.objects[:, 0]
    recall, precision = counts.recall[:, 0], counts.precision[:, 0]
    drawn = np.array([place for place in most_objects(objects, len(objects)) if not isnan(precision[place])], np.intp)
    _draw_equal_f1(axes)
    areas = 12 + 250 * objects[drawn] / max(1, objects.max(initial=1))
    axes.scatter(recall[drawn], precision[drawn], s=areas, color=BLUE, alpha=0.55, edgecolor="white", clip_on=False)
    pooled = counts.total()
    all_ = axes.scatter(pooled.recall[:1], pooled.precision[:1], marker="D", s=60, color=RED, zorder=3, clip_on=False)
    axes.legend([all_], ["All categories (pooled)"], loc="lower left", frameon=False, fontsize=9)
    spots = np.stack([recall[drawn], precision[drawn]], axis=1)
    _label_spots(axes, [shown(truth.categories[place], 16) for place in drawn], spots, np.sqrt(areas) / 2)
    unpredicted = int(((objects > 0) & np.isnan(precision)).sum())
    without = f"; not shown, since without predictions: {unpredicted}" if unpredicted else ""
    axes.set_title(
        "Precision and recall, IoU = 0.5: a point for each category, since there is no confidence\n"
        f"area: number of objects{without}",
        fontsize=10,
    )


def _draw_equal_f1(axes: "Axes") -> None:
    """Draw contour lines of F1."""
    for f1 in (0.2, 0.4, 0.6, 0.8):
        recall = np.linspace(f1 / (2 - f1), 1, 500)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color="#c8c8c8", linewidth=0.9, zorder=0)
        axes.text(1.01, f1 / (2 - f1), f"F1 {f1}", color=GREY, fontsize=8, va="center")


def _label_spots(
    axes: "Axes", names: Sequence[str], spots: NDArray[np.float64], radii: NDArray[np.float64], size: float = 8
) -> None:
    """Write names next to spots, in order, where they overlap no other name or spot; skip the others.

    Args:
        axes: Axes with x and y in [0, 1].
        names: N names.
        spots: (N, 2) x and y of the spots.
        radii: (N,) radii of the spots, in points.
        size: Font size, in points.
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
            if inside and not any(overlap(box, other) for other in taken):
                taken.append(box)
                across = left + {"left": 0, "center": wide / 2, "right": wide}[side]
                places = across / scale[0], (bottom + high / 2) / scale[1]
                axes.text(places[0], places[1], name, fontsize=size, ha=side, va="center", zorder=4)
                break


def draw_by_category(axes: "Axes", truth: GroundTruth, ap: AveragePrecision, counts: Counts) -> None:
    """Draw AP, AP50 and F1 of each category, those with most objects first.

    Args:
        axes: The axes to draw on.
        truth: The ground truth, for the names of the categories.
        ap: COCO's metrics.
        counts: The counts of each category, (K, T).
    """
    objects = counts.objects[:, 0]
    chosen = most_objects(objects, MAX_CATEGORIES)
    places = np.arange(len(chosen))
    axes.barh(places, ap.by_category_50[chosen], height=0.8, color="#b5d4e9", label="AP50")
    axes.barh(places, ap.by_category[chosen], height=0.45, color=BLUE, label="AP")
    marks: dict[str, Any] = {"color": RED, "markersize": 4.5, "clip_on": False, "in_layout": False}
    # Not in the layout: without categories the extent of the marks is infinite, and the page would make room for it.
    axes.plot(counts.f1[chosen, 0], places, "D", label="F1@0.5", **marks)
    names = [f"{shown(truth.categories[place])} ({objects[place]})" for place in chosen]
    axes.set_yticks(places, names, fontsize=8)
    # At least eight slots, so that the bars of a few categories stay thin.
    axes.set(xlim=(0, 1), ylim=(max(len(chosen), 8) - 0.4, -0.6), xlabel="AP, F1")
    axes.grid(axis="x", color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, frameon=False, fontsize=9)
    axes.set_title(
        f"AP and F1 by category (number of objects){_of(len(chosen), int((objects > 0).sum()))}", fontsize=11
    )


def draw_confusion(axes: "Axes", truth: GroundTruth, table: NDArray[np.int64]) -> None:
    """Draw the confusion matrix, coloured by the fraction of the row.

    Args:
        axes: The axes to draw on.
        truth: The ground truth, for the names of the categories.
        table: (K + 1, K + 1) counts from `confusion.confusion`.
    """
    objects = table[:-1].sum(axis=1)
    seen = objects + table[-1, :-1]
    chosen = most_objects(objects, MAX_CATEGORIES, among=seen)
    kept = np.append(chosen, len(table) - 1)
    whole = table.sum(axis=1, keepdims=True)
    fractions = np.divide(table, whole, out=np.zeros(table.shape), where=whole > 0)[np.ix_(kept, kept)]
    image = axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [*(shown(truth.categories[place], 18) for place in chosen), "background"]
    size = 9 if len(chosen) <= MAX_WITH_NUMBERS else 7
    axes.set_yticks(range(len(kept)), names, fontsize=size)
    axes.set_xticks(range(len(kept)), names, fontsize=size, rotation=90)
    axes.set(xlabel="Predicted label", ylabel="True label")
    for edge in (axes.axhline, axes.axvline):
        edge(len(chosen) - 0.5, color=GREY, linewidth=0.8)
    if len(chosen) <= MAX_WITH_NUMBERS:
        for (row, column), fraction in np.ndenumerate(fractions):
            colour = "white" if fraction > 0.5 else "black"
            number = str(table[kept[row], kept[column]])
            axes.text(column, row, number, ha="center", va="center", fontsize=9, color=colour)
    axes.figure.colorbar(image, ax=axes, label="Fraction of true label (row)", shrink=0.7)
    axes.set_title(f"Confusion matrix, IoU = 0.5{_of(len(chosen), int((seen > 0).sum()))}", fontsize=11)


def most_objects(objects: NDArray[np.int64], count: int, among: NDArray[np.int64] | None = None) -> NDArray[np.intp]:
    """The categories with most objects, in decreasing order, ties by index.

    Args:
        objects: (K,) number of objects.
        count: Maximum number of categories.
        among: (K,) categories with 0 here are left out; by default those without objects.

    Returns:
        At most `count` category indices.
    """
    order = np.argsort(-objects, kind="stable")
    return order[(objects if among is None else among)[order] > 0][:count]


def _of(some: int, all_: int) -> str:
    """The second line of a title where categories are left out."""
    return f"\n{some} of {all_} categories, those with most objects" if some < all_ else ""
