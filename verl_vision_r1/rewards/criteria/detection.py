"""Recall and precision of the predicted boxes. IoU is computed in original-image pixels."""

import numpy as np

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import SLACK, Stage, refine
from verl_vision_r1.targets import Target


def recall(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """Recall: the fraction of ground-truth boxes matched with IoU >= `xi0`, refined once per completion.

    `f(#{k: IoU_k >= xi0} / M)`. A negative sample (M = 0) scores 1 for an empty prediction, else 0.

    Returns:
        A number in [0, 1]; IoU is computed in original-image pixels.

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
    """Precision: the sum of the refined IoU of the matches with IoU >= `xi0`, divided by the number of predictions.

    `(1/N) sum_k [IoU_k >= xi0] f(IoU_k)`: an unmatched prediction counts 0. A negative sample (M = 0) scores 1 for an
    empty prediction, else 0; an empty prediction for a sample with objects scores 0.

    Returns:
        A number in [0, 1]; IoU is computed in original-image pixels.

    Source:
        Vision-R1 (arXiv 2503.18013), Eq. 6 and 8, with the number of predictions as the denominator.

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
