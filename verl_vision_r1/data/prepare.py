"""From the folder of a data set to `train.parquet` and `val.parquet`."""

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS
from verl_vision_r1.data.images import check_images
from verl_vision_r1.data.layout import find_layout
from verl_vision_r1.data.problems import Problems
from verl_vision_r1.data.rows import DETECTION_PROMPT, Row, make_row, validate_row, write_rows
from verl_vision_r1.data.samples import Sample


@dataclass(frozen=True)
class Prepared:
    """What `prepare` wrote and what it left out.

    Attributes:
        train: Rows in `train.parquet`.
        val: Rows in `val.parquet`.
        boxes: Boxes in both.
        without_boxes: Images left out for want of boxes: negatives, and those with crowds only.
        over_max_boxes: Images left out because they have more than `max_boxes` boxes.
        skipped: Bad boxes and images left out.
    """

    train: int
    val: int
    boxes: int
    without_boxes: int
    over_max_boxes: int
    skipped: int


def prepare(
    source: Path,
    out: Path,
    *,
    name: str | None = None,
    validation_share: float = 0.2,
    seed: int = 0,
    limit: int | None = None,
    keep_negatives: bool = False,
    min_pixels: int = MIN_PIXELS,
    max_pixels: int = MAX_PIXELS,
    max_boxes: int | None = None,
    on_bad: Literal["raise", "skip"] = "raise",
) -> Prepared:
    """Turn a data set into rows. Nothing is written before everything was checked.

    Args:
        source: The folder of the data set, in a layout that `layout` recognises.
        out: The folder for both files, which are replaced.
        name: First half of `data_source`, before "/detection"; by default "coco" or "voc".
        validation_share: Share of the images that go to `val.parquet`, where the data set has no such part itself.
        seed: Decides which images go where, and their order.
        limit: Take at most this many images of each annotation file.
        keep_negatives: Keep images in which nothing is annotated.
        min_pixels: Smallest area in pixels that an image is resized to.
        max_pixels: Largest area in pixels that an image is resized to.
        max_boxes: Leave out images with more boxes than this.
        on_bad: "raise" at the first bad box or image, or "skip" them all and report.

    Raises:
        FileNotFoundError: The folder or an image does not exist.
        ValueError: An option, an annotation or an image is wrong, or no image is left.
    """
    _check_options(validation_share, limit, min_pixels, max_pixels, max_boxes, on_bad)
    layout, problems = find_layout(Path(os.path.abspath(source))), Problems(on_bad)
    read = [list(layout.read(annotations, problems)) for annotations in layout.annotations]
    wanted = [[sample for sample in part if _is_wanted(sample, keep_negatives)] for part in read]
    kept = [[sample for sample in part if len(sample.target.boxes) <= (max_boxes or sys.maxsize)] for part in wanted]
    parts = [check_images(_shuffled(part, seed)[:limit], problems) for part in kept]
    train, val = parts if len(parts) == 2 else _split(parts[0], validation_share)
    total, total_wanted, total_kept = (sum(map(len, stage)) for stage in (read, wanted, kept))
    left_out = {"without_boxes": total - total_wanted, "over_max_boxes": total_wanted - total_kept}
    prepared = Prepared(len(train), len(val), _boxes(train + val), skipped=problems.count, **left_out)
    if not train or not val:
        raise ValueError(f"{source}: expected at least one image for training and one for validation, got {prepared}")
    _write(out, f"{name or layout.kind}/detection", {"train": train, "val": val}, min_pixels, max_pixels)
    return prepared


def _check_options(
    validation_share: float, limit: int | None, min_pixels: int, max_pixels: int, max_boxes: int | None, on_bad: str
) -> None:
    if not 0 < validation_share < 1:
        raise ValueError(f"validation_share: expected a number between 0 and 1, got {validation_share}")
    for option, value in (("limit", limit), ("max_boxes", max_boxes)):
        if value is not None and value < 1:
            raise ValueError(f"{option}: expected a number above 0, got {value}")
    if not 0 < min_pixels <= max_pixels:
        raise ValueError(f"min_pixels, max_pixels: expected 0 < min <= max, got {min_pixels} and {max_pixels}")
    if on_bad not in ("raise", "skip"):
        raise ValueError(f"on_bad: expected raise or skip, got {on_bad!r}")


def _is_wanted(sample: Sample, keep_negatives: bool) -> bool:
    return len(sample.target.boxes) > 0 or (keep_negatives and not sample.partial)


def _boxes(samples: list[Sample]) -> int:
    return sum(len(sample.target.boxes) for sample in samples)


def _shuffled(samples: list[Sample], seed: int) -> list[Sample]:
    # Sorted first, so that the order of the annotation file decides nothing.
    shuffled = sorted(samples, key=lambda sample: sample.image_id)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def _split(samples: list[Sample], validation_share: float) -> tuple[list[Sample], list[Sample]]:
    count = max(1, round(validation_share * len(samples)))
    return samples[count:], samples[:count]


def _write(out: Path, data_source: str, splits: dict[str, list[Sample]], min_pixels: int, max_pixels: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    # Both files are finished before either of them appears.
    with TemporaryDirectory(dir=out, prefix=".prepare-") as staging:
        for split, samples in splits.items():
            rows = _rows(samples, split, data_source=data_source, min_pixels=min_pixels, max_pixels=max_pixels)
            write_rows(Path(staging, f"{split}.parquet"), rows)
        for split in splits:
            os.replace(Path(staging, f"{split}.parquet"), out / f"{split}.parquet")


def _rows(samples: list[Sample], split: str, **common: Any) -> Iterator[Row]:
    for index, sample in enumerate(samples):
        row = make_row(
            image=sample.image,
            target=sample.target,
            prompt=DETECTION_PROMPT.format(list=", ".join(sample.target.categories)),
            image_id=sample.image_id,
            split=split,
            index=index,
            **common,
        )
        validate_row(row, str(sample.image))
        yield row
