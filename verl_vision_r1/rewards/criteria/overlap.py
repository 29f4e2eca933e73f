"""How well predicted boxes lie on true ones, and whether their confidences say so."""

import numpy as np

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target


def iou(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Mean over all predictions of the IoU with the true box that each was matched to; 0 for one without.

    `(1/N) sum_i iou_i`. A negative image (M = 0) scores 1 for an answer that says so and holds nothing else, else 0;
    no prediction where there is an object scores 0. The stage does not matter.

    Returns:
        A number in [0, 1]; IoU is taken in original-image pixels.

    Source:
        Visual-RFT (arXiv 2503.01785), section 3.2, R_IoU.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> text = "<think></think><answer>[{'Position': [0, 0, 500, 400], 'Confidence': 1}]</answer>"
        >>> score(text, target, "visual_rft").parts["iou"]
        0.8
    """
    if not len(target.boxes):
        return says_nothing_is_there(answer)
    return float(match.iou.sum() / len(answer.boxes)) if len(answer.boxes) else 0.0


def giou(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Mean over all predictions of the GIoU with the true box that each was matched to; -1 for one without.

    Unlike IoU it says of boxes that do not overlap how far apart they are. A negative image (M = 0) scores 1 for an
    answer that says so and holds nothing else, else -1; no prediction where there is an object scores -1. The stage
    does not matter. Of the matchers, only `assignment` pairs boxes that do not overlap.

    Returns:
        A number in [-1, 1]; GIoU is taken in original-image pixels.

    Source:
        Rezatofighi et al., arXiv 1902.09630.

    Example:
        >>> from verl_vision_r1.rewards.matching import NO_PAIRS
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> giou(Answer(), Target([[0, 0, 50, 50]], ["cat"], width=100, height=100), NO_PAIRS, OFF)
        -1.0
    """
    if not len(target.boxes):
        return 2.0 * says_nothing_is_there(answer) - 1.0
    if not len(answer.boxes):
        return -1.0
    return float((match.giou.sum() - (len(answer.boxes) - len(match.giou))) / len(answer.boxes))


def confidence(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Mean over all predictions of the confidence c of those that were matched, and of 1 - c of the others.

    A negative image (M = 0) scores 1 for an answer that says so and holds nothing else, else 0; no prediction where
    there is an object scores 0. An answer without confidences is wholly sure. The stage does not matter.

    Returns:
        A number in [0, 1].

    Source:
        Visual-RFT (arXiv 2503.01785), section 3.2, R_conf.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> text = "<think></think><answer>[{'Position': [800, 800, 900, 900], 'Confidence': 0.25}]</answer>"
        >>> score(text, target, "visual_rft").parts["confidence"]
        0.75
    """
    if not len(target.boxes):
        return says_nothing_is_there(answer)
    if not len(answer.boxes):
        return 0.0
    sure = np.ones(len(answer.boxes)) if answer.confidences is None else answer.confidences
    earned = 1.0 - sure
    earned[match.predicted] = sure[match.predicted]
    return float(earned.mean())


def grounding_iou(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """IoU of the matched box: the task has one box, and the first that the answer gives counts.

    Where there are several true boxes, the one that overlaps most counts. A negative image (M = 0) scores 1 for an
    answer without a box, else 0. The stage does not matter.

    Returns:
        A number in [0, 1]; IoU is taken in original-image pixels.

    Source:
        Visual-RFT (arXiv 2503.01785), section 4.4.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["the sleeping one"], width=100, height=100, task="grounding")
        >>> score("<think></think><answer>(0,0),(500,250)</answer>", target, "visual_rft").parts["iou"]
        0.5
    """
    if not len(target.boxes):
        return float(not len(answer.boxes))
    return float(match.iou.max()) if len(match.iou) else 0.0


def says_nothing_is_there(answer: Answer) -> float:
    """1.0 for an answer that was read and holds neither a box nor anything else, else 0.0."""
    return float(answer.parsed and not len(answer.boxes) and not answer.malformed)
