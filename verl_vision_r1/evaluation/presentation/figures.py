"""All figures of a detection run, each in a file and all on one page.

matplotlib is an optional extra, `pip install "verl-vision-r1[eval]"`. It is used without pyplot: no window, no state.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verl_vision_r1.evaluation.measures.average_precision import AveragePrecision
from verl_vision_r1.evaluation.measures.calibration import calibration
from verl_vision_r1.evaluation.measures.confusion import confusion
from verl_vision_r1.evaluation.measures.f1 import Matches, counts_by_category
from verl_vision_r1.evaluation.measures.risk_coverage import risk_coverage
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.presentation.category_figures import (
    draw_by_category,
    draw_confusion,
    draw_precision_recall,
)
from verl_vision_r1.evaluation.presentation.overall_figures import (
    Comparison,
    draw_before_after,
    draw_by_size,
    draw_calibration,
    draw_risk_coverage,
)
from verl_vision_r1.evaluation.presentation.style import FAMILIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def save_figures(
    out: Path,
    truth: GroundTruth,
    detections: Detections,
    ap: AveragePrecision,
    matches: Matches,
    comparison: Comparison | None = None,
) -> list[Path]:
    """Draw all figures of a run.

    Args:
        out: The output folder, created if missing.
        truth: The ground truth.
        detections: The predictions.
        ap: Their COCO metrics.
        matches: Their matches, from `f1.match`.
        comparison: The metrics of this run and of an earlier one, if any.

    Returns:
        The paths of `precision_recall.png`, `by_category.png`, `by_size.png` and `confusion.png`; of `calibration.png`
        and `risk_coverage.png` if the predictions have confidences; of `before_after.png` with a comparison; and of
        `page.png` with all of them.

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
        # A character that no font has is drawn as a box; a warning adds nothing.
        warnings.filterwarnings("ignore", message="Glyph")
        for name, draw in panels.items():
            figure = Figure(figsize=(8, 7), layout="constrained")
            draw(figure.add_subplot())
            written.append(_saved(figure, out / f"{name}.png"))
        columns = (len(panels) + 1) // 2
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
    """The function that draws each figure, by file name."""
    counts = counts_by_category(truth, detections, matches)
    table = confusion(truth, detections)
    panels: dict[str, Callable[[Axes], None]] = {
        "precision_recall": lambda axes: draw_precision_recall(axes, truth, ap, counts, detections.constant),
        "by_category": lambda axes: draw_by_category(axes, truth, ap, counts),
        "by_size": lambda axes: draw_by_size(axes, ap),
        "confusion": lambda axes: draw_confusion(axes, truth, table),
    }
    if not detections.constant:
        kept = ~matches.ignored[:, 0]
        bins = calibration(detections.scores[kept], matches.hit[kept, 0])
        curve = risk_coverage(detections.scores[kept], matches.hit[kept, 0])
        panels["calibration"] = lambda axes: draw_calibration(axes, bins)
        panels["risk_coverage"] = lambda axes: draw_risk_coverage(axes, curve)
    if comparison is not None:
        panels["before_after"] = lambda axes: draw_before_after(axes, comparison)
    return panels


def _saved(figure: "Figure", path: Path) -> Path:
    software: dict[str, Any] = {"Software": None}
    figure.savefig(path, dpi=110, metadata=software)
    return path
