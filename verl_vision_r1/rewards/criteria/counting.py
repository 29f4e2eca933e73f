"""How many: the right number of objects, no more boxes than objects, no box twice.

Boxes are only counted and compared with each other, in whatever units the answer has them.
"""

import re
from typing import Final

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target, normalise_label

WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,9}")


def count(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 1.0) -> float:
    """1 if the answer says how many objects there are, else 0.

    An answer of text must be that whole number and nothing else; an answer of boxes says as many as it holds.

    Args:
        answer: The answer, a text or boxes.
        target: The ground truth.
        match: Has no part in it.
        stage: Has no part in it.
        save: What a right answer is worth that is not well-formed, in [0, 1].

    Returns:
        0, `save` or 1.

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
        right = number is not None and int(number.group()) == target.instances
    else:
        right = answer.parsed and len(answer.boxes) == target.instances
    return float(right) * (1.0 if answer.well_formed else save)


def surplus(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """1 as long as there are no more boxes than objects, then the ratio M / N.

    Items that are no box count as boxes. A negative image (M = 0) scores 1 without any, else 0.

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
    """Share of the boxes that are no repetition: of the same label and the same four numbers as one before.

    Returns:
        A number in [0, 1]; 1 without boxes.

    Source:
        After VLM-R1's `repetition` reward, which is that share less 1.

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
    different = set(zip(labels, map(tuple, answer.boxes.tolist()), strict=True))
    return len(different) / len(answer.boxes)
