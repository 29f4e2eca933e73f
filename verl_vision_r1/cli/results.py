"""Results of a model: `vision-r1 evaluate`, `difficulty` and `report`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from verl_vision_r1.cli.app import AsJson, app, echo, echo_json, one_line


@app.command(
    epilog="Example: vision-r1 evaluate validation/20.jsonl --annotations data/val.parquet --protocol vision_r1",
    rich_help_panel="Results",
)
def evaluate(
    predictions: Annotated[
        Path, typer.Argument(help="Predictions file of verl's validation: STEP.jsonl, or a folder with exactly one.")
    ],
    annotations: Annotated[Path, typer.Option(help="COCO JSON, or the sample file of the prompts (val.parquet).")],
    protocol: Annotated[str, typer.Option(help="vision_r1, visual_rft, qwen3_vl or plain.")],
    against: Annotated[Path | None, typer.Option(help="Predictions file of an earlier run, to compare with.")] = None,
    category_list: Annotated[
        Path | None, typer.Option(help="JSON file with the categories to ask about for each image.")
    ] = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="Accept missing and extra predictions: evaluate the images that both files have."
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Output folder.", show_default="STEP-PROTOCOL next to PREDICTIONS")
    ] = None,
    permutations: Annotated[int, typer.Option(help="Permutations of equal scores, for the range of AP.", min=0)] = 5,
    bootstrap: Annotated[int, typer.Option(help="Bootstrap resamples for the 95 % CI.", min=10)] = 1000,
    seed: Annotated[int, typer.Option(help="Random seed of permutations and resamples.", min=0)] = 0,
    library: Annotated[
        str, typer.Option(help="hotcoco, faster-coco-eval or pycocotools.", show_default="the first that is installed")
    ] = "",
    confidence: Annotated[
        str,
        typer.Option(
            help="Confidences of boxes: protocol (as it says), logprob (of the box's own tokens) or constant."
        ),
    ] = "protocol",
    figures: Annotated[bool, typer.Option(help="Draw figures and a gallery of the worst images.")] = True,
    as_json: AsJson = False,
) -> None:
    """Compute COCO AP, F1, accuracy and counting errors of predictions, by a published protocol."""
    from rich.console import Console

    from verl_vision_r1.evaluation.compare import compare
    from verl_vision_r1.evaluation.evaluate import evaluate as run
    from verl_vision_r1.evaluation.measure import Effort
    from verl_vision_r1.evaluation.measures.average_precision import LIBRARY
    from verl_vision_r1.evaluation.presentation import files
    from verl_vision_r1.evaluation.presentation.tables import show

    library = library or LIBRARY
    effort = Effort(permutations, seed, library, confidence)
    found = run(predictions, annotations, protocol, category_list=category_list, partial=partial, effort=effort)
    other = None
    if against is not None:
        no_permutations = Effort(0, seed, library, confidence)
        before = run(
            against, annotations, protocol, category_list=category_list, partial=partial, effort=no_permutations
        )
        other = files.Against(before, compare(before, found, bootstrap, seed), bootstrap)
    out = out or files.folder_of(found.predictions, protocol)
    written = files.write_results(out, found, other)
    if as_json:
        echo_json(files.document_of(found, other))
    else:
        show(files.tables(found, other), Console())
        echo("\n".join(map(one_line, files.sentences(found, other))))
    # Last, so that an error in drawing does not lose the metrics.
    if figures:
        written += files.draw_results(out, found, other)
    if not as_json:
        echo(f"written: {one_line(str(out))}/ {', '.join(str(path.relative_to(out)) for path in written)}")


@app.command(
    epilog="Example: vision-r1 difficulty validation/20.jsonl --out difficulty.json",
    rich_help_panel="Results",
)
def difficulty(
    files: Annotated[
        list[Path], typer.Argument(help="Rollout files or predictions files (STEP.jsonl), or folders of them.")
    ],
    out: Annotated[Path, typer.Option(help="Output file.")] = Path("difficulty.json"),
    as_json: AsJson = False,
) -> None:
    """Measure how well a model answers each sample: mean and spread of the reward, fraction of correct rollouts."""
    from verl_vision_r1.evaluation.difficulty import difficulty_of, summary, write_difficulty

    samples = difficulty_of(files)
    write_difficulty(out, samples)
    found = summary(samples)
    if as_json:
        echo_json(found | {"path": str(out)})
    else:
        echo(
            f"{found['samples']} samples, {found['rollouts']} rollouts: {found['solved']} samples solved,"
            f" {found['hopeless']} hopeless, {found['same_reward']} with the same reward in all rollouts"
        )
        echo(f"written: {one_line(str(out))}")


@app.command(
    epilog="Example: vision-r1 report checkpoints/verl_vision_r1/vision_r1_qwen7b --follow", rich_help_panel="Results"
)
def report(
    run: Annotated[Path, typer.Argument(help="Folder of the run: of its checkpoints, or of its rollout files.")],
    against: Annotated[
        Path | None, typer.Option(help="Folder of another run, shown next to it on the same prompts.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Output file.", show_default="report.html in RUN")] = None,
    limit: Annotated[
        int, typer.Option(help="Maximum number of completions on the page; its curves use all.", min=1)
    ] = 2000,
    follow: Annotated[bool, typer.Option("--follow", help="Update the page whenever there are new rollouts.")] = False,
    seconds: Annotated[int, typer.Option(help="With --follow: seconds between two checks.", min=1)] = 15,
    trust_run: Annotated[
        bool,
        typer.Option(
            "--trust-run", help="Import and call the custom functions that the run's files name: they run code."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write an HTML page of a run's rollouts: images, boxes by outcome, criteria, flags and reward curves."""
    from verl_vision_r1.report import writer

    page = out or run / "report.html"

    def make(cache: writer.Cache | None = None) -> writer.Report:
        refresh = seconds if follow else 0
        return writer.write_report(run, page, limit, refresh, cache, trust_run, against)

    runs = [run] if against is None else [run, against]
    for found in writer.follow(make, runs, seconds) if follow else [make()]:
        if as_json:
            typer.echo(json.dumps(asdict(found) | {"path": str(found.path)}))
        else:
            page_line = f"{found.path}: {found.completions} of {found.total} completions, {found.size / 1e6:.1f} MB"
            echo("\n".join(map(one_line, (page_line, *found.notes))))
