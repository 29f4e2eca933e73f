"""The numbers as tables: for the terminal, and as Markdown for a file. Shares are shown in percent."""

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

COLUMNS: Final = {
    "detection": (
        *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR100"),
        *("F1_50", "F1", "precision_50", "recall_50", "count_error"),
    ),
    "grounding": ("accuracy_50", "mean_IoU", "generalised_IoU", "gIoU", "cIoU"),
    "classification": ("accuracy", "accuracy_published"),
    "counting": ("accuracy", "within_1", "absolute_error", "bias"),
}
"""What is shown of each task; the JSON has all."""

MORE: Final = ("AP_few", "AP_novel", "AP_LVIS", "AP_not", "calibration")
"""What is shown of detection where there is such a thing."""

SHORT: Final = ("AP", "AP50", "AP75", "AR100", "F1_50", "F1")
"""What is shown of detection where there are many sets."""

SIDE_BY_SIDE: Final = 3
"""Sets up to which each is a column, so that a terminal of 80 letters holds all that there is to say of them."""

IN_OBJECTS: Final = ("count_error", "absolute_error", "bias")
"""Numbers that are no shares."""


@dataclass(frozen=True)
class Grid:
    """A table before it is drawn."""

    title: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def grids(evaluation: Evaluation) -> Iterator[Grid]:
    """A table of the numbers for each task, then one of what they rest on."""
    for task in TASKS:
        found = [measured for measured in evaluation.sets if measured.task == task]
        if found:
            yield _numbers(task, found, evaluation)
    yield basis(evaluation)


def _numbers(task: str, found: Sequence[Measured], evaluation: Evaluation) -> Grid:
    title, means = f"{task}, protocol {evaluation.protocol.name}", evaluation.means.get(task, {})
    heading = f"mean of {len(found)}"
    if len(found) <= SIDE_BY_SIDE:
        named = [*COLUMNS[task], *(name for name in found[0].values if name.startswith(MORE))]
        cells = [(name, *(_cell(measured, name) for measured in found)) for name in named]
        mean = (heading, *(_mean(means, name) for name in named)) if means else ()
        return Grid(title, *_with_column(("", *(measured.name for measured in found)), cells, mean))
    names = SHORT if task == "detection" else COLUMNS[task]
    rows = [(measured.name, *(shown(name, measured.values[name]) for name in names)) for measured in found]
    rows.append((heading, *(_mean(means, name) for name in names)))
    ranges = ("AP, other orders", *(_range(measured, "AP") for measured in found), "")
    return Grid(title, *_with_column(("data set", *names), rows, ranges if task == "detection" else ()))


def _with_column(
    heading: tuple[str, ...], rows: Sequence[tuple[str, ...]], column: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Heading and rows with one more cell each, where there is a column."""
    if not column:
        return heading, tuple(rows)
    return (*heading, column[0]), tuple((*row, cell) for row, cell in zip(rows, column[1:], strict=True))


def _mean(means: Mapping[str, float], name: str) -> str:
    return shown(name, means.get(name, math.nan))


def _cell(measured: Measured, name: str) -> str:
    other = _range(measured, name)
    return shown(name, measured.values.get(name, math.nan)) + (f" ({other})" if other else "")


def _range(measured: Measured, name: str) -> str:
    """Between which ends a number lies over other orders of the boxes; nothing where the order makes no difference."""
    low, high = (shown(name, end) for end in measured.spread.get(name, (0.0, 0.0)))
    return "" if low == high else f"{low} to {high}"


def shown(name: str, value: float) -> str:
    """A number as a table has it: shares in percent, others in objects, "-" where there is nothing to measure.

    Example:
        >>> shown("AP", 0.2664), shown("count_error", 1.25), shown("AP", float("nan"))
        ('26.6', '1.25', '-')
    """
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if name in IN_OBJECTS else f"{100 * value:.1f}"


def basis(evaluation: Evaluation, title: str = "what the numbers rest on") -> Grid:
    """How many questions, answers and images there are, and how the answers could be read."""
    names = ("questions", "answered", "images", "unparsed", "repaired", "clipped", "no box", "boxes", "unknown labels")
    rows = list[tuple[str, ...]]()
    for measured in evaluation.sets:
        reading, coverage = measured.reading, measured.coverage
        counted = (reading.unparsed, reading.repaired, reading.clipped, reading.malformed, reading.boxes)
        numbers = (coverage.questions, coverage.answered, len(measured.images), *counted, reading.unknown_labels)
        rows.append((measured.name, *map(str, numbers)))
    rows += [
        (name, str(coverage.questions), *["0"] * (len(names) - 1)) for name, coverage in evaluation.unanswered.items()
    ]
    if len(rows) <= SIDE_BY_SIDE:
        return Grid(title, *_turned(("", *names), rows))
    return Grid(title, ("data set", *names), tuple(rows))


def _turned(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], Any]:
    """Heading and rows, with rows for columns."""
    turned = tuple(zip(heading, *rows, strict=True))
    return turned[0], turned[1:]


def changes(differences: Differences) -> Iterator[Grid]:
    """A table for each data set: before, after, and the interval of the difference."""
    for name, by_value in differences.items():
        rows = []
        for value, found in by_value.items():
            interval = f"{_signed(value, found.low)} to {_signed(value, found.high)}"
            cells = (shown(value, found.before), shown(value, found.after), _signed(value, found.change), interval)
            rows.append((value, *cells, "yes" if found.sure else "no"))
        heading = ("", "before", "after", "change", "95 % interval", "leaves out 0")
        yield Grid(f"{name}: change", heading, tuple(rows))


def _signed(name: str, value: float) -> str:
    text = shown(name, value)
    return text if value < 0 or text == "-" else f"+{text}"


def notes(evaluation: Evaluation) -> list[str]:
    """What has to be said beside the numbers: assumptions, what was asked, and what was wrong with the dump."""
    said = [f"assumed: {sentence}" for sentence in evaluation.protocol.assumes]
    for words, names in _by_basis(evaluation).items():
        said.append(f"{', '.join(names)}: {words}")
    if any(measured.spread for measured in evaluation.sets):
        said.append("in brackets: least and greatest over other orders of the boxes whose scores are equal")
    for measured in evaluation.sets:
        coverage = measured.coverage
        kinds = {"missing": coverage.missing, "doubled": coverage.doubled, "foreign": coverage.foreign}
        said += [f"{measured.name}: {len(images)} images {kind}" for kind, images in kinds.items() if images]
        if not coverage.complete:
            said.append(
                f"{measured.name}: the numbers rest on the {len(measured.images)} images that are answered whole"
            )
    said += [f"{name}: no answer, and no part of any number" for name in evaluation.unanswered]
    if evaluation.broken:
        said.append(f"{evaluation.broken} lines of the dump are no JSON and were left out")
    return said + [f"{count} answers about {name} were left out" for name, count in evaluation.others.items()]


def _by_basis(evaluation: Evaluation) -> dict[str, list[str]]:
    """The sets by what says what was to be asked of them."""
    found: dict[str, list[str]] = {}
    for measured in evaluation.sets:
        absent = measured.coverage.absent
        words = measured.basis + (f", and {absent} times about one that is not there" if absent else "")
        found.setdefault(words, []).append(measured.name)
    return found


def few(evaluation: Evaluation) -> list[str]:
    """A warning for each set whose intervals are of few images."""
    return [
        f"{measured.name}: an interval of only {len(measured.images)} images says little"
        for measured in evaluation.sets
        if len(measured.images) < FEW
    ]


def show(grids: Sequence[Grid], console: Console) -> None:
    """Draw tables in the terminal."""
    for grid in grids:
        # As text: a name may hold what rich takes for markup.
        table = Table(title=Text(grid.title), title_justify="left")
        for index, name in enumerate(grid.heading):
            table.add_column(Text(name), justify="right" if index else "left", overflow="fold")
        for row in grid.rows:
            table.add_row(*map(Text, row))
        console.print(table)


def markdown(grid: Grid) -> str:
    r"""A table as Markdown.

    Example:
        >>> print(markdown(Grid("t", ("a", "b"), (("1", "2|3"),))))
        **t**
        <BLANKLINE>
        | a | b |
        |---|---:|
        | 1 | 2\|3 |
    """
    cells = [[" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in (grid.heading, *grid.rows)]
    rows = [" | ".join(row) for row in cells]
    rule = "|".join(["---", *["---:"] * (len(grid.heading) - 1)])
    return "\n".join([f"**{grid.title}**", "", f"| {rows[0]} |", f"|{rule}|", *(f"| {row} |" for row in rows[1:])])
