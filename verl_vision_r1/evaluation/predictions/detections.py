"""From the answers of a dump to the tables and numbers that are measured, by the rules of a protocol."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from verl_vision_r1.boxes import NO_BOXES, Boxes
from verl_vision_r1.data.progress import progress
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.predictions.predictions_file import Line
from verl_vision_r1.evaluation.predictions.protocols import Protocol
from verl_vision_r1.frames import to_frame
from verl_vision_r1.rewards.answers import Answer, Parser
from verl_vision_r1.targets import Target

NUMBER: Final = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")


@dataclass
class Reading:
    """How the answers to one data set could be read.

    Attributes:
        answers: How many there are.
        unparsed: Those in which nothing could be read: they count as answers that hold nothing.
        repaired: Those that end inside their list, and were cut after its last whole item.
        clipped: Those that the length limit cut off.
        out_of_frame: Those with a box that reaches beyond the image.
        malformed: Items that are no box, and were left out.
        boxes: Boxes that count.
        unknown_labels: Boxes dropped because their label is no category.
    """

    answers: int = 0
    unparsed: int = 0
    repaired: int = 0
    clipped: int = 0
    out_of_frame: int = 0
    malformed: int = 0
    boxes: int = 0
    unknown_labels: int = 0

    def count(self, line: Line, answer: Answer) -> None:
        """Count one answer."""
        self.answers += 1
        self.unparsed += not answer.parsed
        self.repaired += answer.truncated and len(answer.boxes) > 0
        self.clipped += line.clipped
        self.out_of_frame += answer.out_of_frame
        self.malformed += answer.malformed

    def as_dict(self) -> dict[str, int]:
        """For the table and for JSON."""
        return asdict(self)


def expect_frame(lines: Sequence[Line], protocol: Protocol) -> None:
    """Answers in another frame than the protocol's would give numbers that mean nothing.

    Raises:
        ValueError: There are such answers.
    """
    wrong = [line for line in lines if protocol.frame not in (None, line.frame)]
    if wrong and protocol.frame:
        raise ValueError(
            f"protocol {protocol.name}: expected answers in the frame {protocol.frame[0]:g}x{protocol.frame[1]:g}, got"
            f" {wrong[0].frame[0]:g}x{wrong[0].frame[1]:g} in line {wrong[0].number} and {len(wrong) - 1} others;"
            " vision_r1 and plain take any frame"
        )


def boxes_in_pixels(answer: Answer, target: Target) -> Boxes:
    """The boxes of an answer in original-image pixels; one with its corners the wrong way round has no area."""
    if not len(answer.boxes):
        return NO_BOXES
    boxes = to_frame(answer.boxes, answer.frame, (target.width, target.height)).copy()
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    return boxes


def read_detections(lines: Sequence[Line], truth: GroundTruth, protocol: Protocol) -> tuple[Detections, Reading]:
    """The boxes of all answers, the images in the table's order, within an image as they were said.

    Args:
        lines: Answers about images of the table.
        truth: The table.
        protocol: How they are read.
    """
    number = {image: index for index, image in enumerate(truth.images)}
    names = protocol.naming.names(truth.categories)
    reading = Reading()
    images, categories, scores, boxes = [], [], [], [NO_BOXES]
    ordered = sorted(lines, key=lambda line: number[line.image_id])
    for line in progress(ordered, desc="answers", unit="answer"):
        answer = protocol.read(line.text, line.frame)
        reading.count(line, answer)
        labels = answer.labels or (None,) * len(answer.boxes)
        found = [protocol.naming.category(label, line.subject, names) for label in labels]
        known = [place for place, category in enumerate(found) if category is not None]
        stated = protocol.scores(answer)
        reading.boxes += len(known)
        reading.unknown_labels += len(found) - len(known)
        images += [number[line.image_id]] * len(known)
        categories += [found[place] for place in known]
        scores += [stated[place] for place in known]
        boxes.append(boxes_in_pixels(answer, line.target)[known])
    table = Detections(
        np.array(images, dtype=np.intp),
        np.array(categories, dtype=np.intp),
        np.concatenate(boxes),
        np.array(scores, dtype=np.float64),
    )
    return table, reading


def read_all_boxes(lines: Sequence[Line], parse: Parser) -> tuple[list[Boxes], Reading]:
    """All boxes of each answer to an expression, in original-image pixels."""
    reading, found = Reading(), []
    for line in lines:
        answer = parse(line.text, line.frame)
        reading.count(line, answer)
        found.append(boxes_in_pixels(answer, line.target))
        reading.boxes += len(found[-1])
    return found, reading


def read_texts(lines: Sequence[Line], read: Callable[[str], str | None]) -> tuple[list[str | None], Reading]:
    """The text of each answer, None where there is none."""
    reading, found = Reading(), []
    for line in lines:
        found.append(read(line.text))
        reading.count(line, Answer(parsed=found[-1] is not None))
    return found, reading


def read_numbers(lines: Sequence[Line], read: Callable[[str], str | None]) -> tuple[list[int | None], Reading]:
    """The number of each answer, None where there is none."""
    reading, found = Reading(), []
    for line in lines:
        found.append(whole_number(read(line.text)))
        reading.count(line, Answer(parsed=found[-1] is not None))
    return found, reading


def whole_number(text: str | None) -> int | None:
    """The one number that a text holds, if it is a whole one.

    Example:
        >>> whole_number("There are 3."), whole_number("3 or 4"), whole_number("2.5")
        (3, None, None)
    """
    found = NUMBER.findall(text or "")
    return int(found[0]) if len(found) == 1 and found[0].isdecimal() and len(found[0]) < 10 else None
