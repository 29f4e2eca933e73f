"""IoU, GIoU and confidence of the predicted boxes."""

import numpy as np

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target


def iou(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Mean IoU of all predictions with their matched target box; an unmatched prediction counts 0.

    `(1/N) sum_i iou_i`. A negative sample (M = 0) scores 1 for an explicit empty prediction, else 0; an empty
    prediction for a sample with objects scores 0. The stage is not used.

    Returns:
        A number in [0, 1]; IoU is computed in original-image pixels.

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
        return is_explicitly_empty(answer)
    return float(match.iou.sum() / len(answer.boxes)) if len(answer.boxes) else 0.0


def giou(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Mean GIoU of all predictions with their matched target box; an unmatched prediction counts -1.

    Unlike IoU, it also depends on the distance of boxes that do not overlap; only the matcher `assignment` matches
    such boxes. A negative sample (M = 0) scores 1 for an explicit empty prediction, else -1; an empty prediction for a
    sample with objects scores -1. The stage is not used.

    Returns:
        A number in [-1, 1]; GIoU is computed in original-image pixels.

    Source:
        Rezatofighi et al., arXiv 1902.09630.

    Example:
        >>> from verl_vision_r1.rewards.matching import NO_PAIRS
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> giou(Answer(), Target([[0, 0, 50, 50]], ["cat"], width=100, height=100), NO_PAIRS, OFF)
        -1.0
    """
    if not len(target.boxes):
        return 2.0 * is_explicitly_empty(answer) - 1.0
    if not len(answer.boxes):
        return -1.0
    return float((match.giou.sum() - (len(answer.boxes) - len(match.giou))) / len(answer.boxes))


def confidence(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Mean over all predictions of the confidence c if matched, and of 1 - c if unmatched.

    A negative sample (M = 0) scores 1 for an explicit empty prediction, else 0; an empty prediction for a sample with
    objects scores 0. Without confidences, each is taken as 1. The stage is not used.

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
        return is_explicitly_empty(answer)
    if not len(answer.boxes):
        return 0.0
    confidences = np.ones(len(answer.boxes)) if answer.confidences is None else answer.confidences
    scores = 1.0 - confidences
    scores[match.predicted] = confidences[match.predicted]
    return float(scores.mean())


def grounding_iou(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """IoU of the matched box, for tasks with one box; only the first predicted box counts.

    With several ground-truth boxes, the one with the highest IoU counts. A negative sample (M = 0) scores 1 for an
    empty prediction, else 0. The stage is not used.

    Returns:
        A number in [0, 1]; IoU is computed in original-image pixels.

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


def is_explicitly_empty(answer: Answer) -> float:
    """1.0 if the completion was parsed and has neither a box nor a malformed item, else 0.0."""
    return float(answer.parsed and not predicted(answer))


def predicted(answer: Answer) -> int:
    """N: a malformed item counts as a prediction."""
    return len(answer.boxes) + answer.malformed


def form_factor(answer: Answer, save: float) -> float:
    """1.0 if the completion has the demanded form, else `save`."""
    return 1.0 if answer.as_asked else save
