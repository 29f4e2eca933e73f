"""The options of `prepare`: what to read, and how to write it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS
from verl_vision_r1.data.hard_negatives import KINDS
from verl_vision_r1.data.images import CHECKS
from verl_vision_r1.data.questions import ASK, ONE_CATEGORY
from verl_vision_r1.data.selection import Selection

MOST_PIXELS: Final = 10**10
"""Maximum of `max_pixels`, more than any image has."""


@dataclass(frozen=True)
class Source:
    """One dataset, and which samples to make of it.

    Attributes:
        name: One of `sources.SOURCES`.
        source: Folder of the dataset, or one annotation file, or its name on the Hugging Face Hub. Empty if
            `annotations` is given.
        split: The only split to read. By default "train" and "val"; a dataset without these is split by image.
        ask: The question about annotated boxes, one of `questions.ASK`.
        negatives: Negative samples per other sample.
        hard_negatives: How they are drawn, one of `hard_negatives.KINDS`: "none" draws at random.
        max_samples: Maximum number of samples in each file except `val.parquet`.
        max_boxes_per_sample: Maximum boxes per sample. With `ask="category"`, an image with one dog and fifty sheep
            keeps the question about the dog.
        selection: Which images to keep.
        alias: First part of `data_source`; by default the name.
        keep_empty: Whether to keep images without objects and categories with crowds, for evaluation: it covers every
            image, and a prediction inside a crowd is neither a true nor a false positive.
        category_list: JSON file {image: [category, ...]}: with `ask="category"`, one sample per entry.
        annotations: Annotation file that is not in the folder of its dataset; for VOC, the folder of the XML files.
        images: Folder of the images of that file.
        clip: Whether to clip boxes that exceed their images.
        crowd_as_box: Whether to read crowds as boxes.
        drop_duplicates: Whether to remove boxes that are annotated twice.
        follow_symlinks: Whether images may be symbolic links to files outside the dataset's folder.
    """

    name: str
    source: str = ""
    split: str | None = None
    ask: str = "categories"
    negatives: float = 0.0
    hard_negatives: str = "none"
    max_samples: int | None = None
    max_boxes_per_sample: int | None = None
    selection: Selection = field(default_factory=Selection)
    alias: str | None = None
    keep_empty: bool = False
    category_list: Path | None = None
    annotations: Path | None = None
    images: Path | None = None
    clip: bool = False
    crowd_as_box: bool = False
    drop_duplicates: bool = False
    follow_symlinks: bool = False

    @property
    def place(self) -> str:
        """The dataset's location, for messages."""
        return self.source or str(self.annotations)

    def __post_init__(self) -> None:
        if bool(self.source) == (self.annotations is not None):
            got = f"{self.source!r} and {self.annotations}" if self.source else "neither"
            raise ValueError(f"source, annotations: expected one of --source and --annotations, got {got}")
        if self.ask not in ASK:
            raise ValueError(f"ask: expected one of {', '.join(ASK)}, got {self.ask!r}")
        if not 0 <= self.negatives < float("inf"):
            raise ValueError(f"negatives: expected a number of at least 0, got {self.negatives}")
        for name in ("max_samples", "max_boxes_per_sample"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise ValueError(f"{name}: expected a number above 0, got {limit}")
        if self.keep_empty and self.negatives:
            raise ValueError(
                f"negatives: expected 0 with keep_empty, which keeps all images without objects, got {self.negatives}"
            )
        self._check_hard_negatives()
        self._check_category_list()

    def _check_hard_negatives(self) -> None:
        if self.hard_negatives not in KINDS:
            raise ValueError(f"hard_negatives: expected one of {', '.join(KINDS)}, got {self.hard_negatives!r}")
        if self.hard_negatives != "none" and not self.negatives:
            raise ValueError(f"negatives: expected a number above 0 with hard_negatives, got {self.negatives}")
        if self.hard_negatives == "cooccurrence" and self.ask not in ONE_CATEGORY:
            raise ValueError(
                f"hard_negatives: expected ask={' or '.join(ONE_CATEGORY)} with cooccurrence, got {self.ask!r}"
            )

    def _check_category_list(self) -> None:
        if self.category_list is None:
            return
        if self.ask != "category":
            raise ValueError(
                f"category_list: expected ask='category' with {self.category_list}, which lists one category per"
                f" sample, got {self.ask!r}"
            )
        for name, value in (
            ("negatives", self.negatives),
            ("max_samples", self.max_samples),
            ("max_boxes_per_sample", self.max_boxes_per_sample),
            ("selection", self.selection),
        ):
            if value not in (0, None, Selection()):
                raise ValueError(
                    f"category_list: {self.category_list} lists all samples; expected no {name}, got {value}"
                )


@dataclass(frozen=True)
class Writing:
    """How samples are written.

    Attributes:
        prompt: Prompt template, a name of the group `vision_r1/prompt`.
        val_fraction: Fraction of the images for `val.parquet`, if the dataset has no validation split. With 1 there is
            no other file.
        seed: Random seed for sampling, split and shuffle.
        min_pixels: Minimum image area after the resize, in pixels.
        max_pixels: Maximum image area after the resize, in pixels.
        image_check: How images are verified, one of `images.CHECKS`.
        embed: Whether to store the image bytes in the samples instead of the paths.
        strict: Whether any defect stops everything; otherwise defective boxes and images are skipped.
    """

    prompt: str = "vision_r1"
    val_fraction: float = 0.2
    seed: int = 0
    min_pixels: int = MIN_PIXELS
    max_pixels: int = MAX_PIXELS
    image_check: str = "decode"
    embed: bool = False
    strict: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.val_fraction <= 1:
            raise ValueError(f"val_fraction: expected a number above 0 and at most 1, got {self.val_fraction}")
        if self.image_check not in CHECKS:
            raise ValueError(f"image_check: expected one of {', '.join(CHECKS)}, got {self.image_check!r}")
        if not 0 < self.min_pixels <= self.max_pixels <= MOST_PIXELS:
            raise ValueError(
                f"min_pixels, max_pixels: expected 0 < min <= max <= {MOST_PIXELS}, got {self.min_pixels} and"
                f" {self.max_pixels}"
            )
