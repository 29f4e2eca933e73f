"""Reward hacking: completions that try to get a reward without correct boxes, and what each preset gives them.

An attack is written once, in terms of items, list and completion, and is rendered in the format that each preset
parses. The scene is an image of 1000 x 1000 pixels, so that all frames are the same. `point_attacks` has those on
pointing.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.rewards.forms import Box, Form, Item, form_of
from verl_vision_r1.rewards.presets import Preset, load_preset
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.scoring import score_completion
from verl_vision_r1.targets import Target

PRESETS: Final = (
    "robust",
    "vision_r1",
    "vision_r1_release_2025",
    "vision_r1_release_2026",
    "visual_rft",
    "visual_rft_release",
    "vlm_r1_od_ap",
    "vlm_r1_od_length",
    "vlm_r1_weighted",
)
SIDE: Final = 1000
FRAME: Final = (SIDE, SIDE)
OBJECTS: Final[tuple[Item, ...]] = (
    ((100, 80, 340, 360), "cat"),
    ((420, 110, 560, 290), "dog"),
    ((610, 480, 900, 930), "person"),
)
BOXES: Final = tuple(box for box, _ in OBJECTS)
LABELS: Final = ("cat", "dog", "person")


@dataclass(frozen=True)
class Attack:
    """One way to get a reward that is too high.

    Attributes:
        name: What it does.
        text: Writes the completion in a given format.
        has_correct_boxes: Whether it contains correct boxes with correct labels.
        on_labels: Whether it applies only to formats with labels.
        negative: Whether it is for a negative sample.
    """

    name: str
    text: Callable[[Form], str]
    has_correct_boxes: bool = False
    on_labels: bool = False
    negative: bool = False


def target(negative: bool = False, task: str = "detection") -> Target:
    """The target of the attacks: three objects with three labels, or none."""
    items = () if negative else OBJECTS
    boxes, labels = as_boxes([box for box, _ in items]), tuple(str(label) for _, label in items)
    return Target(boxes, labels, SIDE, SIDE, LABELS, task)


def fraction(preset: Preset, attack: Attack, stage: Stage = OFF, task: str = "detection") -> float | None:
    """The total of an attack as a fraction of the preset's maximum; None if it does not apply to the preset.

    Raises:
        ValueError: The preset has no configuration for the task, or a custom parser, whose format is unknown.
    """
    rules = preset.rules_of(target(task=task))
    form = form_of(rules.parser)
    if form is None:
        raise ValueError(f"attacks: expected a preset with a built-in parser, got {rules.parser}")
    if attack.on_labels and not form.labels:
        return None
    total = score_completion(attack.text(form), target(attack.negative, task), rules, FRAME, stage).total
    return total if rules.total == "mean" else total / sum(item.weight for item in rules.criteria)


def fractions(presets: Iterable[str] = PRESETS, stage: Stage = OFF) -> dict[str, dict[str, float | None]]:
    """By completion and preset, the total as a fraction of the preset's maximum.

    Raises:
        ValueError: There is no such preset, or its format is unknown; see `fraction`.
    """
    loaded = {name: load_preset(name) for name in presets}
    return {
        attack.name: {name: fraction(preset, attack, stage) for name, preset in loaded.items()}
        for attack in (*HONEST, *ATTACKS)
    }


def as_table(found: Mapping[str, Mapping[str, float | None]]) -> str:
    """The fractions of each completion by preset, as a Markdown table."""
    names = tuple(next(iter(found.values())))
    rows = [("completion", *(f"`{name}`" for name in names)), ("---", *("---:" for _ in names))]
    for attack, values in found.items():
        rows.append((attack, *("" if value is None else f"{value:.2f}" for value in values.values())))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _junk(count: int, label: str = "cat") -> tuple[Item, ...]:
    """Small boxes at the lower left, where there is no object."""
    return tuple(((5 + 2 * (i % 90), 500 + i // 2, 45 + 2 * (i % 90), 530 + i // 2), label) for i in range(count))


def _grid(side: int) -> tuple[Item, ...]:
    step = SIDE // side
    cells = ((x * step, y * step, (x + 1) * step, (y + 1) * step) for x in range(side) for y in range(side))
    return tuple((cell, label) for cell in cells for label in LABELS)


def _boxes(*boxes: Box) -> tuple[Item, ...]:
    return tuple(zip(boxes, LABELS, strict=False))


def _changed(change: Callable[[Box], Box]) -> tuple[Item, ...]:
    return tuple((change(box), label) for box, label in OBJECTS)


def _labelled(*labels: str | None) -> tuple[Item, ...]:
    return tuple(zip(BOXES, labels, strict=True))


def _with_number(number: str) -> Callable[[Form], str]:
    """Correct boxes whose last coordinate is replaced by an unusual number."""
    return lambda form: form.answer(_changed(lambda box: (*box[:3], 987654321))).replace("987654321", number)


def _truncated(form: Form, keep: float) -> str:
    text = form.list(OBJECTS)
    return form.whole("@").split("@")[0] + text[: int(len(text) * keep)]


def _text(text: str) -> Callable[[Form], str]:
    return lambda form: text


def _answers(*items: Item) -> Callable[[Form], str]:
    return lambda form: form.answer(items)


FAR: Final = (700.0, 40.0, 860.0, 170.0)
PROSE: Final = "I can see a cat on the left, a dog beside it and a person at the lower right."

HONEST: Final = (
    Attack("*perfect prediction*", _answers(*OBJECTS), has_correct_boxes=True),
    Attack("*perfect, in another order*", _answers(*OBJECTS[::-1]), has_correct_boxes=True),
    Attack(
        "*perfect, with other white space*",
        lambda form: form.answer(OBJECTS).replace(", ", ",   "),
        has_correct_boxes=True,
    ),
    Attack("*negative sample: empty prediction*", _answers(), negative=True, has_correct_boxes=True),
)
ATTACKS: Final = (
    Attack("20 junk boxes before", _answers(*_junk(20), *OBJECTS), has_correct_boxes=True),
    Attack("20 junk boxes after", _answers(*OBJECTS, *_junk(20)), has_correct_boxes=True),
    Attack(
        "20 junk boxes between",
        _answers(OBJECTS[0], *_junk(10), OBJECTS[1], *_junk(10, "dog"), OBJECTS[2]),
        has_correct_boxes=True,
    ),
    Attack("3 junk boxes after", _answers(*OBJECTS, *_junk(3)), has_correct_boxes=True),
    Attack("every box 5 times", _answers(*OBJECTS * 5), has_correct_boxes=True),
    Attack("one box 5 times more", _answers(*OBJECTS, *OBJECTS[:1] * 5), has_correct_boxes=True),
    Attack("one box 500 times more", _answers(*OBJECTS, *OBJECTS[:1] * 500), has_correct_boxes=True),
    Attack("wrong labels", _answers(*_labelled("bird", "bird", "bird")), on_labels=True),
    Attack("missing labels", _answers(*_labelled(None, None, None)), on_labels=True),
    Attack("swapped labels", _answers(*_labelled("dog", "person", "cat")), on_labels=True),
    Attack("labels that contain the correct one", _answers(*_labelled(*["cat dog person"] * 3)), on_labels=True),
    Attack(
        "every label for every box",
        _answers(*((box, label) for box in BOXES for label in LABELS)),
        has_correct_boxes=True,
        on_labels=True,
    ),
    Attack("one object of three", _answers(*OBJECTS[:1]), has_correct_boxes=True),
    Attack("prose before", lambda form: f"{PROSE}\n{form.answer(OBJECTS)}", has_correct_boxes=True),
    Attack("prose after", lambda form: f"{form.answer(OBJECTS)}\n{PROSE}", has_correct_boxes=True),
    Attack(
        "two answers, the first correct",
        lambda f: f"{f.answer(OBJECTS)}\n{f.answer(_junk(3))}",
        has_correct_boxes=True,
    ),
    Attack(
        "two answers, the last correct", lambda f: f"{f.answer(_junk(3))}\n{f.answer(OBJECTS)}", has_correct_boxes=True
    ),
    Attack("nested brackets", lambda form: form.whole(f"[[{form.list(OBJECTS)}]]"), has_correct_boxes=True),
    Attack("truncated in the last box", lambda form: _truncated(form, 0.9), has_correct_boxes=True),
    Attack("truncated before the last bracket", lambda form: _truncated(form, 0.995), has_correct_boxes=True),
    Attack("empty completion", _text("")),
    Attack("empty list", _answers()),
    Attack("the number 42", lambda form: form.whole("42")),
    Attack("a list of numbers", lambda form: form.whole("[1, 2, 3]")),
    Attack("prose", _text(PROSE)),
    Attack("`<answer></answer>`", _text("<think></think><answer></answer>")),
    Attack("5,000 brackets", lambda form: form.whole("[" * 5000)),
    Attack("NaN", _with_number("NaN")),
    Attack("infinities", _with_number("Infinity")),
    Attack("integers of 4,000 digits", _with_number("9" * 4000)),
    Attack("inverted boxes", _answers(*_changed(lambda box: (*box[2:], *box[:2])))),
    Attack("boxes without area", _answers(*_changed(lambda box: (*box[:2], *box[:2])))),
    Attack("boxes that exceed the frame", _answers(*_changed(lambda box: (-4000, -4000, 5000, 5000)))),
    Attack("the whole image, each label once", _answers(*_boxes(*[(0, 0, SIDE, SIDE)] * 3))),
    Attack("boxes with IoU 0.4", _answers(*_changed(lambda b: (b[0], b[1], b[2], b[1] + 0.4 * (b[3] - b[1]))))),
    Attack("a grid of 100 cells", _answers(*_grid(10))),
    Attack("100 junk boxes of confidence 0", lambda form: _unsure(form.answer(_junk(100)))),
    Attack(
        "correct boxes and 100 of confidence 0",
        lambda f: _unsure(f.answer((*_junk(100), *OBJECTS))),
        has_correct_boxes=True,
    ),
    Attack("negative sample: a box", _answers((FAR, "cat")), negative=True),
    Attack("negative sample: a box of confidence 0", lambda form: _unsure(form.answer([(FAR, "cat")])), negative=True),
    Attack("negative sample: prose", _text("There is none of these in the image."), negative=True),
    Attack("negative sample: a list of numbers", lambda form: form.whole("[1, 2, 3]"), negative=True),
    Attack("negative sample: empty completion", _text(""), negative=True),
)
"""All attacks; a test limits the fraction that `robust` gives to each."""


def _unsure(text: str) -> str:
    """Set confidence 0 for all items, except the last three if the completion ends with the correct boxes."""
    if "'Confidence': 1" in text:
        keep = 3 if json.dumps(list(BOXES[-1])) in text else 0
        return text.replace("'Confidence': 1", "'Confidence': 0", text.count("'Confidence': 1") - keep)
    return text.replace('"label"', '"confidence": 0, "label"')
