"""Rows: `vision-r1 prepare`, `validate` and `view`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from verl_vision_r1.cli.app import AsJson, app, names_of
from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS


def _readers(incomplete: str) -> list[str]:
    from verl_vision_r1.data.readers.sources import SOURCES

    return [name for name in ("mix", *SOURCES) if name.startswith(incomplete)]


@app.command(
    epilog="Example: vision-r1 prepare coco --source /data/coco --out data --negatives 0.1", rich_help_panel="Rows"
)
def prepare(
    name: Annotated[
        str,
        typer.Argument(help="The data set (coco, voc, ...), or mix.", show_default=False, autocompletion=_readers),
    ],
    source: Annotated[str, typer.Option(help="Its folder, its name on the hub, or the YAML file of a mix.")],
    out: Annotated[Path, typer.Option(help="Folder for train.parquet and val.parquet.")],
    split: Annotated[str | None, typer.Option(help="One part alone.", show_default="train and val")] = None,
    ask: Annotated[
        str, typer.Option(help="Of boxes: categories, category, referring, class or count.")
    ] = "categories",
    negatives: Annotated[float, typer.Option(help="Questions about what is not there, for each other one.")] = 0.0,
    keep_empty: Annotated[
        bool, typer.Option("--keep-empty", help="For evaluation: images without objects too, and crowds.")
    ] = False,
    category_list: Annotated[
        Path | None, typer.Option(help="JSON file of the categories to ask each image about.", show_default="no list")
    ] = None,
    max_samples: Annotated[
        int | None, typer.Option(help="At most so many rows to train on.", show_default="all")
    ] = None,
    max_images: Annotated[int | None, typer.Option(help="Take at most so many images.", show_default="all")] = None,
    min_boxes: Annotated[int, typer.Option(help="Leave out images with fewer, but not those with none.")] = 1,
    max_boxes: Annotated[int | None, typer.Option(help="Leave out images with more.", show_default="no limit")] = None,
    hard_fraction: Annotated[
        float | None, typer.Option(help="Share of images with more than 10 boxes.", show_default="as it is")
    ] = None,
    difficulty: Annotated[Path | None, typer.Option(help="JSON {image_id: number} to choose by.")] = None,
    difficulty_range: Annotated[tuple[float, float], typer.Option(help="Keep images within.")] = (0.0, 1.0),
    prompt: Annotated[
        str, typer.Option(help="Words of the questions, of vision_r1/prompt.", autocompletion=names_of("prompt"))
    ] = "vision_r1",
    alias: Annotated[str | None, typer.Option(help="Name in data_source.", show_default="NAME")] = None,
    val_fraction: Annotated[float, typer.Option(help="Share of the images that go to val.parquet; 1: all.")] = 0.2,
    max_pixels: Annotated[int, typer.Option(help="Largest area an image is resized to.")] = MAX_PIXELS,
    min_pixels: Annotated[int, typer.Option(help="Smallest area an image is resized to.")] = MIN_PIXELS,
    seed: Annotated[int, typer.Option(help="Decides the choice, the split and the order.")] = 0,
    image_check: Annotated[str, typer.Option(help="Look at images: decode, header or none.")] = "decode",
    embed: Annotated[bool, typer.Option("--embed", help="Rows hold the images, not their paths.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict/--skip-bad", help="Stop at defects, or leave out what has one.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Turn a data set into the rows that verl trains on."""
    from verl_vision_r1.data.mix import read_mix
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare as run
    from verl_vision_r1.data.selection import Selection

    writing = Writing(prompt, val_fraction, seed, min_pixels, max_pixels, image_check, embed, strict)
    if name == "mix":
        wanted = read_mix(Path(source))
    else:
        chosen = Selection(min_boxes, max_boxes, hard_fraction, difficulty, difficulty_range, max_images)
        wanted = [Source(name, source, split, ask, negatives, max_samples, chosen, alias, keep_empty, category_list)]
    prepared = run(wanted, out, writing)
    if as_json:
        typer.echo(json.dumps(asdict(prepared), indent=2))
        return
    for account in prepared.accounts:
        _print_table({"": account.source, "images": account.images} | _account_lines(account))
    typer.echo(", ".join(f"{out / file}.parquet: {count} rows" for file, count in prepared.rows.items()))
    if prepared.defects:
        typer.echo(f"{prepared.defects} bad boxes and images left out, listed in {out / 'defects.txt'}")


def _account_lines(account: Any) -> dict[str, Any]:
    lines = {f"rows for {file}": count for file, count in account.rows.items()}
    lines |= {"boxes": account.boxes, "rows whose answer is nothing": account.negatives}
    return lines | {f"left out: {reason}": count for reason, count in account.left_out.items()}


@app.command(epilog="Example: vision-r1 validate data", rich_help_panel="Rows")
def validate(
    source: Annotated[Path, typer.Argument(help="Folder of rows, or a file of them.")],
    model: Annotated[
        str | None, typer.Option(help="Folder of the model whose processor measures the prompts.")
    ] = None,
    max_prompt_length: Annotated[int, typer.Option(help="Tokens above which a prompt is a defect.")] = 1024,
    prompt: Annotated[
        str, typer.Option(help="Words that the run asks in, of vision_r1/prompt.", autocompletion=names_of("prompt"))
    ] = "none",
    image_check: Annotated[str, typer.Option(help="Look at images: decode, header or none.")] = "decode",
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with rows, and what is in them; exit status 1 if anything is wrong."""
    from verl_vision_r1.data.images import CHECKS
    from verl_vision_r1.data.validate import validate as run

    if image_check not in CHECKS:
        raise ValueError(f"image_check: expected one of {', '.join(CHECKS)}, got {image_check!r}")
    report = run(source, image_check=image_check, lengths=_lengths(model, prompt), max_prompt_length=max_prompt_length)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        from verl_vision_r1.data.validate_table import show

        show(report)
    if report.defects:
        raise typer.Exit(1)


def _lengths(model: str | None, prompt: str) -> Any:
    if model is None:
        return None
    from transformers import AutoProcessor

    from verl_vision_r1.data.prompt_length import PromptLength, processor_bounds
    from verl_vision_r1.rewards.presets import load_prompts

    processor = AutoProcessor.from_pretrained(model)
    return PromptLength(processor, load_prompts(prompt), processor_bounds(processor), {})


@app.command(epilog="Example: vision-r1 view data --count 48", rich_help_panel="Rows")
def view(
    source: Annotated[Path, typer.Argument(help="Folder of rows, or a file of them.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the sheets.", show_default="view/ beside the rows")
    ] = None,
    count: Annotated[int, typer.Option(help="Rows of each file to draw.", min=1)] = 24,
    seed: Annotated[int, typer.Option(help="Decides which.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw rows with their boxes on contact sheets."""
    from verl_vision_r1.data.validate import files_of_rows
    from verl_vision_r1.data.view import view as run

    sheets = []
    for file in files_of_rows(source):
        for sheet in run(file, out or file.parent / "view", count=count, seed=seed):
            sheets.append(str(sheet))
            if not as_json:
                typer.echo(sheet)
    if as_json:
        typer.echo(json.dumps(sheets, indent=2))


def _print_table(rows: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    for label, value in rows.items():
        table.add_row(label, str(value))
    Console().print(table)
