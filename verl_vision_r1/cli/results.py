"""What a model answered: `vision-r1 evaluate` and `report`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from verl_vision_r1.cli.app import AsJson, app


@app.command(
    epilog="Example: vision-r1 evaluate validation/20.jsonl --annotations data/val.parquet --protocol vision_r1",
    rich_help_panel="Results",
)
def evaluate(
    dump: Annotated[Path, typer.Argument(help="verl's validation dump: STEP.jsonl, or a folder that holds only it.")],
    annotations: Annotated[Path, typer.Option(help="COCO JSON, or the file of rows that was asked.")],
    protocol: Annotated[str, typer.Option(help="vision_r1, visual_rft, qwen3_vl or plain.")],
    against: Annotated[
        Path | None, typer.Option(help="Dump of another run, to compare with as the one before.")
    ] = None,
    category_list: Annotated[
        Path | None, typer.Option(help="JSON file of the categories that each image was asked about.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Measure a dump that does not answer all of the annotations.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results.", show_default="STEP-PROTOCOL beside the dump")
    ] = None,
    permutations: Annotated[int, typer.Option(help="Other orders of the boxes to measure AP in.", min=0)] = 5,
    bootstrap: Annotated[int, typer.Option(help="Draws of the images for the intervals.", min=10)] = 1000,
    seed: Annotated[int, typer.Option(help="Decides orders and draws.", min=0)] = 0,
    library: Annotated[str, typer.Option(help="faster-coco-eval or pycocotools.")] = "faster-coco-eval",
    figures: Annotated[bool, typer.Option(help="Draw figures and the worst images.")] = True,
    as_json: AsJson = False,
) -> None:
    """Measure a model's answers by a protocol that says what it assumes."""
    from rich.console import Console

    from verl_vision_r1.evaluation.compare import compare
    from verl_vision_r1.evaluation.evaluate import evaluate as run
    from verl_vision_r1.evaluation.measure import Effort
    from verl_vision_r1.evaluation.presentation import files
    from verl_vision_r1.evaluation.presentation.tables import show

    effort = Effort(permutations, seed, library)
    found = run(dump, annotations, protocol, category_list=category_list, partial=partial, effort=effort)
    other = None
    if against is not None:
        less = Effort(0, seed, library)
        before = run(against, annotations, protocol, category_list=category_list, partial=partial, effort=less)
        other = files.Against(before, compare(before, found, bootstrap, seed), bootstrap)
    out = out or files.folder_of(found.dump, protocol)
    written = files.write_results(out, found, other)
    if as_json:
        typer.echo(written[0].read_text(encoding="utf-8"), nl=False)
    else:
        show(files.tables(found, other), Console())
        typer.echo("\n".join(files.sentences(found, other)))
    # Last: the numbers are there whatever becomes of the pictures.
    if figures:
        written += files.draw_results(out, found, other)
    if not as_json:
        typer.echo(f"written: {out}/ {', '.join(str(path.relative_to(out)) for path in written)}")


@app.command(
    epilog="Example: vision-r1 report checkpoints/verl_vision_r1/vision_r1_qwen7b --follow", rich_help_panel="Results"
)
def report(
    run: Annotated[Path, typer.Argument(help="Folder of the run: of its checkpoints, or of its dumps.")],
    out: Annotated[Path | None, typer.Option(help="The page.", show_default="report.html in RUN")] = None,
    limit: Annotated[int, typer.Option(help="Answers on the page; its curves are of all.", min=1)] = 2000,
    follow: Annotated[bool, typer.Option("--follow", help="Make it again whenever there are new answers.")] = False,
    seconds: Annotated[int, typer.Option(help="With --follow: between two looks.", min=1)] = 15,
    as_json: AsJson = False,
) -> None:
    """Make one HTML page of a run's answers: images, boxes, pairs, criteria, flags and curves."""
    from verl_vision_r1.report import writer as made

    page = out or run / "report.html"

    def make(held: made.Remembered | None = None) -> made.Report:
        return made.write_report(run, page, limit, refresh=seconds if follow else 0, held=held)

    for found in made.follow(make, run, seconds) if follow else [make()]:
        if as_json:
            typer.echo(json.dumps(asdict(found) | {"path": str(found.path)}))
        else:
            typer.echo(f"{found.path}: {found.answers} of {found.of} answers, {found.size / 1e6:.1f} MB")
            typer.echo("".join(f"{note}\n" for note in found.notes), nl=False)
