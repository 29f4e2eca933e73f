"""Reward hacking of points: completions that try to hit without knowing where the objects are.

The scene is that of `attacks`. A box of no area is a point; a form of points writes the centre of any other box.
"""

from collections.abc import Iterable
from typing import Final

from verl_vision_r1.rewards.attacks import BOXES, LABELS, OBJECTS, PROSE, SIDE, Attack, fraction
from verl_vision_r1.rewards.forms import JSON_FORM, Form, Item
from verl_vision_r1.rewards.presets import Preset, load_preset
from verl_vision_r1.rewards.refinement import OFF, Stage

POINT_PRESETS: Final = ("robust", "vision_r1")
CENTRES: Final = tuple(((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in BOXES)


def point_fraction(preset: Preset, attack: Attack, stage: Stage = OFF) -> float | None:
    """As `attacks.fraction`, for pointing."""
    return fraction(preset, attack, stage, "pointing")


def point_fractions(presets: Iterable[str] = POINT_PRESETS, stage: Stage = OFF) -> dict[str, dict[str, float | None]]:
    """By completion and preset, the total as a fraction of the preset's maximum.

    Raises:
        ValueError: There is no such preset, it has no configuration for pointing, or its format is unknown.
    """
    loaded = {name: load_preset(name) for name in presets}
    return {
        attack.name: {name: point_fraction(preset, attack, stage) for name, preset in loaded.items()}
        for attack in (*HONEST_POINTS, *POINT_ATTACKS)
    }


def _at(x: float, y: float, label: str | None) -> Item:
    return (x, y, x, y), label


def _attack(name: str, *items: Item, correct: bool = False, labels: bool = False, negative: bool = False) -> Attack:
    return Attack(name, lambda form: form.answer(items), correct, labels, negative)


def _grid(side: int, *labels: str) -> tuple[Item, ...]:
    places = [(place + 0.5) * SIDE / side for place in range(side)]
    return tuple(_at(x, y, label) for x in places for y in places for label in labels)


def _comb(count: int) -> tuple[Item, ...]:
    """Points in a row through the middle of the image, with the labels in turn."""
    return tuple(_at((place + 0.5) * SIDE / count, SIDE / 2, LABELS[place % 3]) for place in range(count))


def _all_labels(*places: tuple[float, float]) -> tuple[Item, ...]:
    return tuple(_at(x, y, label) for x, y in places for label in LABELS)


def _labelled(*labels: str | None) -> tuple[Item, ...]:
    return tuple(_at(*place, label) for place, label in zip(CENTRES, labels, strict=True))


def _tags(form: Form) -> str:
    tags = (f'<point x="{x / 10}" y="{y / 10}" alt="{name}">{name}</point>' for (x, y), name in _pairs())
    return "\n".join(tags)


def _pairs() -> Iterable[tuple[tuple[float, float], str]]:
    return zip(CENTRES, LABELS, strict=True)


HONEST_POINTS: Final = (
    _attack("*the middle of each object*", *OBJECTS, correct=True),
    Attack("*the same in Molmo's tags*", _tags, has_correct_boxes=True),
    _attack("*a corner of each object*", *(_at(x1, y1, name) for (x1, y1, _, _), name in OBJECTS), correct=True),
    _attack("*negative sample: empty prediction*", negative=True, correct=True),
)
POINT_ATTACKS: Final = (
    _attack("the centre of the image", _at(500, 500, "cat")),
    _attack("the centre of the image, each label once", *_all_labels((500, 500))),
    _attack("every label at one object", *_all_labels(CENTRES[0]), correct=True, labels=True),
    _attack("every label at every object", *_all_labels(*CENTRES), correct=True, labels=True),
    _attack("a point 5 times at each object", *OBJECTS * 5, correct=True),
    _attack("one point 500 times", *OBJECTS[:1] * 500, correct=True),
    _attack("all points at one object", *(_at(*CENTRES[0], label) for label in ("cat",) * 3), correct=True),
    _attack("one object of three", *OBJECTS[:1], correct=True),
    _attack("3 points beside the objects more", *OBJECTS, *(_at(50, y, "cat") for y in (600, 700, 800)), correct=True),
    _attack("a grid of 9 points", *_grid(3, "cat")),
    _attack("a grid of 9 points, each label", *_grid(3, *LABELS), correct=True),
    _attack("a grid of 100 points, each label", *_grid(10, *LABELS), correct=True),
    _attack("every twentieth pixel", *_grid(50, "cat"), correct=True),
    _attack("a comb of 20 points", *_comb(20)),
    _attack("a comb of 200 points", *_comb(200)),
    _attack("the corners of the image", *_all_labels((0, 0), (SIDE, 0), (0, SIDE), (SIDE, SIDE))),
    _attack("wrong labels", *_labelled("bird", "bird", "bird"), labels=True),
    _attack("swapped labels", *_labelled("dog", "person", "cat"), labels=True),
    _attack("missing labels", *_labelled(None, None, None), labels=True),
    _attack("a pixel beside each object", *(_at(x1 - 1, y1 - 1, name) for (x1, y1, _, _), name in OBJECTS)),
    _attack("far outside the frame", *(_at(9e9, -9e9, label) for label in LABELS)),
    Attack("prose before", lambda form: f"{PROSE}\n{form.answer(OBJECTS)}", has_correct_boxes=True),
    Attack("bare pairs", lambda form: ", ".join(f"({x:g}, {y:g})" for x, y in CENTRES)),
    Attack("boxes instead of points", lambda form: JSON_FORM.answer(OBJECTS)),
    Attack("NaN", lambda form: form.answer([_at(123454321, 5, "cat")]).replace("123454321", "NaN")),
    Attack(
        "integers of 4,000 digits", lambda form: form.answer([_at(7654567, 5, "cat")]).replace("7654567", "9" * 4000)
    ),
    Attack("empty completion", lambda form: ""),
    _attack("empty list"),
    Attack("prose", lambda form: PROSE),
    _attack("negative sample: a point", _at(500, 500, "cat"), negative=True),
    Attack("negative sample: prose", lambda form: "There is none of these in the image.", negative=True),
)
"""All attacks; a test limits the fraction that `robust` gives to each."""
