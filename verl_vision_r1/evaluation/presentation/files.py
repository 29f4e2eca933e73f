"""The output folder of an evaluation: results.json, table.md and, for detection, figures and a gallery."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.documents import replaced
from verl_vision_r1.evaluation.compare import Difference, Differences
from verl_vision_r1.evaluation.evaluate import Evaluation
from verl_vision_r1.evaluation.measure import Measured
from verl_vision_r1.evaluation.presentation.detail_tables import error_tables, paper_tables
from verl_vision_r1.evaluation.presentation.tables import Grid, changes, few, grids, inputs, markdown, notes
from verl_vision_r1.shown import printable

FIGURES: Final = (
    *("precision_recall.png", "by_category.png", "by_size.png", "confusion.png", "calibration.png"),
    *("risk_coverage.png", "before_after.png", "page.png", "worst.jpg", "errors.jpg"),
)


def folder_of(predictions: Path, protocol: str) -> Path:
    """The default output folder, next to the predictions file."""
    return predictions.parent / f"{predictions.stem}-{protocol}"


@dataclass(frozen=True)
class Against:
    """An earlier run to compare with.

    Attributes:
        before: The earlier run.
        differences: The change of each metric.
        resamples: Number of bootstrap resamples.
    """

    before: Evaluation
    differences: Differences
    resamples: int


def tables(evaluation: Evaluation, against: Against | None) -> list[Grid]:
    """The tables of the terminal: metrics, coverage, errors, and those of the comparison."""
    found = [*grids(evaluation), *error_tables(evaluation)]
    if against is None:
        return found
    return [*found, *changes(against.differences), inputs(against.before, "coverage and parsing, before")]


def sentences(evaluation: Evaluation, against: Against | None) -> list[str]:
    """The notes below the tables."""
    if against is None:
        return notes(evaluation)
    compared = f"before: {against.before.predictions}; 95 % CI from {against.resamples} bootstrap resamples of images"
    return [*notes(evaluation), compared, *few(evaluation)]


def write_results(out: Path, evaluation: Evaluation, against: Against | None) -> list[Path]:
    """Write the metrics.

    Args:
        out: The output folder, created if missing.
        evaluation: The evaluation.
        against: The comparison with an earlier run, if any.

    Returns:
        The paths of `results.json` and `table.md`.
    """
    out.mkdir(parents=True, exist_ok=True)
    results, table = out / "results.json", out / "table.md"
    _write(results, json.dumps(document_of(evaluation, against), indent=2, ensure_ascii=False) + "\n")
    parts = [markdown(grid) for grid in (*paper_tables(evaluation), *tables(evaluation, against))]
    parts.append("\n".join(f"- {printable(line, None)}" for line in sentences(evaluation, against)))
    _write(table, "\n\n".join(parts) + "\n")
    return [results, table]


def document_of(evaluation: Evaluation, against: Against | None) -> dict[str, Any]:
    """The content of `results.json`, as strict JSON."""
    document = evaluation.as_dict()
    if against is not None:
        document["against"] = against.before.as_dict() | {"resamples": against.resamples}
        document["differences"] = {
            name: {value: found.as_dict() for value, found in by_value.items()}
            for name, by_value in against.differences.items()
        }
    strict: dict[str, Any] = plain(document)
    return strict


def _write(path: Path, text: str) -> None:
    with replaced(path) as unfinished:
        # A prompt may contain lone surrogates, which UTF-8 cannot encode.
        unfinished.write_text(text, encoding="utf-8", errors="replace")


def plain(value: Any) -> Any:
    """Convert a value to strict JSON: NaN and infinities become null, tuples lists.

    Example:
        >>> plain({"AP": float("nan"), "AP50": [0.5]})
        {'AP': None, 'AP50': [0.5]}
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def draw_results(out: Path, evaluation: Evaluation, against: Against | None, worst: int = 12) -> list[Path]:
    """Draw the figures and sheets of every detection set; those of an earlier evaluation are deleted.

    Args:
        out: The output folder; each of several data sets gets a subfolder.
        evaluation: The evaluation.
        against: The comparison with an earlier run, if any.
        worst: Number of images on the sheet of the worst.

    Raises:
        ValueError: matplotlib is not installed.
    """
    found = [measured for measured in evaluation.sets if measured.tables is not None]
    written = []
    for folder, measured in zip(_folders(out, [measured.name for measured in found]), found, strict=True):
        for name in FIGURES:
            (folder / name).unlink(missing_ok=True)
        changed = against.differences.get(measured.name) if against else None
        written += _draw(folder, measured, changed, worst)
    return written


def _folders(out: Path, names: list[str]) -> list[Path]:
    """A subfolder of `out` for each data set; `out` itself if there is only one."""
    if len(names) == 1:
        return [out]
    plain_names = [re.sub(r"[^\w-]+", "-", name).strip("-")[:80] or "set" for name in names]
    return [
        out / (f"{name}-{index}" if plain_names.count(name) > 1 else name) for index, name in enumerate(plain_names)
    ]


def _draw(folder: Path, measured: Measured, changed: dict[str, Difference] | None, worst: int) -> list[Path]:
    from verl_vision_r1.evaluation.presentation.figures import save_figures
    from verl_vision_r1.evaluation.presentation.gallery import worst as worst_of
    from verl_vision_r1.evaluation.presentation.outcome_sheets import draw_errors, draw_worst
    from verl_vision_r1.evaluation.presentation.overall_figures import Comparison

    tables, comparison = measured.tables, None
    assert tables is not None
    if changed:
        fractions = {name: found for name, found in changed.items() if name != "count_error"}
        comparison = Comparison(
            before={name: found.before for name, found in fractions.items()},
            after={name: found.after for name, found in fractions.items()},
            intervals={name: (found.low, found.high) for name, found in fractions.items()},
        )
    try:
        written = save_figures(folder, tables.truth, tables.detections, tables.ap, tables.matches, comparison)
    except ImportError as error:
        raise ValueError(
            f'figures: expected matplotlib, got {error}; pip install "verl-vision-r1[eval]" or pass --no-figures'
        ) from error
    chosen = worst_of(tables.truth, tables.detections, tables.by_image, worst)
    if chosen:
        draw_worst(tables.truth, tables.detections, tables.by_image, chosen, folder / "worst.jpg")
        written.append(folder / "worst.jpg")
    if draw_errors(tables.truth, tables.detections, folder / "errors.jpg"):
        written.append(folder / "errors.jpg")
    return written
