"""Data: `vision-r1 prepare`, `validate` and `view`."""

import json
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from verl_vision_r1.cli.app import AsJson, app, names_of
from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS
from verl_vision_r1.data.readers import DATASETS

LISTED: Final = "\n\n".join(f"{kind.capitalize()}: {', '.join(names)}." for kind, names in DATASETS.items())
"""The datasets for the help text, one kind per line."""

QUESTIONS, SELECTION, IMAGES, OUTPUT = "Questions", "Selection", "Images", "Output"
"""Panels of the help text."""


def _complete_dataset(incomplete: str) -> list[str]:
    names = chain(("mix",), *DATASETS.values())
    return [name for name in names if name.startswith(incomplete)]


@app.command(
    epilog="Example: vision-r1 prepare coco --source /data/coco --out data --negatives 0.1", rich_help_panel="Data"
)
def prepare(
    name: Annotated[
        str,
        typer.Argument(
            help=f"Dataset to read.\n\n{LISTED}\n\nSeveral datasets at once: mix.",
            show_default=False,
            autocompletion=_complete_dataset,
        ),
    ],
    source: Annotated[
        str, typer.Option(help="Folder of the dataset, its name on the Hugging Face Hub, or the YAML file of a mix.")
    ],
    out: Annotated[Path, typer.Option(help="Output folder for train.parquet and val.parquet.")],
    split: Annotated[str | None, typer.Option(help="Read only this split.", show_default="train and val")] = None,
    ask: Annotated[
        str,
        typer.Option(
            help="Question about annotated boxes: categories (all in one prompt), category (one per prompt),"
            " referring, class or count.",
            rich_help_panel=QUESTIONS,
        ),
    ] = "categories",
    negatives: Annotated[
        float, typer.Option(help="Negative samples per other sample.", rich_help_panel=QUESTIONS)
    ] = 0.0,
    keep_empty: Annotated[
        bool,
        typer.Option(
            "--keep-empty",
            help="Keep images without boxes and images with crowds, for an evaluation.",
            rich_help_panel=QUESTIONS,
        ),
    ] = False,
    category_list: Annotated[
        Path | None,
        typer.Option(
            help="JSON file of the categories to ask each image about, with --ask category.",
            show_default="none",
            rich_help_panel=QUESTIONS,
        ),
    ] = None,
    prompt: Annotated[
        str,
        typer.Option(
            help="Prompt template, a name of the Hydra group vision_r1/prompt.",
            autocompletion=names_of("prompt"),
            rich_help_panel=QUESTIONS,
        ),
    ] = "vision_r1",
    min_boxes: Annotated[
        int,
        typer.Option(help="Minimum boxes per image (images without boxes are kept).", rich_help_panel=SELECTION),
    ] = 1,
    max_boxes: Annotated[
        int | None, typer.Option(help="Maximum boxes per image.", show_default="no limit", rich_help_panel=SELECTION)
    ] = None,
    hard_fraction: Annotated[
        float | None,
        typer.Option(
            help="Fraction of images with more than 10 boxes.", show_default="unchanged", rich_help_panel=SELECTION
        ),
    ] = None,
    difficulty: Annotated[
        Path | None,
        typer.Option(
            help="JSON file {image_id: number}, such as a model's mean scores.",
            show_default="none",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    difficulty_range: Annotated[
        tuple[float, float], typer.Option(help="Range of --difficulty to keep.", rich_help_panel=SELECTION)
    ] = (0.0, 1.0),
    max_images: Annotated[
        int | None, typer.Option(help="Maximum number of images.", show_default="all", rich_help_panel=SELECTION)
    ] = None,
    max_samples: Annotated[
        int | None,
        typer.Option(help="Maximum number of training samples.", show_default="all", rich_help_panel=SELECTION),
    ] = None,
    min_pixels: Annotated[
        int, typer.Option(help="Minimum image area after the resize, in pixels.", rich_help_panel=IMAGES)
    ] = MIN_PIXELS,
    max_pixels: Annotated[
        int, typer.Option(help="Maximum image area after the resize, in pixels.", rich_help_panel=IMAGES)
    ] = MAX_PIXELS,
    image_check: Annotated[
        str,
        typer.Option(
            help="How to verify images: decode (all pixels), header (size only) or none.", rich_help_panel=IMAGES
        ),
    ] = "decode",
    embed: Annotated[
        bool,
        typer.Option(
            "--embed", help="Store the images in the parquet files, not their paths.", rich_help_panel=IMAGES
        ),
    ] = False,
    val_fraction: Annotated[
        float,
        typer.Option(
            help="Fraction of images for val.parquet, if the dataset has no validation split; 1 writes val.parquet"
            " only.",
            rich_help_panel=OUTPUT,
        ),
    ] = 0.2,
    alias: Annotated[
        str | None,
        typer.Option(help="Dataset name in data_source.", show_default="NAME", rich_help_panel=OUTPUT),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Random seed for sampling, split and shuffle.", rich_help_panel=OUTPUT)
    ] = 0,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict/--skip-bad",
            help="Stop at defects, or skip the defective boxes and images.",
            rich_help_panel=OUTPUT,
        ),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Convert datasets to the parquet files that verl trains on."""
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
        _print_table({"dataset": account.source, "images": account.images} | _account_lines(account))
    typer.echo(", ".join(f"{out / file}.parquet: {count} samples" for file, count in prepared.rows.items()))
    if prepared.defects:
        typer.echo(f"defective boxes and images skipped: {prepared.defects}, listed in {out / 'defects.txt'}")


def _account_lines(account: Any) -> dict[str, Any]:
    lines = {f"samples in {file}.parquet": count for file, count in account.rows.items()}
    lines |= {"boxes": account.boxes, "negative samples": account.negatives}
    return lines | {f"left out: {reason}": count for reason, count in account.left_out.items()}


@app.command(epilog="Example: vision-r1 validate data", rich_help_panel="Data")
def validate(
    source: Annotated[Path, typer.Argument(help="Folder of parquet or JSON Lines files, or one such file.")],
    model: Annotated[
        str | None,
        typer.Option(help="Model folder; measure the prompts in tokens of its processor.", show_default="none"),
    ] = None,
    max_prompt_length: Annotated[int, typer.Option(help="Maximum prompt length in tokens, with --model.")] = 1024,
    prompt: Annotated[
        str,
        typer.Option(
            help="Prompt template of the run, a name of the Hydra group vision_r1/prompt; none: the text in the file.",
            autocompletion=names_of("prompt"),
        ),
    ] = "none",
    image_check: Annotated[
        str, typer.Option(help="How to verify images: decode (all pixels), header (size only) or none.")
    ] = "decode",
    as_json: AsJson = False,
) -> None:
    """Check prepared samples: count defects, show statistics. Exit status 1 if there is a defect."""
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


@app.command(epilog="Example: vision-r1 view data --count 48", rich_help_panel="Data")
def view(
    source: Annotated[Path, typer.Argument(help="Folder of parquet or JSON Lines files, or one such file.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the contact sheets.", show_default="view/ in the data folder")
    ] = None,
    count: Annotated[int, typer.Option(help="Number of samples to draw per file.", min=1)] = 24,
    seed: Annotated[int, typer.Option(help="Random seed for the choice of samples.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw samples with their ground-truth boxes on contact sheets."""
    from verl_vision_r1.data.validate import sample_files
    from verl_vision_r1.data.view import view as run

    sheets = []
    for file in sample_files(source):
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
