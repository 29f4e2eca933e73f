"""The prediction for one image: boxes in original-image pixels, and the completions that they were parsed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import NO_BOXES, Boxes
from verl_vision_r1.evaluation.predictions.detections import boxes_in_pixels
from verl_vision_r1.evaluation.predictions.protocols import STATED_OR_ASKED
from verl_vision_r1.frames import Size
from verl_vision_r1.predict.questions import Question
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.shown import printable
from verl_vision_r1.targets import Target


@dataclass(frozen=True, eq=False)
class Reply:
    """A completion, and what was parsed from it.

    Attributes:
        question: The question.
        completion: The raw text.
        frame: (width, height) of the frame of the predicted boxes.
        answer: The parsed completion; its boxes are in that frame.
    """

    question: Question
    completion: str
    frame: Size
    answer: Answer


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for one image.

    Attributes:
        size: (width, height) of the image in pixels, upright.
        boxes: (N, 4) float64 `xyxy` in pixels of the image; a box may exceed it, and has no area if the model swapped
            its corners.
        labels: N labels: the name that was asked for, or the model's own words if they are none of the names.
        scores: (N,) confidences in [0, 1]; 1 where the model states none.
        replies: The completions, one for each question.
    """

    size: tuple[int, int]
    boxes: Boxes
    labels: tuple[str, ...]
    scores: NDArray[np.float64]
    replies: tuple[Reply, ...]

    @property
    def parsed(self) -> bool:
        """Whether all completions could be parsed. Nothing is predicted from one that cannot."""
        return all(reply.answer.parsed for reply in self.replies)

    @property
    def texts(self) -> dict[str, str]:
        """The classes or counts by the name that was asked about; empty texts for questions about boxes."""
        return {reply.question.subject: reply.answer.content for reply in self.replies}

    def as_dict(self) -> dict[str, Any]:
        """The prediction as JSON values."""
        return {
            "width": self.size[0],
            "height": self.size[1],
            "boxes": self.boxes.tolist(),
            "labels": list(self.labels),
            "scores": self.scores.tolist(),
            "texts": self.texts if any(self.texts.values()) else {},
            "parsed": self.parsed,
            "truncated": any(reply.answer.truncated for reply in self.replies),
            "out_of_frame": any(reply.answer.out_of_frame for reply in self.replies),
            "completions": [reply.completion for reply in self.replies],
        }

    def __str__(self) -> str:
        boxes = np.rint(self.boxes).astype(int).tolist()
        found = [f"{printable(label)} {box}" for label, box in zip(self.labels, boxes, strict=True)]
        found += [f"{printable(name)} {printable(text)}" for name, text in self.texts.items() if text]
        found += [] if self.parsed else [f"not parsed: {self._unparsed()}"]
        return "; ".join(found) or "no box"

    def _unparsed(self) -> str:
        return next(printable(repr(reply.completion), 80) for reply in self.replies if not reply.answer.parsed)


def prediction_of(size: tuple[int, int], names: Sequence[str], replies: Sequence[Reply]) -> Prediction:
    """Collect the boxes of the replies about one image.

    Args:
        size: (width, height) of the image in pixels.
        names: The names that were asked for.
        replies: The replies to all questions.
    """
    image = Target(NO_BOXES, (), *size)
    boxes = [boxes_in_pixels(reply.answer, image) for reply in replies]
    labels = [label for reply in replies for label in _labels(reply, names)]
    scores = [score for reply in replies for score in _scores(reply.answer)]
    return Prediction(size, np.concatenate([NO_BOXES, *boxes]), tuple(labels), np.array(scores), tuple(replies))


def _labels(reply: Reply, names: Sequence[str]) -> list[str]:
    if reply.question.kind == "expression":
        return [reply.question.subject] * len(reply.answer.boxes)
    known = {STATED_OR_ASKED.key(name): name for name in names}
    asked = reply.question.subject or (names[0] if len(names) == 1 else "")
    stated = reply.answer.labels or (None,) * len(reply.answer.boxes)
    return [asked if label is None else known.get(STATED_OR_ASKED.key(label), label) for label in stated]


def _scores(answer: Answer) -> list[float]:
    return [1.0] * len(answer.boxes) if answer.confidences is None else [float(value) for value in answer.confidences]
