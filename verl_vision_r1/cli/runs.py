"""Whole runs: `vision-r1 doctor`, `estimate`, `gpu-check`, `demo` and `ablations`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from verl_vision_r1.cli.app import AsJson, app


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: vision-r1 doctor +recipe=vision_r1_qwen7b data.train_files=rows.parquet vision_r1/reward=robust",
    rich_help_panel="Runs",
)
def doctor(
    run: Annotated[
        list[str] | None, typer.Argument(help="A run, as verl takes it.", metavar="[+recipe=NAME KEY=VALUE ...]")
    ] = None,
    as_json: AsJson = False,
    ray: Annotated[bool, typer.Option("--ray/--no-ray", help="Look into Ray's workers too.")] = True,
) -> None:
    """Check this installation, or exactly the run that is given; exit status 1 if anything is wrong."""
    from verl_vision_r1.preflight.doctor import diagnose, report

    checks = diagnose(run or (), ray=ray)
    if as_json:
        known = list(checks)
        typer.echo(report.as_json(known))
        right = all(check.ok is not False for check in known)
    else:
        right = report.show(checks)
    if not right:
        raise typer.Exit(1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: vision-r1 estimate +recipe=vision_r1_qwen7b trainer.n_gpus_per_node=4 --gpu-memory 80",
    rich_help_panel="Runs",
)
def estimate(
    run: Annotated[list[str], typer.Argument(help="A run, as verl takes it.", metavar="+recipe=NAME [KEY=VALUE ...]")],
    gpu_memory: Annotated[float, typer.Option(help="Memory of one GPU in GiB.")] = 80.0,
    gpu: Annotated[str, typer.Option(help="For the time: a100, h100 or h200.")] = "h100",
    mfu: Annotated[float, typer.Option(help="For the time: share of its peak that the update reaches.")] = 0.3,
    response_tokens: Annotated[
        int | None, typer.Option(help="Mean tokens of an answer.", show_default="data.max_response_length")
    ] = None,
    model_config: Annotated[
        Path | None, typer.Option(help="The model's config.json.", show_default="by actor_rollout_ref.model.path")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate a run's memory, processors, steps, disk and time before a GPU is touched, with what each rests on."""
    from verl_vision_r1.preflight.estimate import Assumptions, make_plan, report
    from verl_vision_r1.preflight.estimate import estimate as sections

    plan = make_plan(run, Assumptions(gpu_memory, gpu, mfu, response_tokens, model_config))
    if as_json:
        typer.echo(report.as_json(sections(plan)))
    else:
        report.show(sections(plan))


@app.command("gpu-check", epilog="Example: vision-r1 gpu-check --small", rich_help_panel="Runs")
def gpu_check(
    out: Annotated[
        Path, typer.Option(help="Folder for all that the check makes; that of an earlier one is emptied.")
    ] = Path("gpu_check"),
    small: Annotated[bool, typer.Option("--small", help="A model of two layers, not one of 3B.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, also where there is a GPU.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train three steps on this machine's GPUs and judge seconds and memory; without a GPU, say what it would do."""
    from rich.console import Console

    from verl_vision_r1.preflight.gpu_check.run import gpu_check as check

    result = check(out.absolute(), Console(stderr=as_json), small=small, dry=dry)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    if result["passed"] is False:
        raise typer.Exit(1)


@app.command(epilog="Example: vision-r1 demo --steps 40", rich_help_panel="Runs")
def demo(
    data: Annotated[
        Path | None, typer.Option(help="COCO or VOC folder.", show_default="coloured shapes, drawn here")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for all that the demo makes.")] = Path("demo"),
    steps: Annotated[int, typer.Option(help="Steps of reinforcement.", min=1)] = 40,
    seed: Annotated[int, typer.Option(help="Of the scenes, their order and the rollouts.", min=0)] = 0,
    teaching_steps: Annotated[int, typer.Option(help="With --data: supervised steps before.", min=1)] = 150,
    as_json: AsJson = False,
) -> None:
    """Train a tiny model on this machine's CPU through verl's own trainer, and show what changed."""
    from rich.console import Console

    from verl_vision_r1.demo.run import run_demo
    from verl_vision_r1.demo.training import Demo

    name = "shapes" if data is None else data.resolve().name
    result = run_demo(Demo((out / name).absolute(), steps, seed, teaching_steps), data, Console(stderr=as_json))
    if as_json:
        typer.echo(json.dumps(result, indent=2))


@app.command(epilog="Example: vision-r1 ablations --only robust,vision_r1 --seeds 3", rich_help_panel="Runs")
def ablations(
    out: Annotated[Path, typer.Option(help="Folder for the runs; those that are there are not made again.")] = Path(
        "demo/ablations"
    ),
    steps: Annotated[int, typer.Option(help="Steps of reinforcement of each run.", min=1)] = 40,
    seeds: Annotated[int, typer.Option(help="Runs of each variant.", min=1)] = 3,
    only: Annotated[str, typer.Option(help="Variants, comma-separated.", show_default="all")] = "",
    as_json: AsJson = False,
) -> None:
    """Run the demo with one thing changed at a time, hours of it, and write table.md with means and intervals."""
    from rich.console import Console

    from verl_vision_r1.demo.ablation_table import ablation_table
    from verl_vision_r1.demo.ablations import Ablations, run_ablations
    from verl_vision_r1.evaluation.presentation.tables import markdown, show

    names = tuple(name.strip() for name in only.split(",") if name.strip())
    plan, console = Ablations(out.absolute(), steps, seeds, names), Console(stderr=as_json)
    try:
        run_ablations(plan, console)
    finally:  # What is there is shown, also of a run that was cut short.
        table = ablation_table(plan)
        show([table], console)
        if as_json:
            typer.echo(json.dumps({"columns": table.heading, "rows": table.rows}, indent=2))
        (out / "table.md").write_text(markdown(table) + "\n", encoding="utf-8")
