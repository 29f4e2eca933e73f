"""Table of the validation rewards before the first step and after the last."""

import json
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from verl_vision_r1.evaluation.presentation.tables import plain

SHOWN: Final = ("total", "format", "recall", "precision", "mean_iou", "predicted_boxes", "target_boxes")


def read_validations(metrics: Path) -> dict[int, dict[str, float]]:
    """Read the validation rewards that verl logged.

    Args:
        metrics: The file of verl's `file` logger.

    Returns:
        For each validated step, the mean of each reward component over all data sources.
    """
    found: dict[int, dict[str, float]] = {}
    for line in metrics.read_text(encoding="utf-8").splitlines():
        entry: dict[str, Any] = json.loads(line)
        sums: dict[str, list[float]] = {}
        for key, value in entry["data"].items():
            if key.startswith("val-aux/") and key.endswith("/mean@1"):
                sums.setdefault(key.split("/")[-2], []).append(float(value))
        if sums:
            found[int(entry["step"])] = {name: sum(values) / len(values) for name, values in sums.items()}
    return found


def show_table(metrics: Path, title: str, console: Console) -> None:
    """Print the validation rewards before the first step and after the last."""
    validations = read_validations(metrics)
    first, last = min(validations), max(validations)
    table = Table(title=plain(title))
    table.add_column("mean of")
    for heading in (f"before (step {first})", f"after (step {last})", "change"):
        table.add_column(heading, justify="right")
    for name in SHOWN:
        before, after = validations[first][name], validations[last][name]
        table.add_row(name, f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}")
    console.print(table)
