"""`vision-r1 rehearse`."""

from pathlib import Path
from typing import Annotated

import typer

from verl_vision_r1.cli.app import AsJson, Gpu, GpuMemory, ModelConfig, Run, app, one_line


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: vision-r1 rehearse +recipe=vision_r1_qwen7b trainer.n_gpus_per_node=4 --gpu-memory 48",
    rich_help_panel="Runs",
)
def rehearse(
    run: Run,
    gpu_memory: GpuMemory = None,
    gpu: Gpu = "h100",
    model_config: ModelConfig = None,
    cluster: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Nodes and GPUs of each.", show_default="what the run asks for", metavar="NODES GPUS"),
    ] = None,
    remedies: Annotated[bool, typer.Option(help="Look for the smallest change that makes a step fit.")] = True,
    log: Annotated[Path | None, typer.Option(help="File for the output of verl, vLLM and Ray.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take one step of a run at its real size on this machine's CPU; exit status 1 if the run would not run."""
    from verl_vision_r1.preflight.estimate import Assumptions
    from verl_vision_r1.preflight.rehearse import STEPS, Options, report
    from verl_vision_r1.preflight.rehearse import rehearse as play

    def tell(line: str) -> None:
        typer.echo(one_line(line), err=True)

    memory = Assumptions(gpu_memory, gpu).memory
    found = {}
    for name, step in play(run, Options(memory, model_config, cluster, remedies, log, tell)):
        tell(report.line(name, step))
        found[name] = step
    steps = {name: found[name] for name in STEPS if name in found}
    if as_json:
        typer.echo(report.as_json(steps))
    else:
        report.show(steps)
    if not report.would_run(steps):
        raise typer.Exit(1)
