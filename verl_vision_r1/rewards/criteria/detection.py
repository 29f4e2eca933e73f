"""Recall and precision of the predicted boxes. All overlaps are IoU in original-image pixels."""

import numpy as np

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import SLACK, Stage, refine
from verl_vision_r1.targets import Target


def recall(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Share of the true boxes that a matched prediction finds, refined once for the completion.

    `f(#{k: IoU_k >= xi0} / M)`. A negative image (M = 0) scores 1 without predictions, else 0.

    Returns:
        A number in [0, 1]; IoU is taken in original-image pixels.

    Source:
        Vision-R1 (arXiv 2503.18013), Eq. 5 and 8.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50], [50, 50, 90, 90]], ["cat", "dog"], width=100, height=100)
        >>> score('[{"bbox_2d": [0, 0, 50, 50], "label": "cat"}]', target).parts["recall"]
        0.5
    """
    if not len(target.boxes):
        return float(not len(answer.boxes))
    found = int(np.count_nonzero(match.iou >= stage.xi0 - SLACK))
    return refine(found / len(target.boxes), stage)


def precision(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Mean over all predictions of the refined IoU of those that find a true box.

    `(1/N) sum_k [IoU_k >= xi0] f(IoU_k)`: a surplus prediction counts 0. A negative image (M = 0) scores 1 without
    predictions, else 0; no prediction where there is an object scores 0.

    Returns:
        A number in [0, 1]; IoU is taken in original-image pixels.

    Source:
        Vision-R1 (arXiv 2503.18013), Eq. 6 and 8, the denominator read as the number of predictions.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> text = '[{"bbox_2d": [0, 0, 50, 50], "label": "cat"}, {"bbox_2d": [60, 60, 70, 70], "label": "cat"}]'
        >>> score(text, target).parts["precision"]
        0.5
    """
    if not len(target.boxes):
        return float(not len(answer.boxes))
    if not len(answer.boxes):
        return 0.0
    least = stage.least_iou_for_precision - SLACK
    counted = refine(match.iou, stage)
    if least > 0:
        counted = counted * (match.iou >= least)
    return float(sum(counted.tolist())) / len(answer.boxes)
