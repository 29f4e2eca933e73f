"""A trained model in use: `vision-r1 predict` and `export`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from verl_vision_r1.cli.app import AsJson, app, echo, echo_json, names_of, one_line
from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS

PANEL = "Models"


@app.command(
    epilog='Example: vision-r1 predict photos --model MODEL --find "raccoon, dog" --draw drawn', rich_help_panel=PANEL
)
def predict(
    source: Annotated[Path, typer.Argument(help="An image, or a folder with images.", metavar="IMAGE_OR_FOLDER")],
    model: Annotated[str, typer.Option(help="Model folder, or a name on the Hugging Face Hub.")],
    find: Annotated[
        str, typer.Option(help="Names to find, comma-separated.", show_default="the categories of --annotations")
    ] = "",
    preset: Annotated[
        str,
        typer.Option(
            help="Reward preset of the training run, or a YAML file: prompt, parser and frame.",
            autocompletion=names_of("reward"),
        ),
    ] = "robust",
    prompt: Annotated[
        str | None,
        typer.Option(
            help="Other prompt templates, a name of the group vision_r1/prompt; or the text of a prompt.",
            show_default="that of the preset",
            autocompletion=names_of("prompt"),
        ),
    ] = None,
    ask: Annotated[
        str | None,
        typer.Option(
            help="Kind of question: categories, category (one by one), expression, class or count.",
            show_default="categories, or else category",
        ),
    ] = None,
    frame: Annotated[
        str, typer.Option(help="Frame of the model's boxes, as vision_r1.frame; that of a preset comes first.")
    ] = "auto",
    engine: Annotated[
        str, typer.Option(help="transformers, vllm, or the http address of a server (vllm serve).")
    ] = "transformers",
    draw: Annotated[
        Path | None, typer.Option(help="Draw the boxes: output file for an image, folder for a folder.")
    ] = None,
    coco: Annotated[
        Path | None, typer.Option(help="Write COCO results; without --annotations, a COCO file with scores.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="COCO file: predict on the images that it lists, with its ids.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Write a predictions file for vision-r1 evaluate; with --annotations.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip images that cannot be used, and name them.")
    ] = False,
    min_pixels: Annotated[
        int, typer.Option(help="Minimum image area after the resize, in pixels.", min=1)
    ] = MIN_PIXELS,
    max_pixels: Annotated[
        int, typer.Option(help="Maximum image area after the resize, in pixels.", min=1)
    ] = MAX_PIXELS,
    max_tokens: Annotated[int, typer.Option(help="Maximum tokens of a completion.", min=1)] = 1024,
    batch: Annotated[int | None, typer.Option(help="Images per batch.", min=1, show_default="8, otherwise 64")] = None,
    as_json: AsJson = False,
) -> None:
    """Find objects with a trained model: boxes in pixels of the original images, drawn or in COCO format."""
    from verl_vision_r1.predict.detector import Detector
    from verl_vision_r1.predict.images import Item
    from verl_vision_r1.predict.prediction import Prediction
    from verl_vision_r1.predict.run import Request
    from verl_vision_r1.predict.run import predict as run

    names = tuple(name.strip() for name in find.split(",") if name.strip())
    request = Request(source, names, annotations, draw, coco, predictions, skip_bad)
    how: dict[str, Any] = {"preset": preset, "prompt": prompt, "ask": ask, "frame": frame, "engine": engine}
    how |= {"min_pixels": min_pixels, "max_pixels": max_pixels, "max_tokens": max_tokens, "batch": batch}
    found: list[dict[str, Any]] = []

    def show(item: Item, prediction: Prediction) -> None:
        if as_json:
            found.append({"image": str(item.path), **prediction.as_dict()})
        else:
            echo(one_line(f"{item.path}: {prediction}"))

    outcome = run(request, Detector(model, **how), show)
    if as_json:
        echo_json({"predictions": found, **asdict(outcome)})
        return
    for problem in outcome.skipped:
        echo(one_line(f"skipped: {problem}"))
    echo(_summary(outcome))


def _summary(outcome: Any) -> str:
    parts = [f"{outcome.images} images", f"{outcome.boxes} boxes", f"{outcome.unparsed} not parsed"]
    parts += [f"{outcome.unknown} boxes with other labels"] * bool(outcome.unknown)
    parts += [f"{len(outcome.skipped)} skipped"] * bool(outcome.skipped)
    return one_line(", ".join(parts) + (f"; written: {', '.join(outcome.written)}" if outcome.written else ""))


@app.command(
    epilog="Example: vision-r1 export checkpoints/verl_vision_r1/vision_r1_qwen7b --out MODEL", rich_help_panel=PANEL
)
def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="Folder of a run's checkpoints, of which the last is taken, or global_step_N.")
    ],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    dtype: Annotated[
        str, typer.Option(help="Type of the weights after merging a LoRA adapter: bfloat16 or float32.")
    ] = "bfloat16",
    as_json: AsJson = False,
) -> None:
    """Write a model folder for transformers and vLLM of a verl checkpoint, with the LoRA adapter merged."""
    from verl_vision_r1.predict.export import export as run

    exported = run(checkpoint, out, dtype)
    if as_json:
        echo_json({"model": str(out), "checkpoint": str(exported.checkpoint), "update_kept": exported.kept})
        return
    echo(one_line(f"{out}: model of {exported.checkpoint}"))
    if exported.kept is not None:
        echo(f"LoRA adapter merged: {dtype} keeps {exported.kept:.1%} of its update")
