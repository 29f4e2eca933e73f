"""Commands on whole runs: `vision-r1 doctor`, `estimate`, `gpu-check`, `demo` and `ablations`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from verl_vision_r1.cli.app import AsJson, Gpu, GpuMemory, ModelConfig, Run, app


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: vision-r1 doctor +recipe=vision_r1_qwen7b data.train_files=train.parquet vision_r1/reward=robust",
    rich_help_panel="Runs",
)
def doctor(
    run: Annotated[
        list[str] | None,
        typer.Argument(help="Overrides of a run, as on verl's command line.", metavar="[+recipe=NAME KEY=VALUE ...]"),
    ] = None,
    as_json: AsJson = False,
    ray: Annotated[bool, typer.Option("--ray/--no-ray", help="Check the Ray workers too.")] = True,
    elsewhere: Annotated[
        bool, typer.Option("--elsewhere", help="The run starts on another machine: exit status 0 without its GPUs.")
    ] = False,
) -> None:
    """Check installation, configuration and GPUs, locally and on Ray workers; exit status 1 if a run cannot start."""
    from verl_vision_r1.preflight.doctor import diagnose, report

    checks = diagnose(run or (), ray=ray)
    if as_json:
        results = list(checks)
        typer.echo(report.as_json(results))
        passed = report.passed(results, elsewhere=elsewhere)
    else:
        passed = report.show(checks, elsewhere=elsewhere)
    if not passed:
        raise typer.Exit(1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: vision-r1 estimate +recipe=vision_r1_qwen7b trainer.n_gpus_per_node=4 --gpu-memory 80",
    rich_help_panel="Runs",
)
def estimate(
    run: Run,
    gpu_memory: GpuMemory = None,
    gpu: Gpu = "h100",
    mfu: Annotated[float, typer.Option(help="Model FLOPs utilization of the update, above 0 and at most 1.")] = 0.3,
    response_tokens: Annotated[
        int | None, typer.Option(help="Mean tokens per completion.", show_default="data.max_response_length")
    ] = None,
    model_config: ModelConfig = None,
    as_json: AsJson = False,
) -> None:
    """Estimate GPU memory, CPU cores, disk and time of a run, without a GPU; exit status 1 if it does not fit."""
    from verl_vision_r1.preflight.estimate import Assumptions, make_plan, report
    from verl_vision_r1.preflight.estimate import estimate as sections_of

    sections = sections_of(make_plan(run, Assumptions(gpu_memory, gpu, mfu, response_tokens, model_config)))
    if as_json:
        typer.echo(report.as_json(sections))
    else:
        report.show(sections)
    if not report.fits(sections):
        raise typer.Exit(1)


@app.command("gpu-check", epilog="Example: vision-r1 gpu-check --small", rich_help_panel="Runs")
def gpu_check(
    out: Annotated[Path, typer.Option(help="Output folder; that of an earlier check is emptied.")] = Path("gpu_check"),
    small: Annotated[bool, typer.Option("--small", help="Use a model with two layers instead of 3B.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Print the plan only, also with a GPU.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train three steps on this machine's GPUs and check time and memory against limits; skipped without a GPU."""
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
        Path | None, typer.Option(help="COCO or VOC folder.", show_default="drawn coloured shapes")
    ] = None,
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("demo"),
    steps: Annotated[int, typer.Option(help="GRPO steps.", min=1)] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the scenes, their order and the rollouts.", min=0)] = 0,
    teaching_steps: Annotated[
        int, typer.Option(help="With --data: at most so many supervised steps before GRPO.", min=1)
    ] = 1400,
    as_json: AsJson = False,
) -> None:
    """Train a tiny model on the CPU with verl's trainer, and evaluate it before and after."""
    from rich.console import Console

    from verl_vision_r1.demo.plan import Demo
    from verl_vision_r1.demo.run import run_demo

    name = "shapes" if data is None else data.resolve().name
    result = run_demo(Demo((out / name).absolute(), steps, seed, teaching_steps), data, Console(stderr=as_json))
    if as_json:
        typer.echo(json.dumps(result, indent=2))


@app.command(epilog="Example: vision-r1 ablations --only robust,vision_r1 --seeds 3", rich_help_panel="Runs")
def ablations(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="With --data: other settings of GRPO, run from the same supervised models.", metavar="[KEY=VALUE ...]"
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("demo/ablations"),
    results: Annotated[
        Path | None,
        typer.Option(help="File of the results; runs in it are not repeated.", show_default="OUT/results.jsonl"),
    ] = None,
    steps: Annotated[int, typer.Option(help="GRPO steps per run.", min=1)] = 40,
    seeds: Annotated[int, typer.Option(help="Runs per variant.", min=1)] = 3,
    only: Annotated[str, typer.Option(help="Names of variants, comma-separated.", show_default="all")] = "",
    validations: Annotated[
        int, typer.Option(help="Validations per run; with several, the time to a given AP is measured.", min=1)
    ] = 1,
    data: Annotated[
        Path | None,
        typer.Option(help="COCO or VOC folder: the demo on it, beside supervised training.", show_default="variants"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run variants of the demo with one change each (hours), and write table.md with means and intervals."""
    from rich.console import Console

    from verl_vision_r1.demo.ablations import Ablations, ablation_tables, run_ablations
    from verl_vision_r1.demo.photograph_runs import PhotographRuns, run_photographs
    from verl_vision_r1.demo.photograph_table import photograph_tables
    from verl_vision_r1.evaluation.presentation.tables import markdown, show

    names = tuple(name.strip() for name in only.split(",") if name.strip())
    variants = Ablations(out.absolute(), steps, seeds, names, validations, results)
    console = Console(stderr=as_json)
    if overrides and data is None:
        raise ValueError(
            f"ablations: expected --data with overrides, got {' '.join(overrides)} alone; --only names variants"
        )
    try:
        if data is None:
            run_ablations(variants, console)
        else:
            settings = tuple(overrides or ())
            run_photographs(PhotographRuns(out.absolute(), data, steps, seeds, variants.results, settings), console)
    finally:  # The tables of the finished runs, also after an interruption.
        tables = (photograph_tables if data else ablation_tables)(variants.results, steps)
        show(tables, console)
        if as_json:
            shown = [{"title": table.title, "columns": table.heading, "rows": table.rows} for table in tables]
            typer.echo(json.dumps(shown, indent=2))
        if tables:
            out.mkdir(parents=True, exist_ok=True)
            (out / "table.md").write_text("\n\n".join(map(markdown, tables)) + "\n", encoding="utf-8")
