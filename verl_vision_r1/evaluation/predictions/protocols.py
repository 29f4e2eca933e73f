"""How answers become numbers: what a published evaluation assumed, so that a number can be compared with its own kind.

A model that writes boxes states no confidence, so COCO's AP is not defined for it until somebody decides on one; how
a list that does not end is read, whose categories are asked and how many boxes count are decisions too. Each protocol
is one set of them, and prints it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from verl_vision_r1.evaluation.predictions import published_parsers
from verl_vision_r1.rewards.answers import Answer, Parser
from verl_vision_r1.rewards.answers.tagged import answer_content
from verl_vision_r1.targets import normalise_label


@dataclass(frozen=True)
class Naming:
    """Which category a box is of.

    Attributes:
        key: In which form names are compared.
        stated: Whether the label that the answer gives counts.
        asked: Whether the category that was asked for counts where no label does.
    """

    key: Callable[[str], str]
    stated: bool
    asked: bool

    def names(self, categories: Sequence[str]) -> dict[str, int]:
        """Numbers of the categories by their names as they are compared.

        Raises:
            ValueError: Two names are the same then.
        """
        names: dict[str, int] = {}
        for index, name in enumerate(categories):
            if self.key(name) in names:
                other = categories[names[self.key(name)]]
                raise ValueError(
                    f"categories: expected names that this protocol can tell apart, got {other!r} and {name!r}"
                )
            names[self.key(name)] = index
        return names

    def category(self, label: str | None, asked: str, names: Mapping[str, int]) -> int | None:
        """The number of a box's category, None if it is of none."""
        if label is not None and self.stated:
            return names.get(self.key(label))
        return names.get(self.key(asked)) if self.asked else None


STATED: Final = Naming(str.lower, stated=True, asked=False)
ASKED: Final = Naming(str, stated=False, asked=True)
STATED_OR_ASKED: Final = Naming(normalise_label, stated=True, asked=True)

ANY: Final = ("categories", "category", "own")
"""Kinds of questions whose answers are boxes of categories."""


def tagged_or_all(completion: str) -> str | None:
    """The text of the first closed answer, or else the whole completion; None where there is no text."""
    content = answer_content(completion)
    return (completion.strip() if content is None else content) or None


@dataclass(frozen=True)
class Protocol:
    """One way from answers to numbers.

    Attributes:
        name: What it is called.
        read: How the boxes of a detection are read.
        read_one: How the box of an expression is read; the first counts.
        text: How a class or a number is read; None where the protocol has neither.
        naming: Which category a box is of.
        questions: Kinds of questions about categories that it has.
        score: The confidence of every box; None where the answers state one.
        limits: COCO's detection limits, boxes of a category in an image.
        frame: The frame that answers must be in, (width, height); None for whichever the model answers in.
        subsets: Categories whose mean AP is published by itself, by name; taken where a data set has them all.
        assumes: What is assumed, in sentences.
    """

    name: str
    read: Parser
    read_one: Parser
    text: Callable[[str], str | None] | None
    naming: Naming
    questions: tuple[str, ...]
    score: float | None
    limits: tuple[int, int, int]
    frame: tuple[float, float] | None
    assumes: tuple[str, ...]
    subsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def scores(self, answer: Answer) -> list[float]:
        """The confidence of each box of an answer."""
        if self.score is None and answer.confidences is not None:
            return [float(score) for score in answer.confidences]
        return [1.0 if self.score is None else self.score] * len(answer.boxes)


CONSTANT: Final = (
    "every box has the score {}: AP is that of one point, not of a ranking, and depends on the order of boxes"
)

FEW_SHOT_8: Final = ("bus", "train", "fire hydrant", "stop sign", "cat", "dog", "bed", "toilet")
NOVEL_15: Final = (
    *("mouse", "fork", "hot dog", "cat", "airplane", "suitcase", "parking meter", "sandwich", "train", "hair drier"),
    *("toilet", "toaster", "snowboard", "frisbee", "bear"),
)
RARE_13: Final = (
    *("casserole", "die", "egg_roll", "futon", "garbage", "handsaw", "hippopotamus", "kitchen_table", "mallet"),
    *("omelet", "shot_glass", "stepladder", "sugar_bowl"),
)
LVIS_6: Final = ("horse_buggy", "die", "kitchen_table", "omelet", "papaya", "stepladder")

PROTOCOLS: Final[dict[str, Protocol]] = {
    "vision_r1": Protocol(
        name="vision_r1",
        read=published_parsers.read_vision_r1,
        read_one=published_parsers.read_vision_r1,
        text=None,
        naming=STATED,
        questions=ANY,
        score=0.99,
        limits=(1, 10, 100),
        frame=None,
        assumes=(
            "Vision-R1 (arXiv 2503.18013), its evaluation of 2025 for Qwen models",
            CONSTANT.format(0.99),
            "published: all categories in one question on COCO; on ODinW one question for each category that is in the"
            " image, which tells the model that it is there",
            "a list that does not end is cut after its last whole item; a label that is no category's name, case"
            " aside, is dropped with its box",
            "at most 1, 10 and 100 boxes of a category in an image",
            "published with greedy decoding, 512 new tokens, images of up to 12,800 visual tokens",
        ),
    ),
    "visual_rft": Protocol(
        name="visual_rft",
        read=published_parsers.read_visual_rft,
        read_one=published_parsers.read_first_corners,
        text=answer_content,
        naming=ASKED,
        questions=("category",),
        score=None,
        limits=(1, 10, 100),
        frame=(1000.0, 1000.0),
        assumes=(
            "Visual-RFT (arXiv 2503.01785), its released evaluation",
            "the score of a box is the confidence that the model writes",
            "one question for each category that an existence list names for the image (--category-list); what it"
            " leaves out cannot be found, so its recall bounds the model's",
            "every box is of the category that was asked for",
            "classes: no closed answer is wrong; the published rule takes a part of the name for the name, and an"
            " empty answer for right, so the exact share stands beside it",
            "expressions: the first (x1,y1),(x2,y2) of the text; without one the IoU is 0",
            "at most 1, 10 and 100 boxes of a category in an image",
            "published with greedy decoding, 1,024 new tokens, 128 for expressions",
        ),
        subsets={"few_shot_8": FEW_SHOT_8, "novel_15": NOVEL_15, "LVIS_6": LVIS_6, "LVIS_rare_13": RARE_13},
    ),
    "qwen3_vl": Protocol(
        name="qwen3_vl",
        read=published_parsers.read_qwen3_vl,
        read_one=published_parsers.read_qwen3_vl,
        text=None,
        naming=STATED,
        questions=("categories", "own"),
        score=1.0,
        limits=(100, 300, 1000),
        frame=(1000.0, 1000.0),
        assumes=(
            "Qwen3-VL's evaluation of ODinW, which Vision-R1 used in 2026",
            CONSTANT.format("1.0"),
            "all categories in one question",
            "an answer with anything wrong in it counts as empty; a label that is no category's name, case aside, is"
            " dropped with its box",
            "100, 300 and 1,000 boxes of a category in an image: AP takes 100 of them, the others 1,000",
            "published with sampling: temperature 0.7, top-p 0.8, top-k 20, presence penalty 1.5, 32,768 new tokens",
        ),
    ),
    "plain": Protocol(
        name="plain",
        read=published_parsers.read_any,
        read_one=published_parsers.read_any,
        text=tagged_or_all,
        naming=STATED_OR_ASKED,
        questions=ANY,
        score=None,
        limits=(1, 10, 100),
        frame=None,
        assumes=(
            "nobody's protocol: what a person would read in the answer",
            "the score of a box is the confidence that the model writes, or else 1: without confidences AP is that of"
            " one point, not of a ranking, and depends on the order of boxes",
            "a JSON list, bare, fenced or between answer tags, items that are no box left out; a label that is no"
            " category's name, blanks and case aside, is dropped with its box; without a label, what was asked for",
            "classes and numbers: the text of the answer tags, or else the whole answer",
            "at most 1, 10 and 100 boxes of a category in an image",
        ),
    ),
}


def protocol_of(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        ValueError: There is none.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {name!r}")
    return PROTOCOLS[name]
