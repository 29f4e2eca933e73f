"""`vision-r1 score` at work: one answer in full, or all the answers of a file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.text import Text

from verl_vision_r1.cli.score.inputs import Given, Rulebook, read_answer, read_line, read_lines
from verl_vision_r1.cli.score.table import Scored, means, show_answer, show_explanation, show_lines
from verl_vision_r1.data.progress import progress
from verl_vision_r1.rewards.explanation import Explanation

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
"""How the name of a picture may end."""


@dataclass(frozen=True)
class Wanted:
    """What is to be scored and drawn, as the options of the command have it.

    Raises:
        ValueError: They name nothing to score, or two things, or one of them would have no effect.
    """

    answer: str | None
    target: str | None
    source: Path | None
    line: int | None
    draw: Path | None
    image: Path | None

    def __post_init__(self) -> None:
        if (self.answer is None) == (self.source is None) or (self.answer is None) != (self.target is None):
            raise ValueError("expected an ANSWER with its --target, or a file of both with --from")
        if self.line is not None and self.source is None:
            raise ValueError("--line: expected a file with --from, got none")
        if self.draw is not None and not self.one:
            raise ValueError("--draw: expected one answer, a --line of the file, got the whole file")
        if self.draw is not None and self.draw.suffix.lower() not in PICTURES:
            raise ValueError(f"--draw: expected a file that ends in {', '.join(PICTURES)}, got {self.draw}")
        if self.image is not None and self.draw is None:
            raise ValueError("--image: expected the file to draw into with --draw, got none")

    @property
    def one(self) -> bool:
        """Whether it is one answer that is to be explained."""
        return self.source is None or self.line is not None

    def read(self) -> Given:
        """That answer."""
        if self.source is not None and self.line is not None:
            return read_line(self.source, self.line, _warn)
        return read_answer(str(self.answer), str(self.target))


def explain_one(wanted: Wanted, book: Rulebook, as_json: bool) -> None:
    """Print why an answer scores what it scores, and draw it where that is wanted."""
    given = wanted.read()
    explanation = book.explain(given)
    drawn = None if wanted.draw is None else _draw(explanation, given, wanted.draw, wanted.image)
    if as_json:
        _print_json({**explanation.as_dict(), **({} if drawn is None else {"drawn": str(wanted.draw)})})
        return
    console = Console()
    if wanted.source is not None:
        show_answer(given.text, console)
    show_explanation(explanation, book.rules_of(given), console)
    if drawn is not None:
        console.print(Text(drawn), soft_wrap=True)


def score_all(wanted: Wanted, book: Rulebook, as_json: bool) -> None:
    """Print what each line of a file scores, and the means.

    Raises:
        ValueError: The file holds no answer.
    """
    source = Path(str(wanted.source))
    given = progress(read_lines(source, _warn), desc="answers", unit="answer")
    scored = [Scored(item.number, item.target.task, book.score(item)) for item in given]
    if not scored:
        raise ValueError(f"{source}: expected a line of JSON for each answer, got none")
    if as_json:
        _print_json({"lines": [item.as_dict() for item in scored], "mean": means(scored)})
    else:
        show_lines(scored, Console())


def _draw(explanation: Explanation, given: Given, out: Path, image: Path | None) -> str:
    """Draw an answer, and say where; on grey where no image is given and that of the line is not here."""
    from verl_vision_r1.report.drawing import draw, open_image

    known = image or (Path(given.image) if given.image and Path(given.image).is_file() else None)
    picture = draw(explanation, None if known is None else open_image(known, given.target))
    out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(out)
    return f"drawn: {out}" + ("" if known else ", on grey: the image is not here")


def _print_json(values: dict[str, Any]) -> None:
    """Strict JSON in ASCII, so that nothing that a model wrote reaches a terminal as it is."""
    typer.echo(json.dumps(values, indent=2, allow_nan=False).replace("\x7f", "\\u007f"))


def _warn(message: str) -> None:
    Console(stderr=True, soft_wrap=True).print(Text(message, style="yellow"))
