"""The options of `vision-r1 prepare`, by the panels of its help text."""

from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import typer

from verl_vision_r1.cli.app import names_of
from verl_vision_r1.data.readers import DATASETS

LISTED: Final = "\n\n".join(f"{kind.capitalize()}: {', '.join(names)}." for kind, names in DATASETS.items())
"""The datasets for the help text, one kind per line."""

READING, QUESTIONS, SELECTION, IMAGES, OUTPUT = "Reading", "Questions", "Selection", "Images", "Output"


def _complete_dataset(incomplete: str) -> list[str]:
    names = chain(("mix",), *DATASETS.values())
    return [name for name in names if name.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(
        help=f"Dataset to read.\n\n{LISTED}\n\nSeveral datasets at once: mix.",
        show_default=False,
        autocompletion=_complete_dataset,
    ),
]
Out = Annotated[Path, typer.Option(help="Output folder for train.parquet and val.parquet.")]
Source = Annotated[
    str,
    typer.Option(
        help="Folder of the dataset, an annotation file, a name on the Hugging Face Hub, or the YAML file of a mix.",
        show_default="see --annotations",
    ),
]
Split = Annotated[str | None, typer.Option(help="Read only this split.", show_default="train and val")]

Annotations = Annotated[
    Path | None,
    typer.Option(
        help="Annotation file that is not in the folder of its dataset, in place of --source (for voc, the folder of"
        " the XML files).",
        show_default="none",
        rich_help_panel=READING,
    ),
]
ImageFolder = Annotated[
    Path | None,
    typer.Option(
        "--images",
        help="Folder of the images, with --annotations.",
        show_default="next to the annotations",
        rich_help_panel=READING,
    ),
]
Clip = Annotated[
    bool, typer.Option("--clip", help="Clip boxes that exceed their images, and count them.", rich_help_panel=READING)
]
CrowdAsBox = Annotated[
    bool,
    typer.Option(
        "--crowd-as-box",
        help="Read crowds (iscrowd 1) as boxes of single objects, as CVAT writes masks.",
        rich_help_panel=READING,
    ),
]
DropDuplicates = Annotated[
    bool, typer.Option("--drop-duplicates", help="Remove boxes that are annotated twice.", rich_help_panel=READING)
]
FollowSymlinks = Annotated[
    bool,
    typer.Option(
        "--follow-symlinks",
        help="Accept images that are symbolic links to files outside the dataset.",
        rich_help_panel=READING,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict/--skip-bad", help="Stop at defects, or skip the defective boxes and images.", rich_help_panel=READING
    ),
]

Ask = Annotated[
    str,
    typer.Option(
        help="Question about annotated boxes: categories (all in one prompt), category (one per prompt), referring,"
        " class, count or points (a point for each object of one category).",
        rich_help_panel=QUESTIONS,
    ),
]
Negatives = Annotated[float, typer.Option(help="Negative samples per other sample.", rich_help_panel=QUESTIONS)]
HardNegatives = Annotated[
    str,
    typer.Option(
        help="How negative samples are drawn: none (at random), cooccurrence (absent categories that other images show"
        " with those of the image) or attributes (expressions with one word changed).",
        rich_help_panel=QUESTIONS,
    ),
]
KeepEmpty = Annotated[
    bool,
    typer.Option(
        "--keep-empty",
        help="Keep images without boxes and images with crowds, for an evaluation.",
        rich_help_panel=QUESTIONS,
    ),
]
CategoryList = Annotated[
    Path | None,
    typer.Option(
        help="JSON file of the categories to ask each image about, with --ask category.",
        show_default="none",
        rich_help_panel=QUESTIONS,
    ),
]
Prompt = Annotated[
    str,
    typer.Option(
        help="Prompt template, a name of the Hydra group vision_r1/prompt.",
        autocompletion=names_of("prompt"),
        rich_help_panel=QUESTIONS,
    ),
]

MinBoxes = Annotated[
    int, typer.Option(help="Minimum boxes per image (images without boxes are kept).", rich_help_panel=SELECTION)
]
MaxBoxes = Annotated[
    int | None, typer.Option(help="Maximum boxes per image.", show_default="no limit", rich_help_panel=SELECTION)
]
HardFraction = Annotated[
    float | None,
    typer.Option(
        help="Fraction of images with more than 10 boxes.", show_default="unchanged", rich_help_panel=SELECTION
    ),
]
Difficulty = Annotated[
    Path | None,
    typer.Option(
        help="JSON file of vision-r1 difficulty, or {image_id: number}.",
        show_default="none",
        rich_help_panel=SELECTION,
    ),
]
DifficultyRange = Annotated[
    tuple[float, float], typer.Option(help="Range of --difficulty to keep.", rich_help_panel=SELECTION)
]
DifficultyMeasure = Annotated[
    str,
    typer.Option(
        help="What to read from a file of vision-r1 difficulty: acc, mean or spread.", rich_help_panel=SELECTION
    ),
]
MaxImages = Annotated[
    int | None, typer.Option(help="Maximum number of images.", show_default="all", rich_help_panel=SELECTION)
]
MaxSamples = Annotated[
    int | None, typer.Option(help="Maximum number of training samples.", show_default="all", rich_help_panel=SELECTION)
]
MaxBoxesPerSample = Annotated[
    int | None,
    typer.Option(
        help="Maximum boxes per sample: with --ask category, of one category.",
        show_default="no limit",
        rich_help_panel=SELECTION,
    ),
]

MinPixels = Annotated[
    int, typer.Option(help="Minimum image area after the resize, in pixels.", rich_help_panel=IMAGES)
]
MaxPixels = Annotated[
    int, typer.Option(help="Maximum image area after the resize, in pixels.", rich_help_panel=IMAGES)
]
ImageCheck = Annotated[
    str,
    typer.Option(
        help="How to verify images: decode (all pixels), header (size only) or none.", rich_help_panel=IMAGES
    ),
]
Embed = Annotated[
    bool,
    typer.Option("--embed", help="Store the images in the parquet files, not their paths.", rich_help_panel=IMAGES),
]

ValFraction = Annotated[
    float,
    typer.Option(
        help="Fraction of images for val.parquet, if the dataset has no validation split; 1 writes val.parquet only.",
        rich_help_panel=OUTPUT,
    ),
]
Sft = Annotated[
    str | None,
    typer.Option(
        help="Model folder or name: also write sft_train.parquet and sft_val.parquet, for supervised training of that"
        " model with verl's trainer.",
        show_default="none",
        rich_help_panel=OUTPUT,
    ),
]
Alias = Annotated[
    str | None, typer.Option(help="Dataset name in data_source.", show_default="NAME", rich_help_panel=OUTPUT)
]
Seed = Annotated[int, typer.Option(help="Random seed for sampling, split and shuffle.", rich_help_panel=OUTPUT)]
