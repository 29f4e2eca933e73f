"""Number of objects, surplus boxes and duplicate boxes.

Boxes are only counted and compared with each other, so their frame does not matter.
"""

import re
from typing import Final

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.options import check_fraction
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target, normalise_label

WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,9}")


def count(
    answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 1.0, near: float = 0.0
) -> float:
    """1 if the predicted number of objects is correct, else `near` to the power of the difference.

    A text must be exactly the whole number; for boxes, the number of boxes counts.

    Args:
        answer: The parsed completion, a text or boxes.
        target: The ground truth.
        match: Unused.
        stage: Unused.
        save: Factor for a completion that is not well-formed, in [0, 1].
        near: Value of a number that is off by one, in [0, 1); 0 for exact numbers alone.

    Returns:
        A number in [0, 1].

    Source:
        The count reward of Vision-R1's reward ablation (arXiv 2503.18013, Table 4).

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([], [], width=100, height=100, task="counting", count=3)
        >>> text = "<think></think><answer>{}</answer>"
        >>> [score(text.format(number), target, "robust").parts["count"] for number in ("3", "3 or 4")]
        [1.0, 0.0]
    """
    number = WHOLE_NUMBER.fullmatch(answer.content)
    if answer.content or target.task == "counting":
        predicted = None if number is None else int(number.group())
    else:
        predicted = len(answer.boxes) if answer.parsed else None
    if predicted is None:
        return 0.0
    return float(near ** abs(predicted - target.instances)) * (1.0 if answer.well_formed else save)


def surplus(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """1 if there are no more predicted boxes than objects, else the ratio M / N.

    Malformed items count as boxes. A negative sample (M = 0) scores 1 for an empty prediction, else 0.

    Returns:
        A number in [0, 1].

    Source:
        The length factor of VLM-R1's `odLength` reward.

    Example:
        >>> import numpy as np
        >>> from verl_vision_r1.rewards.matching import NO_PAIRS
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> boxes = np.array([[0.0, 0.0, 9.0, 9.0]] * 4)
        >>> target = Target(boxes[:1], ["cat"], width=100, height=100)
        >>> surplus(Answer(boxes, ("cat",) * 4), target, NO_PAIRS, OFF)
        0.25
    """
    predicted = len(answer.boxes) + answer.malformed
    return min(1.0, target.instances / predicted) if predicted else 1.0


def duplicates(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Fraction of the predicted boxes that are unique: a duplicate has the same label and the same coordinates.

    Returns:
        A number in [0, 1]; 1 without boxes.

    Source:
        After VLM-R1's `repetition` reward, which is this fraction minus 1.

    Example:
        >>> import numpy as np
        >>> from verl_vision_r1.rewards.matching import NO_PAIRS
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> boxes = np.array([[0.0, 0.0, 9.0, 9.0]] * 4)
        >>> target = Target(boxes[:1], ["cat"], width=100, height=100)
        >>> duplicates(Answer(boxes, ("cat", "cat", "Cat", "dog")), target, NO_PAIRS, OFF)
        0.5
    """
    if not len(answer.boxes):
        return 1.0
    labels = [
        "" if label is None else normalise_label(label) for label in answer.labels or (None,) * len(answer.boxes)
    ]
    unique = set(zip(labels, map(tuple, answer.boxes.tolist()), strict=True))
    return len(unique) / len(answer.boxes)


count.check_options = check_fraction  # type: ignore[attr-defined]
