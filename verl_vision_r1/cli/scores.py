"""Rewards: `vision-r1 attacks` and `conformance`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from verl_vision_r1.cli.app import AsJson, app, names_of


@app.command(epilog="Example: vision-r1 attacks --preset robust --curriculum halfway", rich_help_panel="Rewards")
def attacks(
    preset: Annotated[
        list[str] | None,
        typer.Option(help="A preset, or a YAML file.", show_default="all", autocompletion=names_of("reward")),
    ] = None,
    curriculum: Annotated[
        str,
        typer.Option(help="Score under the last stage of this curriculum.", autocompletion=names_of("curriculum")),
    ] = "off",
    as_json: AsJson = False,
) -> None:
    """What each preset pays for answers that cheat, as a share of what it pays for a perfect one."""
    from verl_vision_r1.attacks import PRESETS, shares, table
    from verl_vision_r1.presets import load_curriculum

    stage = load_curriculum(curriculum).stages[-1]
    names = preset or PRESETS
    typer.echo(json.dumps(shares(names, stage), indent=2) if as_json else table(names, stage))


@app.command(epilog="Example: vision-r1 conformance cases.json", rich_help_panel="Rewards")
def conformance(
    files: Annotated[list[Path], typer.Argument(help="Files of recorded cases.", metavar="FILE.json ...")],
    as_json: AsJson = False,
) -> None:
    """Score recorded cases and say which scores are as recorded; exit status 1 if any differs."""
    from verl_vision_r1.conformance import check_file, lines, summary

    reports = [check_file(path) for path in files]
    if as_json:
        typer.echo(json.dumps(summary(reports), indent=2))
    else:
        typer.echo("\n".join(line for report in reports for line in lines(report)))
    if not all(report.conforms for report in reports):
        raise typer.Exit(1)
