"""The parts of a dataset: which of them is read for which file, and how an undivided one is divided."""

import random
from collections.abc import Iterable, Sequence

from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.readers.folders import listed
from verl_vision_r1.data.readers.problems import Reading
from verl_vision_r1.data.readers.samples import Sample, Splits

Files = dict[str, list[Sample]]
"""Samples by file: "train", "val", or the requested split. "all" is not divided yet."""

UNDIVIDED = ("train", "trainval", "all")
"""Splits that may be divided into train and val, in order of preference."""


def choose(splits: Splits, source: Source, reading: Reading) -> dict[str, str]:
    """The split that each file is made from. The user is told of the others.

    A split named "test", or any other than "train", "val", "trainval" and "all", is read only if it is requested.

    Raises:
        ValueError: The requested split does not exist, or no split is for training.
    """
    chosen = _chosen(splits, source)
    if others := sorted(set(splits) - set(chosen.values()) - ({"trainval"} if "train" in splits else set())):
        reading.note(f"splits that are not read: {listed(others)} (--split reads one of them)")
    return chosen


def _chosen(splits: Splits, source: Source) -> dict[str, str]:
    if source.split is not None:
        if source.split in splits:
            return {source.split: source.split}
        if set(splits) == {"all"}:
            raise ValueError(
                f"split: expected none, because {source.place} is not divided into splits, got {source.split!r};"
                " --val-fraction 1 puts all of it into val.parquet"
            )
        raise ValueError(f"split: expected one of {listed(splits)} of {source.place}, got {source.split!r}")
    if {"train", "val"} <= set(splits):
        return {"train": "train", "val": "val"}
    for split in UNDIVIDED:
        if split in splits:
            return {"all": split}
    raise ValueError(
        f"{source.place}: expected a split to train on ({', '.join(UNDIVIDED)}), got only {listed(splits)}; --split"
        f" {next(iter(splits))} reads that one alone"
    )


def val_images(undivided: Iterable[Sequence[Sample]], writing: Writing) -> set[str]:
    """Names of the validation images of all datasets without a validation split.

    One set for all of them: an image that several datasets share is never in both train and val.
    """
    names = sorted({sample.image.name for samples in undivided for sample in samples})
    random.Random(writing.seed).shuffle(names)
    return set(names[: max(1, round(writing.val_fraction * len(names)))])


def divided(files: Files, names: set[str], writing: Writing) -> Files:
    """The files of one dataset, an undivided one divided by the names of its validation images."""
    if "all" not in files:
        return files
    if writing.val_fraction == 1:
        return {"val": files["all"]}
    parts: Files = {"train": [], "val": []}
    for sample in files["all"]:
        parts["val" if sample.image.name in names else "train"].append(sample)
    return parts
