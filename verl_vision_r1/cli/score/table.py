"""Output of `vision-r1 score`: the explanation of one completion, or a table of many."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from verl_vision_r1.cli.score.scored import Scored, means
from verl_vision_r1.frames import write_size
from verl_vision_r1.rewards.explanation import Explanation, Verdict
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.scoring import Scores, TaskRules
from verl_vision_r1.shown import printable, printable_lines

SHOWN: Final = 100
"""Maximum number of printed boxes; the JSON has all."""
CHARACTERS: Final = 2000
"""Maximum number of printed characters of a completion."""


def show_origin(origin: str, console: Console) -> None:
    """Print where the reward configuration is from, on one line."""
    console.print(_text(f"reward configuration: {origin}"), soft_wrap=True)


def show_recorded(scored: Scored, console: Console) -> None:
    """Print the total of the file, if there is one."""
    if scored.recorded is not None:
        _print(console, f"recorded total: {scored.recorded:.3f}")


def show_completion(text: str, console: Console) -> None:
    """Print the beginning of a completion, line by line."""
    for line in text[:CHARACTERS].splitlines():
        _print(console, f"| {printable(line, CHARACTERS)}")
    if len(text) > CHARACTERS:
        _print(console, f"and {len(text) - CHARACTERS} more characters")


def show_explanation(explanation: Explanation, rules: TaskRules, console: Console) -> None:
    """Print the criteria, the verdict on each box, the missed objects, and the notes."""
    scores = explanation.scores
    _print(
        console,
        f"{explanation.target.task}, frame {write_size(explanation.answer.frame)}, {_thresholds(scores.stage)}",
    )
    console.print(_criteria(scores, rules))
    _print(console, _counts(explanation))
    if explanation.answer.form:
        _print(console, f"form: {explanation.answer.form}")
    if explanation.verdicts:
        console.print(_predictions(explanation.verdicts[:SHOWN]))
    if len(explanation.verdicts) > SHOWN:
        _print(console, f"and {len(explanation.verdicts) - SHOWN} more: --json has all")
    if explanation.verdicts:
        _print(console, f"worth: the total minus the total without this {_kind(explanation)}, with a new matching")
    for line in (*_missed(explanation), *explanation.notes):
        _print(console, f"- {line}")


def show_lines(scored: Sequence[Scored], console: Console, *, recorded: bool) -> None:
    """Print a table row per line, and the means.

    Args:
        scored: The lines.
        console: The terminal.
        recorded: Whether to print the totals of the file too, if it has any.
    """
    also = ("recorded",) if recorded and any(item.recorded is not None for item in scored) else ()
    names = list(dict.fromkeys(name for item in scored for name in item.scores.parts))
    # Without borders, so that the criteria of a preset for several tasks fit into 80 columns.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("line", "total", *also, *names, "boxes", "of", "IoU"):
        table.add_column(_text(heading), justify="right", no_wrap=True)
    table.add_column(_text("flags"), overflow="fold")
    for item in scored:
        scores = item.scores
        cells = [*(_number(item.recorded) for _ in also), *(_number(scores.parts.get(name)) for name in names)]
        counts = (str(scores.predicted), str(scores.targets), _number(scores.mean_iou), _flags(scores))
        table.add_row(*map(_text, (str(item.line), _number(scores.total), *cells, *counts)))
    table.add_row()
    mean = means(scored)
    table.add_row(*map(_text, ("mean", *(_number(mean[name]) for name in ("total", *also, *names)))))
    console.print(table)


def _flags(scores: Scores) -> str:
    """The flags that are set, one per line; `parsed` is shown only if it is not."""
    raised = [name for name, value in scores.flags.items() if value and name != "parsed"]
    return "\n".join([*raised, *([] if scores.flags["parsed"] else ["not parsed"])])


def _print(console: Console, text: str) -> None:
    """Print plain text, which may look like rich's markup."""
    console.print(_text(text))


def _text(text: str) -> Text:
    """Text without markup and control characters; the name of a criterion may contain both."""
    return Text(printable_lines(text))


def _thresholds(stage: Stage) -> str:
    if stage == OFF:
        return "refinement off"
    return f"stage {stage.index} (xi0 {stage.xi0:.2f}, xi1 {stage.xi1:.2f}, xi2 {stage.xi2:.2f})"


def _criteria(scores: Scores, rules: TaskRules) -> Table:
    """The value of each criterion, and the total."""
    refined = scores.stage != OFF
    table = Table()
    for heading in ("", "value", *(["refinement off"] if refined else []), "weight"):
        table.add_column(_text(heading), justify="right" if heading else "left", overflow="fold")
    for item in rules.criteria:
        raw = [_number(scores.raw[item.name])] if refined else []
        table.add_row(*map(_text, (item.name, _number(scores.parts[item.name]), *raw, f"{item.weight:g}")))
    table.add_section()
    kind = {"sum": "weighted sum", "mean": "weighted mean"}[rules.total]
    table.add_row(*map(_text, ("total", _number(scores.total), *([""] if refined else []), kind)))
    return table


def _counts(explanation: Explanation) -> str:
    scores = explanation.scores
    measure = "nearness" if explanation.target.task == "pointing" else "IoU"
    flags = ", ".join(name for name, value in scores.flags.items() if value) or "none"
    counts = f"{scores.predicted} predicted, {scores.targets} true, {scores.matched} matched"
    return f"{counts}, mean {measure} {_number(scores.mean_iou)}; flags: {flags}"


def _predictions(verdicts: Sequence[Verdict]) -> Table:
    with_confidence = any(verdict.confidence is not None for verdict in verdicts)
    table = Table()
    table.add_column(_text("box"), justify="right", no_wrap=True)
    points = all(verdict.box[:2] == verdict.box[2:] for verdict in verdicts)
    table.add_column(_text("label and x y" if points else "label and x1 y1 x2 y2"), overflow="fold", ratio=2)
    if with_confidence:
        table.add_column(_text("conf"), justify="right", no_wrap=True)
    table.add_column(_text("worth"), justify="right", no_wrap=True)
    table.add_column(_text("reason"), overflow="fold", ratio=4)
    for verdict in verdicts:
        name = "" if verdict.label is None else f"{printable(verdict.label)}\n"
        box = name + " ".join(f"{side:.4g}" for side in verdict.box[: 2 if points else 4])
        confidence = "" if verdict.confidence is None else f"{verdict.confidence:.2f}"
        worth = "?" if verdict.worth is None else f"{verdict.worth:+.3f}"
        cells = (str(verdict.number), box, *([confidence] if with_confidence else []), worth, verdict.reason)
        table.add_row(*map(_text, cells))
    return table


def _missed(explanation: Explanation) -> list[str]:
    names = [f"{number} ({printable(explanation.target.labels[number - 1])})" for number in explanation.missed or ()]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"no {_kind(explanation)} was matched to object {', '.join(names[:SHOWN])}{more}"] if names else []


def _kind(explanation: Explanation) -> str:
    return "point" if explanation.target.task == "pointing" else "box"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
