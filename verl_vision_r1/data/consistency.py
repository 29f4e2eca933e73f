"""Checks of what a reader found: links, units of the boxes, names of the categories, repeated boxes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.data.account import Ledger
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target, plain_label

OUTSIDE: Final = "image linked from outside the dataset's folder"
DUPLICATE: Final = "duplicate box"


class Units:
    """Counts boxes that are smaller than a pixel: if most are, they are fractions of the image."""

    def __init__(self) -> None:
        """Start without boxes."""
        self.small = self.count = 0
        self.example: tuple[Boxes, Target] | None = None

    def add(self, target: Target) -> None:
        """Count the boxes of a sample."""
        tiny = below_a_pixel(target.boxes)
        self.small, self.count = self.small + int(tiny.sum()), self.count + len(tiny)
        if self.example is None and tiny.any():
            self.example = target.boxes[np.flatnonzero(tiny)[0]], target

    def problem(self) -> str:
        """The message, with both readings of one box, if more than half of the boxes are smaller; otherwise empty."""
        if self.example is None or 2 * self.small <= self.count:
            return ""
        box, target = self.example
        width, height = box[2] - box[0], box[3] - box[1]
        return (
            f"expected boxes in pixels, got {self.small} of {self.count} smaller than a pixel, such as"
            f" {shown(box.tolist())} in an image of {target.width}x{target.height}: {width:g}x{height:g} if these are"
            f" pixels, {width * target.width:g}x{height * target.height:g} if they are fractions of the image. Convert"
            " them to pixels"
        )


def expect_pixels(samples: Iterable[Sample], where: str) -> None:
    """Refuse boxes most of which are smaller than a pixel.

    Raises:
        ValueError: More than half of them are.
    """
    units = Units()
    for sample in samples:
        units.add(sample.target)
    if problem := units.problem():
        raise ValueError(f"{where}: {problem}")


def below_a_pixel(boxes: Boxes) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Whether each box is smaller than a pixel, or within the first pixel of its image."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray((sides < 1).all(axis=1) | (boxes[:, 2:] <= 1).all(axis=1))


def expect_distinct_names(samples: Iterable[Sample], where: str) -> None:
    """Refuse categories that are equal once labels are compared: rewards do not tell them apart.

    Raises:
        ValueError: Two categories of a sample differ only in case, blanks, `_` or `-`.
    """
    for categories in {sample.target.categories for sample in samples}:
        if alike := alike_names(categories):
            raise ValueError(f"{where}: {alike_message(alike)}")


def alike_names(categories: Sequence[str]) -> tuple[str, str] | None:
    """The first two names that are equal in the form in which labels are compared; None if there are none.

    Example:
        >>> alike_names(["dog", "Traffic light", "traffic_light"]), alike_names(["cat", "dog"])
        (('Traffic light', 'traffic_light'), None)
    """
    first: dict[str, str] = {}
    for name in categories:
        if first.setdefault(plain_label(name), name) != name:
            return first[plain_label(name)], name
    return None


def alike_message(names: tuple[str, str]) -> str:
    """What to tell about two such names."""
    return (
        "expected categories that differ in more than case, blanks, '_' and '-', which do not count when labels are"
        f" compared, got {shown(names[0])} and {shown(names[1])}; give them one name"
    )


def without_duplicates(samples: Sequence[Sample], ledger: Ledger, *, drop: bool) -> list[Sample]:
    """Remove boxes that are in a sample twice under one label.

    Args:
        samples: The samples of a reader.
        ledger: The account; each removed box is a defect in it, unless `drop` is true.
        drop: Whether the user asked for it.
    """
    return [_without_duplicates(sample, ledger, drop) for sample in samples]


def _without_duplicates(sample: Sample, ledger: Ledger, drop: bool) -> Sample:
    target = sample.target
    keys = list(zip(map(tuple, target.boxes.tolist()), target.labels, strict=False))
    if len(set(keys)) == len(keys):
        return sample
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    kept = sorted(first.values())
    for box, label in () if drop else (Counter(keys) - Counter(set(keys))).elements():
        ledger.reading(
            ValueError(
                f"{sample.image} ({shown(sample.image_id)}): expected each box once, got {shown(list(box))} of"
                f" {shown(label)} again; --drop-duplicates removes repeated boxes"
            )
        )
    uses = sample.uses
    if len(uses) == len(keys):
        ledger.drop([uses[place] for place in range(len(keys)) if place not in set(kept)], DUPLICATE)
        uses = [uses[place] for place in kept]
    labels = tuple(target.labels[place] for place in kept)
    return replace(sample, target=replace(target, boxes=target.boxes[kept], labels=labels), uses=uses)


def without_links(samples: Sequence[Sample], roots: Iterable[Path], ledger: Ledger) -> list[Sample]:
    """Leave out images that a symbolic link places outside the dataset's folders. Each link is a defect.

    Args:
        samples: The samples of a reader.
        roots: The folders, the dataset's own first.
        ledger: The account.
    """
    allowed = [root.resolve() for root in roots]
    places = _link_targets(dict.fromkeys(sample.image for sample in samples), allowed)
    for link, place in places.items():
        ledger.reading(
            ValueError(
                f"{link}: expected a file or folder in {allowed[0]}, got a symbolic link to {place};"
                " --follow-symlinks accepts it"
            )
        )
    outside = [sample for sample in samples if places and (sample.image in places or sample.image.parent in places)]
    for sample in outside:
        ledger.drop(sample.uses, OUTSIDE)
    left = {id(sample) for sample in outside}
    return [sample for sample in samples if id(sample) not in left]


def _link_targets(images: Iterable[Path], allowed: Sequence[Path]) -> Mapping[Path, Path]:
    """Images, or whole folders of images, that are really elsewhere, each with its real place."""
    folders: dict[Path, bool] = {}
    found: dict[Path, Path] = {}
    for image in images:
        folder = image.parent
        if folder not in folders:
            folders[folder] = _is_inside(folder.resolve(), allowed)
        if not folders[folder]:
            found[folder] = folder.resolve()
        elif image.is_symlink() and not _is_inside(image.resolve(), allowed):
            found[image] = image.resolve()
    return found


def _is_inside(path: Path, allowed: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in allowed)


class Together:
    """Defects that the samples of a prepared file have only together: units of the boxes, names of the categories."""

    def __init__(self, path: Path) -> None:
        """Start without samples.

        Args:
            path: The file, for messages.
        """
        self.path, self.units = path, Units()
        self.lists: Counter[tuple[str, ...]] = Counter()
        self.asked: dict[str, dict[str, None]] = {}

    def add(self, row: Mapping[str, Any], target: Target) -> None:
        """Add a sample and its ground truth."""
        self.units.add(target)
        if len(target.categories) == 1:  # One category per prompt: those of an image belong together.
            image = f"{row['data_source'].rpartition('/')[0]} {row['extra_info']['image_id']}"
            self.asked.setdefault(image, {})[target.categories[0]] = None
        else:
            self.lists[target.categories] += 1

    def defects(self) -> Iterator[tuple[str, str]]:
        """Kind and message of each defect."""
        if problem := self.units.problem():
            yield "boxes in another unit", f"{self.path}: {problem}"
        found: Counter[tuple[str, str]] = Counter()
        for names, count in [*self.lists.items(), *((tuple(names), 1) for names in self.asked.values())]:
            if alike := alike_names(names):
                found[alike] += count
        for alike, count in found.items():
            yield "categories alike", f"{self.path}: {alike_message(alike)} (images: {count})"
