"""Evaluation protocols: the assumptions of published evaluations, so that metrics can be compared with theirs.

COCO's AP needs confidences, and most vision-language models write boxes without any. So every evaluation chooses a
score, how to parse a truncated list, which categories to ask about, and how many boxes to keep. A protocol is one set
of these choices; `vision-r1 evaluate` prints them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from verl_vision_r1.evaluation.predictions import published_parsers
from verl_vision_r1.rewards.answers import Answer, Parser
from verl_vision_r1.rewards.answers.points import parse_points
from verl_vision_r1.rewards.answers.tagged import answer_content
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import plain_label


@dataclass(frozen=True)
class Naming:
    """How a predicted box gets its category.

    Attributes:
        key: Normalises names before they are compared.
        stated: Whether the predicted label decides.
        asked: Whether the category of the question decides, where the predicted label does not.
    """

    key: Callable[[str], str]
    stated: bool
    asked: bool

    def names(self, categories: Sequence[str]) -> dict[str, int]:
        """Category indices by normalised name.

        Raises:
            ValueError: Two names are equal after normalisation.
        """
        names: dict[str, int] = {}
        for index, name in enumerate(categories):
            if self.key(name) in names:
                other = categories[names[self.key(name)]]
                raise ValueError(
                    f"categories: expected names that differ after this protocol's normalisation, got {shown(other)}"
                    f" and {shown(name)}; rename one of them in the annotations"
                )
            names[self.key(name)] = index
        return names

    def category(self, label: str | None, asked: str, names: Mapping[str, int]) -> int | None:
        """The category index of a box with this label, for a question about `asked`; None if it has none."""
        if label is not None and self.stated:
            return names.get(self.key(label))
        return names.get(self.key(asked)) if self.asked else None


STATED: Final = Naming(str.lower, stated=True, asked=False)
ASKED: Final = Naming(str, stated=False, asked=True)
STATED_OR_ASKED: Final = Naming(plain_label, stated=True, asked=True)

ANY: Final = ("categories", "category", "own")
"""Kinds of questions about boxes of categories."""


def tagged_or_all(completion: str) -> str | None:
    """The text of the first closed `<answer>`, otherwise the whole completion; None if it is empty."""
    content = answer_content(completion)
    return (completion.strip() if content is None else content) or None


@dataclass(frozen=True)
class Protocol:
    """How completions are parsed and scored.

    Attributes:
        name: Name of the protocol.
        read: Parser of detections.
        read_one: Parser of the box of a referring expression; the first box is the prediction.
        text: Parser of a class or a count; None for protocols without these tasks.
        points: Parser of points; None for protocols without pointing, which is in no publication.
        naming: How a predicted box gets its category.
        questions: Supported kinds of questions about categories.
        score: Constant confidence of every box; None to use the predicted confidence, or 1 where there is none.
        limits: COCO's `maxDets`: predictions per category and image.
        frame: Required frame of the predicted boxes, (width, height); None for any.
        assumes: The assumptions, as sentences.
        subsets: Categories whose mean AP is published separately, by name; used for data sets that have them all.
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
    points: Parser | None = None

    def scores(self, answer: Answer) -> list[float]:
        """The confidence of each box of a parsed completion."""
        if self.score is None and answer.confidences is not None:
            return [float(score) for score in answer.confidences]
        return [1.0 if self.score is None else self.score] * len(answer.boxes)


CONSTANT: Final = (
    "every box has the score {}: AP measures one operating point instead of a ranking, and depends on the order of"
    " boxes"
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
            "Vision-R1 (arXiv 2503.18013), evaluation script of 2025 for Qwen models",
            CONSTANT.format(0.99),
            "published: on COCO one question about all categories; on ODinW one question for each category in the"
            " image, which reveals to the model that it is present",
            "a truncated list is cut after its last complete item; a box whose label is not a category name"
            " (case-insensitive) is dropped",
            "at most 1, 10 and 100 boxes per category and image",
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
            "Visual-RFT (arXiv 2503.01785), released evaluation",
            "the score of a box is the predicted confidence",
            "one question for each category that the category list has for the image (--category-list); objects of"
            " other categories cannot be found, so the recall of the list bounds that of the model",
            "every box has the category of the question",
            "classes: a completion without closed answer tags is wrong; the published accuracy accepts a part of the"
            " name and an empty answer, so the exact accuracy is given as well",
            "expressions: the first (x1,y1),(x2,y2) of the completion; without one the IoU is 0",
            "at most 1, 10 and 100 boxes per category and image",
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
            "one question about all categories",
            "a completion with any error is an empty prediction; a box whose label is not a category name"
            " (case-insensitive) is dropped",
            "at most 100, 300 and 1,000 boxes per category and image: 100 for AP, 1,000 for the other metrics",
            "published with sampling: temperature 0.7, top-p 0.8, top-k 20, presence penalty 1.5, 32,768 new tokens",
        ),
    ),
    "plain": Protocol(
        name="plain",
        read=published_parsers.read_any,
        read_one=published_parsers.read_any,
        text=tagged_or_all,
        points=parse_points,
        naming=STATED_OR_ASKED,
        questions=ANY,
        score=None,
        limits=(1, 10, 100),
        frame=None,
        assumes=(
            "lenient parsing, not from a publication",
            "the score of a box is the predicted confidence, otherwise 1: without confidences AP measures one"
            " operating point instead of a ranking, and depends on the order of boxes",
            "JSON lists and objects in any text, or names with boxes; items that are not boxes are skipped; a box"
            " whose label is not a category name (case, blanks, `_` and `-` ignored) is dropped; a box without a label"
            " has the category of the question",
            "classes and counts: the text between answer tags, otherwise the whole completion",
            "points: JSON, point tags or pairs of numbers in any text; a target is hit by a point of its own inside"
            " its outline or box; labels are compared if several categories were asked for",
            "at most 1, 10 and 100 boxes per category and image",
        ),
    ),
}


def protocol_of(name: str) -> Protocol:
    """The protocol with this name.

    Raises:
        ValueError: No protocol has this name.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {name!r}")
    return PROTOCOLS[name]
