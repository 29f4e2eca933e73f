"""`vision-r1 score`: explain one completion, or score all completions of a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from verl_vision_r1.cli.app import echo_json, one_line
from verl_vision_r1.cli.score.inputs import Completion, read_completion, read_line, read_lines
from verl_vision_r1.cli.score.scored import Scored, means
from verl_vision_r1.cli.score.scorer import Scorer
from verl_vision_r1.cli.score.table import show_completion, show_explanation, show_lines, show_origin, show_recorded
from verl_vision_r1.data.progress import progress
from verl_vision_r1.rewards.explanation import Explanation

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
"""Supported file endings of `--draw`."""


@dataclass(frozen=True)
class Request:
    """The arguments of the command.

    Raises:
        ValueError: There is nothing to score, or more than one thing, or an option would have no effect.
    """

    completion: str | None
    target: str | None
    source: Path | None
    line: int | None
    draw: Path | None
    image: Path | None

    def __post_init__(self) -> None:
        if (self.completion is None) == (self.source is None) or (self.completion is None) != (self.target is None):
            raise ValueError("expected a COMPLETION with --target, or a file of both with --from")
        if self.line is not None and self.source is None:
            raise ValueError("--line: expected a file in --from, got none")
        if self.draw is not None and not self.one:
            raise ValueError("--draw: expected one completion (--line), got the whole file")
        if self.draw is not None and self.draw.suffix.lower() not in PICTURES:
            raise ValueError(f"--draw: expected a file that ends in {', '.join(PICTURES)}, got {self.draw}")
        if self.image is not None and self.draw is None:
            raise ValueError("--image: expected an output file in --draw, got none")

    @property
    def one(self) -> bool:
        """Whether to explain one completion."""
        return self.source is None or self.line is not None

    def read(self) -> Completion:
        """Read that completion."""
        if self.source is not None and self.line is not None:
            return read_line(self.source, self.line, _warn)
        return read_completion(str(self.completion), str(self.target))


def explain_one(request: Request, scorer: Scorer, as_json: bool) -> None:
    """Print the explanation of one score and, if requested, draw the boxes."""
    completion = request.read()
    explanation = scorer.explain(completion)
    scored = Scored(completion.number, completion.target.task, explanation.scores, completion.recorded)
    drawn = None if request.draw is None else _draw(explanation, completion, request.draw, request.image)
    if as_json:
        facts = {
            **_facts(scorer),
            **scored.recorded_as_dict(),
            **({} if drawn is None else {"drawn": str(request.draw)}),
        }
        echo_json({**explanation.as_dict(), **facts})
        return
    console = Console()
    if request.source is not None:
        show_origin(scorer.origin, console)
        show_completion(completion.text, console)
    show_explanation(explanation, scorer.rules_of(completion), console)
    if not scorer.recorded or scored.differs:
        show_recorded(scored, console)
    if drawn is not None:
        console.print(Text(one_line(drawn)), soft_wrap=True)


def score_all(request: Request, scorer: Scorer, as_json: bool) -> None:
    """Print the score of each line of a file, and the means.

    Raises:
        ValueError: The file is empty.
    """
    source = Path(str(request.source))
    completions = progress(read_lines(source, _warn), desc="completions", unit="completion")
    scored = [Scored(item.number, item.target.task, scorer.score(item), item.recorded) for item in completions]
    if not scored:
        raise ValueError(f"{source}: expected one JSON line per completion, got none")
    if as_json:
        echo_json({**_facts(scorer), "lines": [item.as_dict() for item in scored], "mean": means(scored)})
        return
    console = Console()
    show_origin(scorer.origin, console)
    show_lines(scored, console, recorded=not scorer.recorded or any(item.differs for item in scored))


def _facts(scorer: Scorer) -> dict[str, str]:
    return {"reward_configuration": scorer.origin} if scorer.origin else {}


def _draw(explanation: Explanation, completion: Completion, out: Path, image: Path | None) -> str:
    """Draw the boxes, on grey if the image is not available; return the message."""
    from verl_vision_r1.documents import is_regular_file
    from verl_vision_r1.report.drawing import draw, open_image

    found = Path(completion.image) if completion.image else None
    known = image or (found if found is not None and is_regular_file(found) else None)
    picture = draw(explanation, None if known is None else open_image(known, completion.target))
    out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(out)
    return f"drawn: {out}" + ("" if known else ", on grey: the image was not found")


def _warn(message: str) -> None:
    Console(stderr=True, soft_wrap=True).print(Text(one_line(message), style="yellow"))
