"""What a completion says, however it is spelled."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import NO_BOXES, Boxes
from verl_vision_r1.frames import Size


@dataclass(frozen=True, eq=False)
class Answer:
    """What a completion says, in the frame that the model answers in.

    Attributes:
        boxes: (N, 4) float64 `xyxy`, finite, in units of the answer's frame; may leave the frame. Of positive area,
            except where a parser says that boxes without area count as predictions.
        labels: N names as written, or None where an item has none; empty where the answer's form has no labels.
        confidences: (N,) float64 in [0, 1]; None where the answer's form has no confidence.
        content: The answer proper, where its form is text: a class name, a number. Stripped.
        well_formed: The whole completion has the demanded form.
        parsed: An answer could be read at all, if only by a last resort.
        truncated: The text ends inside its answer.
        malformed: Items of the answer that are no box.
        text: The whole completion.
        frame: (width, height) of the frame that the boxes are in.
    """

    boxes: Boxes = field(default_factory=lambda: NO_BOXES)
    labels: tuple[str | None, ...] = ()
    confidences: NDArray[np.float64] | None = None
    content: str = ""
    well_formed: bool = False
    parsed: bool = False
    truncated: bool = False
    malformed: int = 0
    text: str = ""
    frame: Size = (1.0, 1.0)


def leaves_frame(boxes: Boxes, frame: Size) -> bool:
    """Whether any box reaches beyond its frame; the border itself is inside.

    Example:
        >>> leaves_frame(np.array([[0.0, 0.0, 100.0, 50.0]]), (100, 50))
        False
    """
    if not len(boxes):
        return False
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    return bool(right > frame[0] or bottom > frame[1] or boxes.min() < 0)
