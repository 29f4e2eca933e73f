"""What an evaluation leaves in its folder: results.json, table.md and, of detection, figures and a gallery."""

import json
import math
import re
from pathlib import Path
from typing import Any

from verl_vision_r1.evaluation.compare import Differences
from verl_vision_r1.evaluation.evaluate import Evaluation
from verl_vision_r1.evaluation.measure import Measured
from verl_vision_r1.evaluation.table import changes, grids, markdown, notes


def folder_of(dump: Path, protocol: str) -> Path:
    """Where the results of a dump go: beside it."""
    return dump.parent / f"{dump.stem}-{protocol}"


def write_results(out: Path, evaluation: Evaluation, differences: Differences) -> list[Path]:
    """Write the numbers.

    Args:
        out: The folder; it is made.
        evaluation: What was measured.
        differences: What another run changed; empty where there is none.

    Returns:
        `results.json` and `table.md`.
    """
    out.mkdir(parents=True, exist_ok=True)
    document = evaluation.as_dict()
    if differences:
        document["differences"] = {
            name: {value: found.as_dict() for value, found in by_value.items()}
            for name, by_value in differences.items()
        }
    results, table = out / "results.json", out / "table.md"
    results.write_text(json.dumps(plain(document), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    parts = [*map(markdown, [*grids(evaluation), *changes(differences)])]
    parts.append("\n".join(f"- {line}" for line in notes(evaluation)))
    table.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [results, table]


def plain(value: Any) -> Any:
    """A value as JSON knows it: numbers that are not known are null.

    Example:
        >>> plain({"AP": float("nan"), "AP50": [0.5]})
        {'AP': None, 'AP50': [0.5]}
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def draw_results(out: Path, evaluation: Evaluation, differences: Differences, worst: int = 12) -> list[Path]:
    """Draw the figures of every detection set, and its worst images.

    Args:
        out: The folder; where there are several sets, each has a folder of its own in it.
        evaluation: What was measured.
        differences: What another run changed.
        worst: How many images the gallery shows.

    Raises:
        ValueError: matplotlib is not installed.
    """
    found = [measured for measured in evaluation.sets if measured.tables is not None]
    written = []
    for measured in found:
        folder = out / re.sub(r"[^\w.-]+", "-", measured.name) if len(found) > 1 else out
        written += _draw(folder, measured, differences, worst)
    return written


def _draw(folder: Path, measured: Measured, differences: Differences, worst: int) -> list[Path]:
    from verl_vision_r1.evaluation.figures import Comparison, save_figures
    from verl_vision_r1.evaluation.gallery import draw_gallery
    from verl_vision_r1.evaluation.gallery import worst as worst_of

    tables, changed = measured.tables, differences.get(measured.name)
    assert tables is not None
    comparison = None
    if changed:
        comparison = Comparison(
            before={name: found.before for name, found in changed.items() if name != "count_error"},
            after={name: found.after for name, found in changed.items() if name != "count_error"},
            intervals={name: (found.low, found.high) for name, found in changed.items()},
        )
    try:
        written = save_figures(folder, tables.truth, tables.detections, tables.ap, tables.matches, comparison)
    except ImportError as error:
        raise ValueError(
            f'figures: expected matplotlib installed: pip install "verl-vision-r1[eval]", or --no-figures; got {error}'
        ) from error
    chosen = worst_of(tables.truth, tables.detections, tables.by_image, worst)
    if chosen:
        draw_gallery(tables.truth, tables.detections, tables.by_image, chosen, folder / "worst.jpg")
        written.append(folder / "worst.jpg")
    return written
