"""Tables of an evaluation, for the terminal and as Markdown. Fractions are shown in percent."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from verl_vision_r1.evaluation.compare import FEW, Differences
from verl_vision_r1.evaluation.evaluate import Evaluation
from verl_vision_r1.evaluation.measure import TASKS, Measured
from verl_vision_r1.evaluation.measures.refusal import NAMES as REFUSAL
from verl_vision_r1.evaluation.predictions.confidence import CONFIDENCES, PROTOCOL
from verl_vision_r1.evaluation.predictions.coverage import PROBLEMS
from verl_vision_r1.shown import printable

COLUMNS: Final = {
    "detection": (
        *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR100"),
        *("F1_50", "F1", "precision_50", "recall_50", "count_error"),
        *("F1_50_category_mean", "F1_category_mean", "F1_50_image_mean", "F1_image_mean"),
    ),
    "grounding": ("accuracy_50", "mean_IoU", "generalised_IoU", "gIoU", "cIoU"),
    "classification": ("accuracy", "accuracy_published"),
    "counting": ("accuracy", "within_1", "absolute_error", "bias"),
    "pointing": (
        *("accuracy", "precision", "F1", "accuracy_small", "accuracy_medium", "accuracy_large"),
        *("count_accuracy", "count_error"),
    ),
}
"""Metrics in the table of each task; `results.json` has all."""

MORE: Final = (
    *("AP_federated", "AP_rare", "AP_common", "AP_frequent"),
    *("AP_few_", "AP_novel", "AP_LVIS", "AP_not", "AP_logprob", "AP_constant", "calibration", "risk_coverage"),
)
"""Prefixes of detection metrics that only some evaluations have."""

SHORT: Final = ("AP", "AP50", "AP75", "AR100", "F1_50", "F1")
"""Metrics in the table of many detection sets."""

SIDE_BY_SIDE: Final = 3
"""Up to this many data sets are columns, which fits a terminal of 80 characters; more are rows."""

IN_OBJECTS: Final = ("count_error", "absolute_error", "bias")
"""Metrics in objects, not fractions."""


@dataclass(frozen=True)
class Grid:
    """A table without a format."""

    title: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def grids(evaluation: Evaluation) -> Iterator[Grid]:
    """One table of metrics for each task, with many data sets another of refusal; then one of coverage and parsing."""
    for task in TASKS:
        found = [measured for measured in evaluation.sets if measured.task == task]
        if found:
            yield _metrics(task, found, evaluation)
        if len(found) > SIDE_BY_SIDE and (names := _refusal(found)):
            rows = [(measured.name, *(shown(name, measured.values[name]) for name in names)) for measured in found]
            yield Grid(f"{task}, refusal", ("data set", *names), tuple(rows))
    yield inputs(evaluation)


def _metrics(task: str, found: Sequence[Measured], evaluation: Evaluation) -> Grid:
    title, means = f"{task}, protocol {evaluation.protocol.name}", evaluation.means.get(task, {})
    heading = f"mean of {len(found)}"
    if len(found) <= SIDE_BY_SIDE:
        more = (name for name in found[0].values if name.startswith(MORE))
        named = [*COLUMNS[task], *_refusal(found), *more]
        cells = [(name, *(_cell(measured, name) for measured in found)) for name in named]
        mean = (heading, *(_mean(means, name) for name in named)) if means else ()
        return Grid(title, *_with_column(("", *(measured.name for measured in found)), cells, mean))
    names = SHORT if task == "detection" else COLUMNS[task]
    rows = [(measured.name, *(shown(name, measured.values[name]) for name in names)) for measured in found]
    rows.append((heading, *(_mean(means, name) for name in names)))
    ranges = ("AP, permutations", *(_range(measured, "AP") for measured in found), "")
    return Grid(title, *_with_column(("data set", *names), rows, ranges if task == "detection" else ()))


def _refusal(found: Sequence[Measured]) -> tuple[str, ...]:
    """The metrics of refusal, if a data set has negative samples."""
    return REFUSAL if any(not math.isnan(measured.values.get(REFUSAL[0], math.nan)) for measured in found) else ()


def _with_column(
    heading: tuple[str, ...], rows: Sequence[tuple[str, ...]], column: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Append a column, unless it is empty."""
    if not column:
        return heading, tuple(rows)
    return (*heading, column[0]), tuple((*row, cell) for row, cell in zip(rows, column[1:], strict=True))


def _mean(means: Mapping[str, float], name: str) -> str:
    return shown(name, means.get(name, math.nan))


def _cell(measured: Measured, name: str) -> str:
    ends = _range(measured, name)
    return shown(name, measured.values.get(name, math.nan)) + (f" ({ends})" if ends else "")


def _range(measured: Measured, name: str) -> str:
    """The range of a metric over permutations of equal scores; empty if they make no difference."""
    low, high = (shown(name, end) for end in measured.spread.get(name, (0.0, 0.0)))
    return "" if low == high else f"{low} to {high}"


def shown(name: str, value: float) -> str:
    """Format a metric: fractions in percent, others in objects, "-" for NaN.

    Example:
        >>> shown("AP", 0.2664), shown("count_error", 1.25), shown("AP", float("nan"))
        ('26.6', '1.25', '-')
    """
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if name in IN_OBJECTS else f"{100 * value:.1f}"


def inputs(evaluation: Evaluation, title: str = "coverage and parsing") -> Grid:
    """How many questions, predictions and images there are, and statistics of parsing the completions."""
    parsed = ("unparsed", "repaired", "clipped", "malformed", "boxes", "unknown labels")
    names = ("questions", "answered", "images", *parsed)
    rows = list[tuple[str, ...]]()
    for measured in evaluation.sets:
        reading, coverage = measured.reading, measured.coverage
        counts = (reading.unparsed, reading.repaired, reading.clipped, reading.malformed, reading.boxes)
        numbers = (coverage.questions, coverage.answered, len(measured.images), *counts, reading.unknown_labels)
        rows.append((measured.name, *map(str, numbers)))
    rows += [
        (name, str(coverage.questions), *["0"] * (len(names) - 1)) for name, coverage in evaluation.unanswered.items()
    ]
    if len(rows) <= SIDE_BY_SIDE:
        return Grid(title, *_transposed(("", *names), rows))
    return Grid(title, ("data set", *names), tuple(rows))


def _transposed(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], Any]:
    """Swap rows and columns."""
    transposed = tuple(zip(heading, *rows, strict=True))
    return transposed[0], transposed[1:]


def changes(differences: Differences) -> Iterator[Grid]:
    """One table for each data set: each metric before and after, with the 95 % CI of the difference."""
    for name, by_value in differences.items():
        rows = []
        for value, found in by_value.items():
            if value in REFUSAL and math.isnan(found.before) and math.isnan(found.after):
                continue  # No negative samples.
            interval = f"{_signed(value, found.low)} to {_signed(value, found.high)}"
            cells = (shown(value, found.before), shown(value, found.after), _signed(value, found.change), interval)
            rows.append((value, *cells, "yes" if found.excludes_zero else "no"))
        heading = ("", "before", "after", "change", "95 % CI", "excludes 0")
        yield Grid(f"{name}: change", heading, tuple(rows))


def _signed(name: str, value: float) -> str:
    text = shown(name, value)
    return text if value < 0 or text == "-" else f"+{text}"


def notes(evaluation: Evaluation) -> list[str]:
    """The notes on the metrics: assumptions, expected questions, and problems of the predictions file."""
    found = [f"assumed: {sentence}" for sentence in evaluation.protocol.assumes]
    if evaluation.effort.confidence != PROTOCOL:
        source = CONFIDENCES[evaluation.effort.confidence]
        found.append(f"confidence of a box, in place of what the protocol assumes: {source}")
    found += [f"{', '.join(names)}: {basis}" for basis, names in _by_basis(evaluation).items()]
    if any(measured.spread for measured in evaluation.sets):
        found.append("in brackets: minimum and maximum over permutations of boxes with equal scores")
    if any(measured.tables and measured.tables.tide is None for measured in evaluation.sets):
        found.append("TIDE's errors: not computed, since hotcoco is not installed")
    for measured in evaluation.sets:
        coverage = measured.coverage
        images = {what: getattr(coverage, kind) for kind, what in PROBLEMS.items()}
        found += [f"{measured.name}: {len(names)} images {what}" for what, names in images.items() if names]
        if not coverage.complete:
            found.append(f"{measured.name}: evaluated on the {len(measured.images)} images with all predictions")
    found += [f"{name}: not evaluated, no predictions" for name in evaluation.unanswered]
    if evaluation.broken:
        found.append(f"{evaluation.broken} lines of the predictions file are not JSON and are skipped")
    return found + [f"{count} predictions for {name} are skipped" for name, count in evaluation.others.items()]


def _by_basis(evaluation: Evaluation) -> dict[str, list[str]]:
    """The data sets by where their questions come from."""
    found: dict[str, list[str]] = {}
    for measured in evaluation.sets:
        negatives = measured.coverage.negatives
        basis = measured.basis + (f", and {negatives} questions about absent categories" if negatives else "")
        found.setdefault(basis, []).append(measured.name)
    return found


def few(evaluation: Evaluation) -> list[str]:
    """A warning for each data set with too few images for confidence intervals."""
    return [
        f"{measured.name}: the confidence intervals are unreliable with only {len(measured.images)} images"
        for measured in evaluation.sets
        if len(measured.images) < FEW
    ]


def show(grids: Sequence[Grid], console: Console) -> None:
    """Print tables to the terminal."""
    for grid in grids:
        table = Table(title=plain(grid.title), title_justify="left")
        for index, name in enumerate(grid.heading):
            table.add_column(plain(name), justify="right" if index else "left", overflow="fold")
        for row in grid.rows:
            table.add_row(*map(plain, row))
        console.print(table)


def plain(text: str) -> Text:
    """Text for rich without markup and control characters: a name or path may contain both."""
    return Text(printable(text, None))


def markdown(grid: Grid) -> str:
    r"""Format a table as Markdown.

    Example:
        >>> print(markdown(Grid("t", ("a", "b"), (("1", "2|3"),))))
        **t**
        <BLANKLINE>
        | a | b |
        |---|---:|
        | 1 | 2\|3 |
    """
    lines = (grid.heading, *grid.rows)
    cells = [[printable(" ".join(cell.split()), None).replace("|", "\\|") for cell in line] for line in lines]
    rows = [" | ".join(row) for row in cells]
    rule = "|".join(["---", *["---:"] * (len(grid.heading) - 1)])
    return "\n".join([f"**{grid.title}**", "", f"| {rows[0]} |", f"|{rule}|", *(f"| {row} |" for row in rows[1:])])
