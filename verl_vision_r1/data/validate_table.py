"""The report of `vision-r1 validate` as tables."""

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from verl_vision_r1.data.validate import Report
from verl_vision_r1.shown import printable

MOST = 10
"""Maximum rows of each table, and maximum defects of each kind."""


def show(report: Report, console: Console | None = None) -> None:
    """Print a report."""
    console = console or Console()
    sizes = {name: report.box_sizes[name] for name in ("small", "medium", "large") if report.box_sizes[name]}
    _table(console, "file", "samples", report.samples)
    _table(console, "data source", "samples", dict(report.sources.most_common()))
    _table(console, "boxes per sample", "samples", _ranges(report.boxes_per_sample, (0, 1, 2, 5, 10, 30)))
    _table(console, "box size (COCO)", "boxes", sizes)
    _table(console, "label", "count", dict(report.classes.most_common()))
    _table(console, "image size", "samples", dict(report.image_sizes.most_common()))
    _table(console, "prompt tokens", "samples", _ranges(report.prompt_tokens, (256, 512, 1024, 2048, 4096)))
    console.print(f"negative samples: {report.negatives}")
    _defects(console, report)


def _table(console: Console, name: str, unit: str, rows: dict[Any, int]) -> None:
    if not rows:
        return
    table = Table(box=None)
    table.add_column(name, overflow="fold")
    table.add_column(unit, justify="right")
    greatest = max(*rows.values(), 1)
    table.add_column("", no_wrap=True)
    for key, count in list(rows.items())[:MOST]:
        # Labels and file names may contain anything, also marks of rich and of the terminal.
        table.add_row(Text(printable(str(key), None)), str(count), "#" * round(30 * count / greatest))
    if len(rows) > MOST:
        table.add_row(f"... {len(rows) - MOST} more", str(sum(list(rows.values())[MOST:])), "")
    console.print(table)


def _ranges(values: Counter[int], edges: tuple[int, ...]) -> dict[str, int]:
    """Counts up to each edge: "0", "1", "2", "3-5", ... and "above"."""
    counts: Counter[str] = Counter()
    lows = (0, *(edge + 1 for edge in edges[:-1]))
    names = [str(high) if low == high else f"{low}-{high}" for low, high in zip(lows, edges, strict=True)]
    for value, count in values.items():
        place = next((index for index, edge in enumerate(edges) if value <= edge), None)
        counts[f"above {edges[-1]}" if place is None else names[place]] += count
    return {name: counts[name] for name in (*names, f"above {edges[-1]}") if counts[name]}


def _defects(console: Console, report: Report) -> None:
    kinds = Counter(kind for kind, _ in report.defects)
    if not kinds:
        console.print("no defects")
        return
    _table(console, "defect", "count", dict(kinds.most_common()))
    for kind in kinds:
        messages = [message for found, message in report.defects if found == kind]
        for message in messages[:MOST]:
            console.print(Text(printable(f"{kind}: {message}", None)), soft_wrap=True)
        if len(messages) > MOST:
            console.print(f"{kind}: {len(messages) - MOST} more (--json lists all)")
