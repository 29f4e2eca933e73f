"""Parse completions into the arrays and values that are measured, by the rules of a protocol."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np

from verl_vision_r1.boxes import NO_BOXES, Boxes
from verl_vision_r1.data.progress import progress
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.predictions.confidence import LOG_PROB, PROTOCOL, confidences
from verl_vision_r1.evaluation.predictions.predictions_file import Line
from verl_vision_r1.evaluation.predictions.protocols import Protocol
from verl_vision_r1.frames import to_frame, write_size
from verl_vision_r1.rewards.answers import Answer, Parser
from verl_vision_r1.rewards.refusal import refused
from verl_vision_r1.targets import Target

NUMBER: Final = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Outcome:
    """Whether one completion predicts nothing.

    Attributes:
        line: The completion and its sample.
        refused: It is an explicit empty prediction.
        malformed: It contains no prediction at all, neither an empty one nor any other.
    """

    line: Line
    refused: bool
    malformed: bool


@dataclass
class ParseCounts:
    """Statistics of parsing the completions of one data set.

    Attributes:
        completions: Number of completions.
        unparsed: Completions that could not be parsed: empty predictions.
        repaired: Completions that end inside their list, which is cut after its last complete item.
        clipped: Completions that the length limit cut off.
        out_of_frame: Completions with a box that reaches outside the frame.
        malformed: Items that are not boxes, which are skipped.
        boxes: Boxes that are evaluated.
        unknown_labels: Boxes dropped because their label is not a category.
        outcomes: Which completions predict nothing, in the order in which they were parsed.
    """

    completions: int = 0
    unparsed: int = 0
    repaired: int = 0
    clipped: int = 0
    out_of_frame: int = 0
    malformed: int = 0
    boxes: int = 0
    unknown_labels: int = 0
    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, line: Line, answer: Answer) -> None:
        """Count one completion."""
        self.completions += 1
        self.unparsed += not answer.parsed
        self.repaired += answer.truncated and len(answer.boxes) > 0
        self.clipped += line.clipped
        self.out_of_frame += answer.out_of_frame
        self.malformed += answer.malformed
        empty = refused(answer, line.target.task)
        self.outcomes.append(Outcome(line, empty, not empty and not len(answer.boxes)))

    def as_dict(self) -> dict[str, int]:
        """The numbers, for JSON."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}


def expect_frame(lines: Sequence[Line], protocol: Protocol) -> None:
    """Check that predictions are in the frame of the protocol, without which its metrics are meaningless.

    Raises:
        ValueError: A prediction is in another frame.
    """
    wrong = [line for line in lines if protocol.frame not in (None, line.frame)]
    if wrong and protocol.frame:
        raise ValueError(
            f"protocol {protocol.name}: expected predictions in the frame {write_size(protocol.frame)},"
            f" got {write_size(wrong[0].frame)} in line {wrong[0].number} and another frame in"
            f" {len(wrong) - 1} more lines; vision_r1 and plain accept any frame"
        )


def boxes_in_pixels(answer: Answer, target: Target) -> Boxes:
    """The (N, 4) predicted boxes, `xyxy` in original-image pixels; a box with swapped corners has no area."""
    if not len(answer.boxes):
        return NO_BOXES
    boxes = to_frame(answer.boxes, answer.frame, (target.width, target.height)).copy()
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    return boxes


def read_detections(
    lines: Sequence[Line], truth: GroundTruth, protocol: Protocol, confidence: str = PROTOCOL
) -> tuple[Detections, ParseCounts]:
    """Parse the completions of a detection set.

    Args:
        lines: The predictions, all for images of the ground truth.
        truth: The ground truth.
        protocol: How completions are parsed and scored.
        confidence: Where the confidences are from, one of `confidence.CONFIDENCES`.

    Returns:
        The predicted boxes, by image in the order of the ground truth, then in the order of the completion; and the
        statistics of parsing.
    """
    place = {image: index for index, image in enumerate(truth.images)}
    names = protocol.naming.names(truth.categories)
    counts = ParseCounts()
    images, categories, scores, ranked, boxes = [], [], [], [], [NO_BOXES]
    log_probs = bool(lines) and all(line.log_probs is not None for line in lines)
    ordered = sorted(lines, key=lambda line: place[line.image_id])
    for line in progress(ordered, desc="completions", unit="completion"):
        answer = protocol.read(line.text, line.frame)
        counts.count(line, answer)
        labels = answer.labels or (None,) * len(answer.boxes)
        found = [protocol.naming.category(label, line.subject, names) for label in labels]
        known = [index for index, category in enumerate(found) if category is not None]
        likely = confidences(line, answer, protocol, LOG_PROB) if log_probs else []
        stated = likely if log_probs and confidence == LOG_PROB else confidences(line, answer, protocol, confidence)
        counts.boxes += len(known)
        counts.unknown_labels += len(found) - len(known)
        images += [place[line.image_id]] * len(known)
        categories += [found[index] for index in known]
        scores += [stated[index] for index in known]
        if log_probs:
            ranked += [likely[index] for index in known]
        boxes.append(boxes_in_pixels(answer, line.target)[known])
    detections = Detections(
        np.array(images, dtype=np.intp),
        np.array(categories, dtype=np.intp),
        np.concatenate(boxes),
        np.array(scores, dtype=np.float64),
        np.array(ranked, dtype=np.float64) if log_probs else None,
    )
    return detections, counts


def read_all_boxes(lines: Sequence[Line], parse: Parser) -> tuple[list[Boxes], ParseCounts]:
    """All boxes of each completion for a referring expression, (N, 4) `xyxy` in original-image pixels."""
    counts, found = ParseCounts(), []
    for line in lines:
        answer = parse(line.text, line.frame)
        counts.count(line, answer)
        found.append(boxes_in_pixels(answer, line.target))
        counts.boxes += len(found[-1])
    return found, counts


def read_points(lines: Sequence[Line], parse: Parser) -> tuple[list[Answer], ParseCounts]:
    """The parsed completions of pointing; points are boxes without area."""
    counts, found = ParseCounts(), []
    for line in progress(lines, desc="completions", unit="completion"):
        found.append(parse(line.text, line.frame))
        counts.count(line, found[-1])
        counts.boxes += len(found[-1].boxes)
    return found, counts


def read_values(lines: Sequence[Line], read: Callable[[str], Value | None]) -> tuple[list[Value | None], ParseCounts]:
    """The value that `read` finds in each completion, None where it finds none."""
    counts, found = ParseCounts(), []
    for line in lines:
        found.append(read(line.text))
        counts.count(line, Answer(parsed=found[-1] is not None))
    return found, counts


def whole_number(text: str | None) -> int | None:
    """The only number in a text, if it is a non-negative integer of at most nine digits; otherwise None.

    Example:
        >>> whole_number("There are 3."), whole_number("3 or 4"), whole_number("2.5")
        (3, None, None)
    """
    found = NUMBER.findall(text or "")
    return int(found[0]) if len(found) == 1 and found[0].isdecimal() and len(found[0]) < 10 else None
