"""Rewards: `vision-r1 score`, `attacks` and `conformance`."""

from pathlib import Path
from typing import Annotated, Final

import typer

from verl_vision_r1.cli.app import AsJson, app, echo, echo_json, names_of, one_line


@app.command(
    epilog="Example: vision-r1 score --from validation/20.jsonl --line 3 --preset robust --draw answer.png",
    rich_help_panel="Rewards",
)
def score(
    completion: Annotated[
        str | None, typer.Argument(help="The completion; - reads it from standard input.", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The ground truth, as in a sample's ground_truth: JSON, or a JSON file.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Score each line of a JSONL file: a rollout file, or completion and target."),
    ] = None,
    line: Annotated[int | None, typer.Option(help="Explain this line of the file, from 1.", min=1)] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Reward preset, or a YAML file.",
            show_default="that of run.yaml, or vision_r1",
            autocompletion=names_of("reward"),
        ),
    ] = None,
    curriculum: Annotated[
        str | None,
        typer.Option(
            help="Use a stage of this curriculum.",
            show_default="that of run.yaml, or none",
            autocompletion=names_of("curriculum"),
        ),
    ] = None,
    stage: Annotated[
        int | None, typer.Option(help="Index of the stage, from 0.", show_default="that of the run's step, or last")
    ] = None,
    frame: Annotated[
        str | None,
        typer.Option(
            help="Coordinate frame of the boxes: WIDTHxHEIGHT, or a name as in vision_r1.frame (relative_1000).",
            show_default="from the line, the preset or the image",
        ),
    ] = None,
    draw: Annotated[Path | None, typer.Option(help="Draw the boxes on the image and save it to this file.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="The image to draw on.", show_default="from the line, or grey")
    ] = None,
    trust_run: Annotated[
        bool,
        typer.Option("--trust-run", help="Import and call the custom functions that run.yaml names: they run code."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score a completion and explain the score, box by box; or score all completions of a file.

    A file is scored with the reward configuration of its run, from run.yaml in the same folder. Options choose another
    one; the recorded total is then printed too.

    The explanation names the form in which the boxes were found, such as `JSON in a fence` (with --json: `form`).
    """
    from verl_vision_r1.cli.score.command import Request, explain_one, score_all
    from verl_vision_r1.cli.score.scorer import Choice, make_scorer

    request = Request(completion, target, source, line, draw, image)
    scorer = make_scorer(Choice(preset, curriculum, stage, frame, trust_run), source)
    if request.one:
        explain_one(request, scorer, as_json)
    else:
        score_all(request, scorer, as_json)


@app.command(epilog="Example: vision-r1 attacks --preset robust --curriculum halfway", rich_help_panel="Rewards")
def attacks(
    preset: Annotated[
        list[str] | None,
        typer.Option(help="Reward preset, or a YAML file.", show_default="all", autocompletion=names_of("reward")),
    ] = None,
    curriculum: Annotated[
        str,
        typer.Option(help="Use the last stage of this curriculum.", autocompletion=names_of("curriculum")),
    ] = "none",
    policies: Annotated[
        bool, typer.Option("--policies", help="Simulate GRPO over strategies instead, without and with refinement.")
    ] = False,
    task: Annotated[str, typer.Option(help="Task of the completions: detection or pointing.")] = "detection",
    as_json: AsJson = False,
) -> None:
    """Test presets for reward hacking: the reward of flawed completions, as a fraction of the maximum."""
    from verl_vision_r1.rewards.attacks import PRESETS, as_table, fractions
    from verl_vision_r1.rewards.point_attacks import POINT_PRESETS, point_fractions
    from verl_vision_r1.rewards.presets import load_curriculum

    if task not in ("detection", "pointing"):
        raise ValueError(f"--task: expected detection or pointing, got {task!r}")
    if policies:
        _policies(preset or list(POLICY_PRESETS[task]), task, as_json)
        return
    stage = load_curriculum(curriculum).stages[-1]
    if task == "pointing":
        found = point_fractions(preset or POINT_PRESETS, stage)
    else:
        found = fractions(preset or PRESETS, stage)
    if as_json:
        echo_json(found)
    else:
        echo(as_table(found))


POLICY_PRESETS: Final = {
    "detection": ("robust", "vision_r1", "visual_rft"),
    "pointing": ("robust", "vision_r1"),
}
"""The presets of the documentation's tables of policies, by task."""


def _policies(presets: list[str], task: str, as_json: bool) -> None:
    from dataclasses import asdict

    from verl_vision_r1.rewards.point_policies import point_outcomes, point_table, preset_reward
    from verl_vision_r1.rewards.policies import outcomes, table
    from verl_vision_r1.rewards.presets import load_curriculum, load_preset

    loaded = {name: load_preset(name) for name in presets}
    if without := [name for name, preset in loaded.items() if task not in preset.tasks]:
        raise ValueError(f"--policies: expected presets for {task}, got {', '.join(without)}")
    stages = {"none": load_curriculum("none").stages[0], "advanced": load_curriculum("halfway").stages[-1]}
    points = task == "pointing"
    if not as_json:
        echo(point_table(loaded, stages) if points else table(loaded, stages))
        return
    found = [
        {"preset": name, "refinement": refinement, **asdict(cell), **asdict(outcome)}
        for name, preset in loaded.items()
        for refinement, stage in stages.items()
        for cell, outcome in (
            point_outcomes(preset_reward(preset, stage)) if points else outcomes(preset, stage)
        ).items()
    ]
    echo_json(found)


@app.command(epilog="Example: vision-r1 conformance cases.json", rich_help_panel="Rewards")
def conformance(
    files: Annotated[list[Path], typer.Argument(help="Files of recorded cases.", metavar="FILE.json ...")],
    as_json: AsJson = False,
) -> None:
    """Compare scores with recorded scores; exit status 1 if any differs."""
    from verl_vision_r1.rewards.conformance import check_file, lines, summary

    reports = [check_file(path) for path in files]
    if as_json:
        echo_json(summary(reports))
    else:
        echo("\n".join(one_line(line) for report in reports for line in lines(report)))
    if not all(report.conforms for report in reports):
        raise typer.Exit(1)
