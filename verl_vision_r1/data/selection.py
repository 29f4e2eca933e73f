"""Selection of the images of a dataset, seeded: the options of the paper's data recipe.

Source: Vision-R1 (arXiv 2503.18013), Table 7, and its release: 1 to 30 objects per image; more than 10 are hard.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from verl_vision_r1.data.difficulty import by_image, read_difficulty
from verl_vision_r1.data.readers.entries import load_json
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.settings import MEASURES
from verl_vision_r1.shown import shown

HARD = 10
"""An image with more objects than this is hard."""


@dataclass(frozen=True)
class Selection:
    """Options of `select`.

    Attributes:
        min_boxes: Minimum boxes per image; images without boxes are kept.
        max_boxes: Maximum boxes per image.
        hard_fraction: Fraction of images with more than `HARD` boxes among those kept; None does not change it.
        difficulty: The file of `vision-r1 difficulty`, or a JSON file {image_id: number}.
        difficulty_range: Range of the difficulty, inclusive. Images outside it, or without a number, are dropped.
        difficulty_measure: One of `settings.MEASURES`: what to read from the file of `vision-r1 difficulty`. An image
            with several samples has the mean of theirs.
        max_images: Maximum number of images.
    """

    min_boxes: int = 1
    max_boxes: int | None = None
    hard_fraction: float | None = None
    difficulty: Path | None = None
    difficulty_range: tuple[float, float] = (0.0, 1.0)
    difficulty_measure: str = "acc"
    max_images: int | None = None

    def __post_init__(self) -> None:
        for name, value in (
            ("max_images", self.max_images),
            ("max_boxes", self.max_boxes),
            ("min_boxes", self.min_boxes),
        ):
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if self.max_boxes is not None and self.min_boxes > self.max_boxes:
            raise ValueError(f"min_boxes, max_boxes: expected min <= max, got {self.min_boxes} and {self.max_boxes}")
        if self.hard_fraction is not None and not 0 <= self.hard_fraction <= 1:
            raise ValueError(f"hard_fraction: expected a number from 0 to 1, got {self.hard_fraction}")
        if self.difficulty_measure not in MEASURES:
            raise ValueError(
                f"difficulty_measure: expected one of {', '.join(MEASURES)}, got {shown(self.difficulty_measure)}"
            )
        if not self.difficulty_range[0] <= self.difficulty_range[1]:
            raise ValueError(f"difficulty_range: expected low <= high, got {self.difficulty_range}")


def select(samples: list[Sample], selection: Selection, seed: int) -> tuple[list[Sample], dict[str, list[Sample]]]:
    """Select images and shuffle them.

    Args:
        samples: The annotated images. Their order has no effect: the result depends on the seed and the names only.
        selection: What to keep.
        seed: Random seed for sampling and shuffle.

    Returns:
        The samples kept, and those left out by reason.
    """
    left_out: dict[str, list[Sample]] = {}
    difficulty = _difficulty(selection)
    kept = []
    for sample in sorted(samples, key=lambda sample: (sample.collection, sample.image_id, sample.subject)):
        reason = _reason(sample, selection, difficulty)
        if reason:
            left_out.setdefault(reason, []).append(sample)
        else:
            kept.append(sample)
    random.Random(seed).shuffle(kept)
    chosen = _with_hard_fraction(kept, selection.hard_fraction, selection.max_images)
    if len(chosen) < len(kept):
        names = {id(sample) for sample in chosen}
        left_out["over max_images or hard_fraction"] = [sample for sample in kept if id(sample) not in names]
    return chosen, left_out


def _reason(sample: Sample, selection: Selection, difficulty: dict[str, float] | None) -> str:
    count = len(sample.target.boxes)
    if selection.max_boxes is not None and count > selection.max_boxes:
        return f"more than {selection.max_boxes} boxes"
    if 0 < count < selection.min_boxes:
        return f"fewer than {selection.min_boxes} boxes"
    if difficulty is None:
        return ""
    low, high = selection.difficulty_range
    return "" if low <= difficulty.get(sample.image_id, high + 1) <= high else "outside difficulty_range"


def _difficulty(selection: Selection) -> dict[str, float] | None:
    if selection.difficulty is None:
        return None
    document = load_json(selection.difficulty, "JSON {image_id: number}")
    if isinstance(document, dict) and isinstance(document.get("samples"), list):
        return by_image(read_difficulty(selection.difficulty), selection.difficulty_measure)
    try:
        return {str(name): float(value) for name, value in document.items()}
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{selection.difficulty}: expected JSON {{image_id: number}}, got {shown(document)}"
        ) from error


def _with_hard_fraction(samples: list[Sample], fraction: float | None, limit: int | None) -> list[Sample]:
    """As many samples as possible with that fraction of hard ones, the first of each kind."""
    if fraction is None:
        return samples[:limit]
    hard = [sample for sample in samples if len(sample.target.boxes) > HARD]
    total = min(limit or len(samples), len(samples))
    if fraction > 0:
        total = min(total, int(len(hard) / fraction + 1e-9))
    if fraction < 1:
        total = min(total, int((len(samples) - len(hard)) / (1 - fraction) + 1e-9))
    wanted = {True: round(total * fraction), False: total - round(total * fraction)}
    chosen = []
    for sample in samples:
        is_hard = len(sample.target.boxes) > HARD
        if wanted[is_hard] > 0:
            wanted[is_hard] -= 1
            chosen.append(sample)
    return chosen
