"""Hard negative samples: questions about something that is absent, but likely or similar to what is there.

"cooccurrence": a category that other images show together with those of this image, such as a fork beside a plate.
"attributes": an expression with one word changed, such as "the blue car" for the only car, which is red.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from verl_vision_r1.boxes import NO_BOXES
from verl_vision_r1.data.questions import about_absent, absent
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.targets import Target, plain_label

KINDS: Final = ("none", "cooccurrence", "attributes")
"""The values of `vision-r1 prepare --hard-negatives`."""

COLOURS: Final[dict[str, tuple[str, ...]]] = {
    "red": ("blue", "green", "white", "black"),
    "orange": ("blue", "green", "white", "black"),
    "yellow": ("blue", "red", "purple", "black"),
    "green": ("red", "white", "black", "purple"),
    "blue": ("red", "yellow", "white", "orange"),
    "purple": ("green", "yellow", "white", "orange"),
    "pink": ("blue", "green", "black"),
    "brown": ("blue", "green", "white"),
    "black": ("white", "red", "yellow", "blue"),
    "white": ("black", "red", "blue", "green"),
    "gray": ("red", "green", "yellow", "blue"),
    "grey": ("red", "green", "yellow", "blue"),
}
"""Colours that nobody takes for another, for each colour."""
SIZES: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("small", "little", "tiny"), ("big", "large", "huge")),
    **dict.fromkeys(("big", "large", "huge"), ("small", "little", "tiny")),
}
SIDES: Final = {"left": ("right", 0), "right": ("left", 0), "top": ("bottom", 1), "bottom": ("top", 1)}
"""The other side, and the axis: 0 for x, 1 for y."""
CLEAR: Final = 0.4
"""A box is on a side if all of it lies within this fraction of the image from there."""
PERSON: Final = "person"
PEOPLE: Final = frozenset({PERSON, *("man", "woman", "boy", "girl", "kid", "child", "guy", "lady")})
"""Words for COCO's category `person`."""
PHRASE: Final = re.compile(r"(?:(?:the|a|an) )?([a-z]+) ([a-z]+(?: [a-z]+)?)")
"""An article, one attribute and a noun, and nothing else: "the red car", "small traffic light"."""


def cooccurring(samples: Sequence[Sample], how: str, count: int, generator: random.Random) -> list[Sample]:
    """Draw questions about absent categories that occur together with those of the image in other images.

    A category c is drawn for an image with a probability that grows with the sum of P(c | s) over the categories s of
    the image, where P is the fraction of the images with s that also have c. No pair of image and category repeats,
    and every image gets a question before any gets a second.

    Args:
        samples: The annotated images, from which the fractions are counted too.
        how: The kind of question, one of `questions.ONE_CATEGORY`.
        count: Number of questions; fewer are returned if there are not as many.
        generator: Random generator.

    Returns:
        The questions. Images without objects get none.
    """
    together = _together(samples)
    order = [sample for sample in samples if len(sample.target.boxes)]
    generator.shuffle(order)
    left = [(sample, _ordered(sample, how, together, generator)) for sample in order]
    questions: list[Sample] = []
    while left and len(questions) < count:
        left = [(sample, names) for sample, names in left if names]
        questions += [about_absent(sample, names.pop(), how) for sample, names in left[: count - len(questions)]]
    return questions


def _together(samples: Sequence[Sample]) -> dict[str, Counter[str]]:
    """For each category the number of images that have it and each other one; its own number is under its name."""
    counts: dict[str, Counter[str]] = {}
    for sample in samples:
        present = set(sample.target.labels)
        for name in present:
            counts.setdefault(name, Counter()).update(present)
    return counts


def _ordered(sample: Sample, how: str, together: dict[str, Counter[str]], generator: random.Random) -> list[str]:
    """The absent categories of an image that occur together with its own, in random order, the likely ones last."""
    present = set(sample.target.labels)
    keys = {}
    for name in absent(sample, how):
        weight = sum(together[other][name] / together[other][other] for other in sorted(present))
        if weight > 0:
            # Weighted sampling without replacement: Efraimidis and Spirakis, 2006.
            keys[name] = generator.random() ** (1 / weight)
    return sorted(keys, key=lambda name: keys[name])


def swapped(questions: Sequence[Sample], count: int, generator: random.Random) -> list[Sample]:
    """Draw expressions with one attribute changed, so that they refer to nothing in the image.

    Only expressions of an article, one attribute and the name of the category are changed, and only if the object is
    the only one of its category in the image (`Sample.only_of`): in "man next to the red car", another car may be
    blue. A colour becomes one that it is not taken for, a size its opposite, and a side the other one if the box lies
    clearly on it. A word that any expression of the image contains is not used.

    Args:
        questions: The questions about expressions.
        count: Number of negative samples; fewer are returned if there are not as many.
        generator: Random generator.
    """
    words = _words_by_image(questions)
    found: dict[tuple[str, str], Sample] = {}
    for question in questions:
        if change := _change(question, words.get(question.image_id, set()), generator):
            found.setdefault((question.image_id, change), _without_target(question, change))
    return generator.sample(list(found.values()), min(count, len(found)))


def _words_by_image(questions: Sequence[Sample]) -> dict[str, set[str]]:
    words: dict[str, set[str]] = {}
    for question in questions:
        words.setdefault(question.image_id, set()).update(plain_label(question.subject).split())
    return words


def _change(question: Sample, used: set[str], generator: random.Random) -> str:
    """The expression with another attribute; empty if no change is certain to make it false."""
    phrase = PHRASE.fullmatch(plain_label(question.subject))
    if question.question != "expression" or question.prompt is not None or phrase is None:
        return ""
    if not _names(phrase[2], question.only_of):
        return ""
    others = _opposites(phrase[1], question.target)
    unused = [word for word in others if word not in used]
    # Sizes are relative: where both occur, neither is certain.
    if not unused or (phrase[1] in SIZES and len(unused) < len(others)):
        return ""
    return f"the {generator.choice(unused)} {phrase[2]}"


def _names(noun: str, category: str) -> bool:
    """Whether a noun can only mean the objects of a category."""
    return bool(category) and (noun == plain_label(category) or (category == PERSON and noun in PEOPLE))


def _opposites(word: str, target: Target) -> Sequence[str]:
    """Attributes that an object does not have if the word is true of it."""
    if word in SIDES:
        other, axis = SIDES[word]
        size = (target.width, target.height)[axis]
        low, high = target.boxes[0, axis] / size, target.boxes[0, axis + 2] / size
        on_side = high <= CLEAR if word in ("left", "top") else low >= 1 - CLEAR
        return (other,) if on_side else ()
    return COLOURS.get(word) or SIZES.get(word) or ()


def _without_target(question: Sample, expression: str) -> Sample:
    old = question.target
    target = Target(NO_BOXES, (), old.width, old.height, task=old.task)
    return replace(question, target=target, subject=expression, only_of="", uses=[])
