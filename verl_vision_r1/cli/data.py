"""Data: `vision-r1 prepare`, `validate`, `view` and `convert`."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from verl_vision_r1.cli import prepare_options as options
from verl_vision_r1.cli.app import AsJson, app, echo, echo_json, names_of, one_line
from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS, SFT_PREFIX


@app.command(
    epilog="Example: vision-r1 prepare coco --source /data/coco --out data --negatives 0.1", rich_help_panel="Data"
)
def prepare(
    name: options.Name,
    out: options.Out,
    source: options.Source = "",
    split: options.Split = None,
    annotations: options.Annotations = None,
    images: options.ImageFolder = None,
    clip: options.Clip = False,
    crowd_as_box: options.CrowdAsBox = False,
    drop_duplicates: options.DropDuplicates = False,
    follow_symlinks: options.FollowSymlinks = False,
    strict: options.Strict = True,
    ask: options.Ask = "categories",
    negatives: options.Negatives = 0.0,
    hard_negatives: options.HardNegatives = "none",
    keep_empty: options.KeepEmpty = False,
    category_list: options.CategoryList = None,
    prompt: options.Prompt = "vision_r1",
    min_boxes: options.MinBoxes = 1,
    max_boxes: options.MaxBoxes = None,
    hard_fraction: options.HardFraction = None,
    difficulty: options.Difficulty = None,
    difficulty_range: options.DifficultyRange = (0.0, 1.0),
    difficulty_measure: options.DifficultyMeasure = "acc",
    max_images: options.MaxImages = None,
    max_samples: options.MaxSamples = None,
    max_boxes_per_sample: options.MaxBoxesPerSample = None,
    min_pixels: options.MinPixels = MIN_PIXELS,
    max_pixels: options.MaxPixels = MAX_PIXELS,
    image_check: options.ImageCheck = "decode",
    embed: options.Embed = False,
    val_fraction: options.ValFraction = 0.2,
    sft: options.Sft = None,
    alias: options.Alias = None,
    seed: options.Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Convert datasets to the parquet files that verl trains on."""
    from verl_vision_r1.data.images import CHECKS
    from verl_vision_r1.data.mix import read_mix
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare as run
    from verl_vision_r1.data.selection import Selection

    if images is not None and str(images) in CHECKS:
        raise ValueError(f"images: expected a folder of images, got {images}, a value of --image-check")
    writing = Writing(prompt, val_fraction, seed, min_pixels, max_pixels, image_check, embed, strict)
    if name == "mix":
        wanted = read_mix(Path(source))
    else:
        chosen = Selection(
            min_boxes, max_boxes, hard_fraction, difficulty, difficulty_range, difficulty_measure, max_images
        )
        where = {"name": name, "source": source, "split": split, "annotations": annotations, "images": images}
        leniency = {"clip": clip, "crowd_as_box": crowd_as_box, "drop_duplicates": drop_duplicates}
        asked = {"ask": ask, "negatives": negatives, "hard_negatives": hard_negatives, "keep_empty": keep_empty}
        others = {
            "category_list": category_list,
            "max_samples": max_samples,
            "max_boxes_per_sample": max_boxes_per_sample,
            "alias": alias,
            "follow_symlinks": follow_symlinks,
        }
        given: dict[str, Any] = {**where, **leniency, **asked, **others}
        wanted = [Source(**given, selection=chosen)]
    writer = _sft_writer(sft, prompt)
    prepared = run(wanted, out, writing)
    samples = prepared.samples | _write_sft(out, prepared.samples, writer)
    if as_json:
        echo_json(asdict(prepared) | {"samples": samples})
        return
    for account in prepared.accounts:
        _print_table({"dataset": account.source, "images": account.images} | _account_lines(account))
        for note in account.notes:
            echo(one_line(note))
    echo(", ".join(f"{out / file}.parquet: {count} samples" for file, count in samples.items()))
    if prepared.defects:
        echo(f"defective boxes and images skipped: {prepared.defects}, listed in {out / 'defects.txt'}")


def _sft_writer(model: str | None, prompt: str) -> Any:
    if model is None:
        return None
    from verl_vision_r1.data.sft import Writer

    return Writer.of_model(model, prompt)


def _write_sft(out: Path, files: Iterable[str], writer: Any) -> dict[str, int]:
    """Write the samples for supervised training. Returns their number by file."""
    if writer is None:
        return {}
    from verl_vision_r1.data.sft import write_sft

    names = {name: f"{SFT_PREFIX}{name}" for name in files}
    return {sft: write_sft(out / f"{name}.parquet", out / f"{sft}.parquet", writer) for name, sft in names.items()}


def _account_lines(account: Any) -> dict[str, Any]:
    lines = {f"samples in {file}.parquet": count for file, count in account.samples.items()}
    lines |= {"boxes": account.boxes, "negative samples": account.negatives}
    lines |= {"hard negatives drawn": account.hard_negatives} if account.hard_negatives else {}
    lines |= {f"left out: {reason}": count for reason, count in account.left_out.items()}
    lines |= {"annotations": sum(account.annotations.values())}
    lines |= {f"  {reason}": count for reason, count in account.annotations.items()}
    return lines | ({"boxes clipped to their images": account.clipped} if account.clipped else {})


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
        echo_json(report.as_dict())
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
                echo(str(sheet))
    if as_json:
        echo_json(sheets)


@app.command(
    epilog="Example: vision-r1 convert data/train.parquet --to swift --out swift.jsonl", rich_help_panel="Data"
)
def convert(
    source: Annotated[Path, typer.Argument(help="Sample file, or a folder with exactly one.")],
    to: Annotated[str, typer.Option(help="Format of the other trainer: swift (ms-swift) or easyr1 (EasyR1).")],
    out: Annotated[Path, typer.Option(help="File to write: .jsonl, or .parquet with embedded images (EasyR1 only).")],
    as_json: AsJson = False,
) -> None:
    """Convert prepared samples to those of another trainer."""
    from verl_vision_r1.data.convert import convert as run

    samples = run(source, to, out)
    echo(json.dumps({"path": str(out), "samples": samples}) if as_json else f"{out}: {samples} samples")


def _print_table(rows: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    for label, value in rows.items():
        table.add_row(Text(one_line(label)), Text(one_line(str(value))))
    Console().print(table)
