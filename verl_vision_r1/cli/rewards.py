"""Rewards: `vision-r1 score`, `attacks` and `conformance`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from verl_vision_r1.cli.app import AsJson, app, names_of


@app.command(
    epilog="Example: vision-r1 score --from validation/20.jsonl --line 3 --preset robust --draw answer.png",
    rich_help_panel="Rewards",
)
def score(
    answer: Annotated[
        str | None, typer.Argument(help="What a model wrote; - reads it from standard input.", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="What is there, as in a row's ground_truth: JSON, or a file of it.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Score each line of a JSONL: a dump of verl's, or answer and target.")
    ] = None,
    line: Annotated[int | None, typer.Option(help="Explain this line of it, from 1.", min=1)] = None,
    preset: Annotated[
        str, typer.Option(help="A preset, or a YAML file.", autocompletion=names_of("reward"))
    ] = "vision_r1",
    curriculum: Annotated[
        str, typer.Option(help="Score under a stage of this curriculum.", autocompletion=names_of("curriculum"))
    ] = "none",
    stage: Annotated[int | None, typer.Option(help="Which of its stages, from 0.", show_default="last")] = None,
    frame: Annotated[
        str | None,
        typer.Option(
            help="The frame of the answer: WIDTHxHEIGHT, resized_pixels, relative_1000 or relative_1.",
            show_default="as the line, the preset or the image has it",
        ),
    ] = None,
    draw: Annotated[Path | None, typer.Option(help="Draw the answer on its image, into this file.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="The image to draw on.", show_default="that of the line, or grey")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score an answer: what each criterion gives, what each box is worth and why; or all the answers of a file."""
    from verl_vision_r1.cli.score.command import Wanted, explain_one, score_all
    from verl_vision_r1.cli.score.inputs import Rulebook, stage_of
    from verl_vision_r1.rewards.presets import load_preset

    wanted = Wanted(answer, target, source, line, draw, image)
    book = Rulebook(load_preset(preset), stage_of(curriculum, stage), frame)
    if wanted.one:
        explain_one(wanted, book, as_json)
    else:
        score_all(wanted, book, as_json)


@app.command(epilog="Example: vision-r1 attacks --preset robust --curriculum halfway", rich_help_panel="Rewards")
def attacks(
    preset: Annotated[
        list[str] | None,
        typer.Option(help="A preset, or a YAML file.", show_default="all", autocompletion=names_of("reward")),
    ] = None,
    curriculum: Annotated[
        str,
        typer.Option(help="Score under the last stage of this curriculum.", autocompletion=names_of("curriculum")),
    ] = "none",
    as_json: AsJson = False,
) -> None:
    """What each preset pays for answers that cheat, as a share of what it pays for a perfect one."""
    from verl_vision_r1.rewards.attacks import PRESETS, shares, table
    from verl_vision_r1.rewards.presets import load_curriculum

    stage = load_curriculum(curriculum).stages[-1]
    names = preset or PRESETS
    typer.echo(json.dumps(shares(names, stage), indent=2) if as_json else table(names, stage))


@app.command(epilog="Example: vision-r1 conformance cases.json", rich_help_panel="Rewards")
def conformance(
    files: Annotated[list[Path], typer.Argument(help="Files of recorded cases.", metavar="FILE.json ...")],
    as_json: AsJson = False,
) -> None:
    """Score recorded cases and say which scores are as recorded; exit status 1 if any differs."""
    from verl_vision_r1.rewards.conformance import check_file, lines, summary

    reports = [check_file(path) for path in files]
    if as_json:
        typer.echo(json.dumps(summary(reports), indent=2))
    else:
        typer.echo("\n".join(line for report in reports for line in lines(report)))
    if not all(report.conforms for report in reports):
        raise typer.Exit(1)
