"""The command line: `vision-r1 prepare | attacks | conformance | demo`.

Each command imports what it needs when it runs, so that `vision-r1 --help` answers at once.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS


class _Commands(TyperGroup):
    """Shows what a person got wrong as one line instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, OSError) as error:
            typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
            raise typer.Exit(1) from error


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def vision_r1() -> None:
    """Reinforcement fine-tuning of vision-language models for seeing, with verl."""


@app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Folder of a data set, COCO or Pascal VOC.")],
    out: Annotated[Path, typer.Option(help="Folder for train.parquet and val.parquet.")],
    name: Annotated[str | None, typer.Option(help="Name of the data set in rows.", show_default="its format")] = None,
    validation_share: Annotated[float, typer.Option(help="Share of the images that go to val.parquet.")] = 0.2,
    limit: Annotated[int | None, typer.Option(help="Take at most this many images.", show_default="all")] = None,
    keep_negatives: Annotated[bool, typer.Option("--keep-negatives", help="Keep images without boxes.")] = False,
    max_pixels: Annotated[int, typer.Option(help="Largest area an image is resized to.")] = MAX_PIXELS,
    min_pixels: Annotated[int, typer.Option(help="Smallest area an image is resized to.")] = MIN_PIXELS,
    max_boxes: Annotated[int | None, typer.Option(help="Leave out images with more.", show_default="no limit")] = None,
    seed: Annotated[int, typer.Option(help="Decides the order and the split.")] = 0,
    on_bad: Annotated[Literal["raise", "skip"], typer.Option(help="What to do about a bad box or image.")] = "raise",
) -> None:
    """Turn annotated images into the rows that verl trains on."""
    from verl_vision_r1.data.prepare import prepare as run

    prepared = run(
        source,
        out,
        name=name,
        validation_share=validation_share,
        limit=limit,
        keep_negatives=keep_negatives,
        max_pixels=max_pixels,
        min_pixels=min_pixels,
        max_boxes=max_boxes,
        seed=seed,
        on_bad=on_bad,
    )
    _print_table(
        {
            f"rows in {out / 'train.parquet'}": prepared.train,
            f"rows in {out / 'val.parquet'}": prepared.val,
            "boxes in them": prepared.boxes,
            "images left out: no boxes": prepared.without_boxes,
            "images left out: above --max-boxes": prepared.over_max_boxes,
            "bad boxes and images left out": prepared.skipped,
        }
    )


@app.command()
def attacks(
    preset: Annotated[list[str] | None, typer.Option(help="A preset, or a YAML file.", show_default="all")] = None,
    curriculum: Annotated[str, typer.Option(help="Score under the last stage of this curriculum.")] = "off",
    as_json: Annotated[bool, typer.Option("--json", help="Print the shares as JSON.")] = False,
) -> None:
    """What each preset pays for answers that cheat, as a share of what it pays for a perfect one."""
    from verl_vision_r1.attacks import PRESETS, shares, table
    from verl_vision_r1.presets import load_curriculum

    stage = load_curriculum(curriculum).stages[-1]
    names = preset or PRESETS
    typer.echo(json.dumps(shares(names, stage), indent=2) if as_json else table(names, stage))


@app.command()
def conformance(
    files: Annotated[list[Path], typer.Argument(help="Files of recorded cases.", metavar="FILE.json ...")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
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


@app.command()
def demo(
    data: Annotated[
        Path | None, typer.Option(help="COCO or VOC folder.", show_default="coloured shapes, drawn here")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for all that the demo makes.")] = Path("demo"),
    steps: Annotated[int, typer.Option(help="Steps of reinforcement.", min=1)] = 6,
    teaching_steps: Annotated[int, typer.Option(help="Supervised steps before.", min=1)] = 150,
) -> None:
    """Train a tiny model on this machine's CPU through verl's own trainer, and show what changed."""
    from verl_vision_r1.demo.run import run_demo
    from verl_vision_r1.demo.training import Demo

    name = "shapes" if data is None else data.resolve().name
    run_demo(Demo((out / name).absolute(), steps, teaching_steps), data)


def _print_table(rows: dict[str, int]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    for label, value in rows.items():
        table.add_row(label, str(value))
    Console().print(table)


def main() -> None:
    """Run the command line; the entry point `vision-r1`."""
    app()
