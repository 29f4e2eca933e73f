"""From an annotated image to questions about it.

A detection dataset has boxes but no questions; this module makes them. Datasets with questions of their own
(expressions, classes, counts) keep them.
"""

import bisect
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from verl_vision_r1.boxes import NO_BOXES, Boxes, area
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.points import Regions
from verl_vision_r1.targets import Target

Ask = Callable[[Sample], list[Sample]]

MARGIN: Final = 1.5
"""For `referring`: minimum area ratio of the two largest boxes, and minimum distance in mean box widths between the
centres of the two leftmost (or rightmost) boxes."""


def ask_categories(sample: Sample) -> list[Sample]:
    """One question about all categories, except those with missing boxes; none if there are no others."""
    if not sample.uncertain:
        return [sample]
    names = tuple(name for name in sample.target.categories if _is_certain(sample, name))
    if not names:
        return []
    kept = [place for place, label in enumerate(sample.target.labels) if label in set(names)]
    labels = tuple(sample.target.labels[place] for place in kept)
    target = replace(sample.target, boxes=sample.target.boxes[kept], labels=labels, categories=names)
    return [replace(sample, target=target, uses=used(sample, kept))]


def uncertain_places(sample: Sample) -> list[int]:
    """The boxes whose categories cannot be asked for, because other boxes of them are missing."""
    return [place for place, label in enumerate(sample.target.labels) if not _is_certain(sample, label)]


def _is_certain(sample: Sample, name: str) -> bool:
    return name not in sample.uncertain and "" not in sample.uncertain


def used(sample: Sample, places: Sequence[int]) -> Sequence[int]:
    """The annotations that some boxes of a sample were made from."""
    one_each = len(sample.uses) == len(sample.target.boxes)
    return [sample.uses[place] for place in places] if one_each else sample.uses


def ask_category(sample: Sample) -> list[Sample]:
    """One question per category in the image, except categories with missing boxes."""
    names = dict.fromkeys(sample.target.labels)
    return [about_category(sample, name) for name in names if _is_certain(sample, name)]


def about_category(sample: Sample, name: str) -> Sample:
    """The question that asks for all objects of one category."""
    places = [place for place, label in enumerate(sample.target.labels) if label == name]
    target = of_category(sample.target, name)
    return replace(sample, target=target, question="category", subject=name, uses=used(sample, places))


def of_category(target: Target, name: str) -> Target:
    """The ground truth for one category: its objects, and no other category."""
    kept = [index for index, label in enumerate(target.labels) if label == name]
    return Target(target.boxes[kept], (name,) * len(kept), target.width, target.height, (name,))


def ask_referring(sample: Sample) -> list[Sample]:
    """Ask for "the largest dog", "the leftmost dog" or "the rightmost dog", where that is unambiguous."""
    questions = []
    for name in dict.fromkeys(sample.target.labels):
        if not _is_certain(sample, name):
            continue
        places = [place for place, label in enumerate(sample.target.labels) if label == name]
        boxes, size = sample.target.boxes[places], (sample.target.width, sample.target.height)
        for word, index in _superlatives(boxes):
            expression = f"the {word} {name}"
            target = Target(boxes[[index]], (expression,), *size, task="grounding")
            uses = used(sample, [places[index]])
            questions.append(replace(sample, target=target, question="expression", subject=expression, uses=uses))
    return questions


def _superlatives(boxes: Boxes) -> list[tuple[str, int]]:
    if len(boxes) < 2:
        return []
    sizes, centres = area(boxes), (boxes[:, 0] + boxes[:, 2]) / 2
    width = float((boxes[:, 2] - boxes[:, 0]).mean())
    found = []
    by_size, by_place = np.argsort(sizes), np.argsort(centres)
    if sizes[by_size[-1]] >= MARGIN * sizes[by_size[-2]]:
        found.append(("largest", int(by_size[-1])))
    if centres[by_place[1]] - centres[by_place[0]] >= MARGIN * width:
        found.append(("leftmost", int(by_place[0])))
    if centres[by_place[-1]] - centres[by_place[-2]] >= MARGIN * width:
        found.append(("rightmost", int(by_place[-1])))
    return found


def ask_class(sample: Sample) -> list[Sample]:
    """Ask for the class of an image whose objects all have one category."""
    names = set(sample.target.labels)
    if len(names) != 1 or sample.uncertain:
        return []
    categories = sample.target.categories
    target = Target(
        NO_BOXES, (names.pop(),), sample.target.width, sample.target.height, categories, task="classification"
    )
    return [replace(sample, target=target, question="class", subject="object")]


def ask_count(sample: Sample) -> list[Sample]:
    """Ask for the number of objects of each category in the image."""
    return [_count(question) for question in ask_category(sample)]


def _count(question: Sample) -> Sample:
    old = question.target
    target = Target(NO_BOXES, (), old.width, old.height, task="counting", count=len(old.boxes))
    return replace(question, target=target, question="count")


def ask_points(sample: Sample) -> list[Sample]:
    """Ask to point to all objects of each category in the image. A target is an outline, or else a box."""
    return [pointing(sample, question) for question in ask_category(sample)]


def pointing(sample: Sample, question: Sample) -> Sample:
    """The question that asks for points, in place of one that asks for the boxes of one category.

    Args:
        sample: The sample with all boxes and outlines.
        question: The question about boxes, from `about_category`.
    """
    kept = [place for place, label in enumerate(sample.target.labels) if label == question.subject]
    outlines = tuple(sample.outlines[place] for place in kept) if sample.outlines else ()
    # An outline too thin to have a middle is no target that one can point to: its box is.
    wide = Regions(question.target.boxes, outlines).middles()[1].tolist()
    outlines = tuple(outline if found else () for outline, found in zip(outlines, wide, strict=False))
    target = replace(question.target, task="pointing", outlines=outlines)
    return replace(question, target=target, question="points", outlines=())


ONE_CATEGORY: Final = ("category", "count", "points")
"""The questions about one category, which may be absent."""

ASK: Final[dict[str, Ask]] = {
    "categories": ask_categories,
    "category": ask_category,
    "referring": ask_referring,
    "class": ask_class,
    "count": ask_count,
    "points": ask_points,
}
"""The questions about annotated boxes, by the values of `vision-r1 prepare --ask`."""


def ask(samples: list[Sample], how: str) -> list[Sample]:
    """Make questions of the samples that have none yet; the others stay. `how` is one of `ASK`."""
    return [
        question
        for sample in samples
        for question in (ASK[how](sample) if sample.question == "categories" else [sample])
    ]


def negatives(samples: list[Sample], how: str, count: int, generator: random.Random) -> list[Sample]:
    """Draw negative samples.

    For "categories" these are images without any object; for "category", "count" and "points", questions about a
    category that was annotated (`Target.categories`) and is absent from the image.

    Args:
        samples: The annotated images.
        how: The kind of question, one of `ASK`.
        count: Number of negative samples; fewer are returned if there are not as many.
        generator: Random generator.
    """
    found = [(sample, names) for sample in samples if (names := absent(sample, how))]
    ends = list(itertools.accumulate(len(names) for _, names in found))
    total = ends[-1] if ends else 0
    questions = []
    for index in generator.sample(range(total), min(count, total)):
        place = bisect.bisect_right(ends, index)
        sample, names = found[place]
        questions.append(about_absent(sample, names[index - ends[place]], how))
    return questions


def about_absent(sample: Sample, name: str, how: str) -> Sample:
    """The question about an absent category, of the kind `how`; an empty name stands for all categories."""
    question = about_category(sample, name) if name else sample
    if how == "points":
        return pointing(question, question)
    return _count(question) if how == "count" else question


def absent(sample: Sample, how: str) -> list[str]:
    """Names of the categories that are not in the image; an empty name stands for all categories."""
    if sample.question != "categories" or how not in ("categories", *ONE_CATEGORY) or "" in sample.uncertain:
        return []
    if how == "categories":
        return [] if len(sample.target.boxes) or sample.uncertain else [""]
    possible = {*sample.target.labels, *sample.uncertain}
    return [name for name in sample.target.categories if name not in possible]
