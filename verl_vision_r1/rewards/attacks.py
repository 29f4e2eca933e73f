"""Answers that try to be paid for what they do not see, and what each preset pays for them.

An attack is written once, in the terms of an answer form (items, list, whole completion), and spelled in the form that
each preset reads. The scene is made for it: an image of 1000 by 1000 pixels, so that every frame is the same.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.rewards.answers import Parser, parse_json_boxes
from verl_vision_r1.rewards.answers.strict import parse_json_boxes_strictly
from verl_vision_r1.rewards.answers.tagged import parse_tagged_boxes
from verl_vision_r1.rewards.presets import Preset, load_preset
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.releases import vision_r1, visual_rft, vlm_r1
from verl_vision_r1.rewards.scoring import score_completion
from verl_vision_r1.targets import Target

Box = tuple[float, float, float, float]
Item = tuple[Box, str | None]
"""A box and its label; None for no label."""

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
TRUTH: Final[tuple[Item, ...]] = (
    ((100, 80, 340, 360), "cat"),
    ((420, 110, 560, 290), "dog"),
    ((610, 480, 900, 930), "person"),
)
BOXES: Final = tuple(box for box, _ in TRUTH)
LABELS: Final = ("cat", "dog", "person")


@dataclass(frozen=True)
class Form:
    """How a preset wants an answer spelled.

    Attributes:
        item: One box with its label, as written within the list; None where the form has no such thing.
        whole: The completion around the list.
    """

    item: Callable[[Box, str | None], str]
    whole: Callable[[str], str]
    labels: bool = True

    def answer(self, items: Iterable[Item]) -> str:
        """A whole completion with these items, one to a line."""
        return self.whole(self.list(items))

    def list(self, items: Iterable[Item]) -> str:
        """The list alone."""
        return "[\n\t" + ",\n\t".join(self.item(*item) for item in items) + "\n]" if items else "[]"


@dataclass(frozen=True)
class Attack:
    """One way to be paid for nothing, or for too little.

    Attributes:
        name: What it does.
        text: The completion, in the form that a preset reads.
        holds_truth: It really contains right boxes with right labels.
        on_labels: It makes sense only where answers have labels.
        negative: It is made on an image without objects.
    """

    name: str
    text: Callable[[Form], str]
    holds_truth: bool = False
    on_labels: bool = False
    negative: bool = False


def target(negative: bool = False) -> Target:
    """The scene of the attacks: three objects of three labels, or none."""
    items = () if negative else TRUTH
    return Target(as_boxes([box for box, _ in items]), tuple(str(label) for _, label in items), SIDE, SIDE, LABELS)


def share(preset: Preset, attack: Attack, stage: Stage = OFF) -> float | None:
    """The total of an attack as a share of the preset's maximum; None where it makes no sense for the preset.

    Raises:
        ValueError: The preset has no rules for detection, or a parser of its own, for which no attack is spelled.
    """
    rules = preset.rules_of(target())
    form = FORMS.get(rules.parser)
    if form is None:
        raise ValueError(f"attacks: expected one of the parsers that come with the package, got {rules.parser}")
    if attack.on_labels and not form.labels:
        return None
    total = score_completion(attack.text(form), target(attack.negative), rules, FRAME, stage).total
    return total if rules.total == "mean" else total / sum(item.weight for item in rules.criteria)


def shares(presets: Iterable[str] = PRESETS, stage: Stage = OFF) -> dict[str, dict[str, float | None]]:
    """By completion and preset, the total as a share of the preset's maximum.

    Raises:
        ValueError: There is no such preset, or it cannot be attacked; see `share`.
    """
    loaded = {name: load_preset(name) for name in presets}
    return {
        attack.name: {name: share(preset, attack, stage) for name, preset in loaded.items()}
        for attack in (*HONEST, *ATTACKS)
    }


def table(presets: Iterable[str] = PRESETS, stage: Stage = OFF) -> str:
    """What `shares` gives, as a table in Markdown."""
    names = tuple(presets)
    rows = [("completion", *(f"`{name}`" for name in names)), ("---", *("---:" for _ in names))]
    for attack, values in shares(names, stage).items():
        rows.append((attack, *("" if value is None else f"{value:.2f}" for value in values.values())))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _json_item(box: Box, label: str | None) -> str:
    return json.dumps({"bbox_2d": list(box)} | ({} if label is None else {"label": label}))


def _position(box: Box, label: str | None) -> str:
    return f"{{'Position': {json.dumps(list(box))}, 'Confidence': 1}}"


JSON_FORM: Final = Form(_json_item, "```json\n{}\n```".format)
TAGGED_FORM: Final = Form(
    _position, lambda text: "<think>a</think> <answer>{}</answer>".format(" ".join(text.split())), labels=False
)
TAGGED_JSON_FORM: Final = Form(_json_item, "<think>a</think> <answer>```json\n{}\n```</answer>".format)
FORMS: Final[dict[Parser, Form]] = {
    parse_json_boxes: JSON_FORM,
    parse_json_boxes_strictly: JSON_FORM,
    vision_r1.parse: JSON_FORM,
    parse_tagged_boxes: TAGGED_FORM,
    visual_rft.parse_boxes: TAGGED_FORM,
    vlm_r1.parse: TAGGED_JSON_FORM,
}


def _junk(count: int, label: str = "cat") -> tuple[Item, ...]:
    """Small boxes along the lower left, where nothing is."""
    return tuple(((5 + 2 * (i % 90), 500 + i // 2, 45 + 2 * (i % 90), 530 + i // 2), label) for i in range(count))


def _grid(side: int) -> tuple[Item, ...]:
    step = SIDE // side
    cells = ((x * step, y * step, (x + 1) * step, (y + 1) * step) for x in range(side) for y in range(side))
    return tuple((cell, label) for cell in cells for label in LABELS)


def _boxes(*boxes: Box) -> tuple[Item, ...]:
    return tuple(zip(boxes, LABELS, strict=False))


def _changed(change: Callable[[Box], Box]) -> tuple[Item, ...]:
    return tuple((change(box), label) for box, label in TRUTH)


def _labelled(*labels: str | None) -> tuple[Item, ...]:
    return tuple(zip(BOXES, labels, strict=True))


def _spelled(number: str) -> Callable[[Form], str]:
    """Right answers whose last coordinates are spelled as something that is no number of this world."""
    return lambda form: form.answer(_changed(lambda box: (*box[:3], 987654321))).replace("987654321", number)


def _truncated(form: Form, keep: float) -> str:
    text = form.list(TRUTH)
    return form.whole("@").split("@")[0] + text[: int(len(text) * keep)]


def _is(text: str) -> Callable[[Form], str]:
    return lambda form: text


def _answers(*items: Item) -> Callable[[Form], str]:
    return lambda form: form.answer(items)


FAR: Final = (700.0, 40.0, 860.0, 170.0)
PROSE: Final = "I can see a cat on the left, a dog beside it and a person at the lower right."

HONEST: Final = (
    Attack("*the honest answer*", _answers(*TRUTH), holds_truth=True),
    Attack("*in another order*", _answers(*TRUTH[::-1]), holds_truth=True),
    Attack("*with other white space*", lambda form: form.answer(TRUTH).replace(", ", ",   "), holds_truth=True),
    Attack("*no object, honest answer*", _answers(), negative=True, holds_truth=True),
)
ATTACKS: Final = (
    Attack("20 junk boxes before", _answers(*_junk(20), *TRUTH), holds_truth=True),
    Attack("20 junk boxes after", _answers(*TRUTH, *_junk(20)), holds_truth=True),
    Attack(
        "20 junk boxes between",
        _answers(TRUTH[0], *_junk(10), TRUTH[1], *_junk(10, "dog"), TRUTH[2]),
        holds_truth=True,
    ),
    Attack("3 junk boxes after", _answers(*TRUTH, *_junk(3)), holds_truth=True),
    Attack("every box 5 times", _answers(*TRUTH * 5), holds_truth=True),
    Attack("one box 5 times more", _answers(*TRUTH, *TRUTH[:1] * 5), holds_truth=True),
    Attack("one box 500 times more", _answers(*TRUTH, *TRUTH[:1] * 500), holds_truth=True),
    Attack("wrong labels", _answers(*_labelled("bird", "bird", "bird")), on_labels=True),
    Attack("missing labels", _answers(*_labelled(None, None, None)), on_labels=True),
    Attack("swapped labels", _answers(*_labelled("dog", "person", "cat")), on_labels=True),
    Attack("labels that contain the truth", _answers(*_labelled(*["cat dog person"] * 3)), on_labels=True),
    Attack(
        "every label for every box",
        _answers(*((box, label) for box in BOXES for label in LABELS)),
        holds_truth=True,
        on_labels=True,
    ),
    Attack("one object of three", _answers(*TRUTH[:1]), holds_truth=True),
    Attack("prose before", lambda form: f"{PROSE}\n{form.answer(TRUTH)}", holds_truth=True),
    Attack("prose after", lambda form: f"{form.answer(TRUTH)}\n{PROSE}", holds_truth=True),
    Attack("two answers, the first right", lambda f: f"{f.answer(TRUTH)}\n{f.answer(_junk(3))}", holds_truth=True),
    Attack("two answers, the last right", lambda f: f"{f.answer(_junk(3))}\n{f.answer(TRUTH)}", holds_truth=True),
    Attack("nested brackets", lambda form: form.whole(f"[[{form.list(TRUTH)}]]"), holds_truth=True),
    Attack("truncated in the last box", lambda form: _truncated(form, 0.9), holds_truth=True),
    Attack("truncated before the last bracket", lambda form: _truncated(form, 0.995), holds_truth=True),
    Attack("nothing at all", _is("")),
    Attack("an empty list", _answers()),
    Attack("the number 42", lambda form: form.whole("42")),
    Attack("a list of numbers", lambda form: form.whole("[1, 2, 3]")),
    Attack("prose", _is(PROSE)),
    Attack("`<answer></answer>`", _is("<think></think><answer></answer>")),
    Attack("5,000 brackets", lambda form: form.whole("[" * 5000)),
    Attack("NaN", _spelled("NaN")),
    Attack("infinities", _spelled("Infinity")),
    Attack("integers of 4,000 digits", _spelled("9" * 4000)),
    Attack("inverted boxes", _answers(*_changed(lambda box: (*box[2:], *box[:2])))),
    Attack("boxes without area", _answers(*_changed(lambda box: (*box[:2], *box[:2])))),
    Attack("boxes out of the frame", _answers(*_changed(lambda box: (-4000, -4000, 5000, 5000)))),
    Attack("the whole image, each label once", _answers(*_boxes(*[(0, 0, SIDE, SIDE)] * 3))),
    Attack("boxes near by (IoU 0.4)", _answers(*_changed(lambda b: (b[0], b[1], b[2], b[1] + 0.4 * (b[3] - b[1]))))),
    Attack("a grid of 100 cells", _answers(*_grid(10))),
    Attack("100 junk boxes of confidence 0", lambda form: _unsure(form.answer(_junk(100)))),
    Attack("right, and 100 of confidence 0", lambda f: _unsure(f.answer((*_junk(100), *TRUTH))), holds_truth=True),
    Attack("no object: a box", _answers((FAR, "cat")), negative=True),
    Attack("no object: a box of confidence 0", lambda form: _unsure(form.answer([(FAR, "cat")])), negative=True),
    Attack("no object: prose", _is("There is none of these in the image."), negative=True),
    Attack("no object: a list of numbers", lambda form: form.whole("[1, 2, 3]"), negative=True),
    Attack("no object: nothing at all", _is(""), negative=True),
)
"""Every attack; a test holds what `robust` pays for each."""


def _unsure(text: str) -> str:
    """All items but the last three of an answer that ends in the right ones say that they are not sure."""
    if "'Confidence': 1" in text:
        keep = 3 if json.dumps(list(BOXES[-1])) in text else 0
        return text.replace("'Confidence': 1", "'Confidence': 0", text.count("'Confidence': 1") - keep)
    return text.replace('"label"', '"confidence": 0, "label"')
