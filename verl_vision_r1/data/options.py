"""What is prepared, and how: the options of `prepare`."""

from dataclasses import dataclass, field
from pathlib import Path

from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS
from verl_vision_r1.data.images import CHECKS
from verl_vision_r1.data.questions import ASK
from verl_vision_r1.data.selection import Selection


@dataclass(frozen=True)
class Source:
    """One data set, and what is taken from it.

    Attributes:
        name: One of `sources.SOURCES`.
        source: Its folder, or its name on the hub.
        split: The part to read; by default "train" and "val", or where there is only one, that one in two.
        ask: What is asked about annotated boxes, one of `questions.ASK`.
        negatives: Questions whose answer is "nothing", for each other one.
        max_samples: Greatest number of rows of each file but "val".
        selection: Which images.
        alias: The first half of `data_source`; by default the name.
        keep_empty: Whether nothing is left out for want of objects or because of a crowd: for evaluation, which counts
            every image, and takes what is found in a crowd for neither right nor wrong.
        category_list: JSON file {image: [category, ...]}. With `ask="category"` exactly these questions are asked.
    """

    name: str
    source: str
    split: str | None = None
    ask: str = "categories"
    negatives: float = 0.0
    max_samples: int | None = None
    selection: Selection = field(default_factory=Selection)
    alias: str | None = None
    keep_empty: bool = False
    category_list: Path | None = None

    def __post_init__(self) -> None:
        if self.ask not in ASK:
            raise ValueError(f"ask: expected one of {', '.join(ASK)}, got {self.ask!r}")
        if not 0 <= self.negatives < float("inf"):
            raise ValueError(f"negatives: expected a number from 0 on, got {self.negatives}")
        if self.max_samples is not None and self.max_samples < 1:
            raise ValueError(f"max_samples: expected a number above 0, got {self.max_samples}")
        if self.keep_empty and self.negatives:
            raise ValueError(f"negatives: expected 0 beside keep_empty, which has them, got {self.negatives}")
        self._check_category_list()

    def _check_category_list(self) -> None:
        if self.category_list is None:
            return
        if self.ask != "category":
            raise ValueError(
                f"category_list: expected ask='category', whose questions {self.category_list} lists, got {self.ask!r}"
            )
        for name, chosen in (
            ("negatives", self.negatives),
            ("max_samples", self.max_samples),
            ("selection", self.selection),
        ):
            if chosen not in (0, None, Selection()):
                raise ValueError(
                    f"category_list: {self.category_list} lists the questions; expected no {name}, got {chosen}"
                )


@dataclass(frozen=True)
class Writing:
    """How rows are made and written.

    Attributes:
        prompt: The words that they are written with, of the group `vision_r1/prompt`.
        val_fraction: Share of the images that go to `val.parquet`, where the data set has no such part itself. Of
            1 there is no other file.
        seed: Decides which images go where, and the order of rows.
        min_pixels: Smallest area in pixels that an image is resized to.
        max_pixels: Largest area in pixels that an image is resized to.
        image_check: How closely images are looked at, one of `images.CHECKS`.
        embed: Whether rows hold the images themselves.
        strict: Whether any defect stops all; else what has one is left out.
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
            raise ValueError(f"val_fraction: expected a number above 0, up to 1, got {self.val_fraction}")
        if self.image_check not in CHECKS:
            raise ValueError(f"image_check: expected one of {', '.join(CHECKS)}, got {self.image_check!r}")
        if not 0 < self.min_pixels <= self.max_pixels:
            raise ValueError(
                f"min_pixels, max_pixels: expected 0 < min <= max, got {self.min_pixels} and {self.max_pixels}"
            )
