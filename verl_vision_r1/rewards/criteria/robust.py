"""Recall and precision that cannot be bought: label-aware, continuous, and each worth only as much as the other.

They stand on the matcher `same_label` and on `refinement.credit`. Let S be the credit of all matched pairs, N the
predictions (items that are no box included) and M the true boxes. Then R = S / M, P = S / N, F1 = 2S / (N + M), and

    recall = save * R * F1        precision = save * P * F1

so that their mean is save * R * P: neither counts without the other, whether boxes are missing or surplus. `save` is 1
for a well-formed answer, and by default 1/2 for one that had to be picked out of something else. No prediction where
there is an object scores 0; a negative image (M = 0) scores 1 for a well-formed answer that holds nothing, else 0.
"""

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.criteria.overlap import says_nothing_is_there
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage, credit
from verl_vision_r1.targets import Target


def robust_recall(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 0.5) -> float:
    """Share of the true boxes that are found, times F1.

    Args:
        answer: The answer, its boxes in units of `answer.frame`.
        target: The ground truth, in original-image pixels.
        match: The pairs of the matcher `same_label`, their IoU taken in original-image pixels.
        stage: The thresholds in force.
        save: What is left of the score of an answer that is not well-formed, in [0, 1].

    Returns:
        A number in [0, 1].

    Source:
        This project, after Vision-R1 (arXiv 2503.18013), Eq. 5.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50], [50, 50, 90, 90]], ["cat", "dog"], width=100, height=100)
        >>> round(score('[{"bbox_2d": [0, 0, 50, 50], "label": "cat"}]', target, "robust").parts["recall"], 3)
        0.333
    """
    if not len(target.boxes):
        return says_nothing_is_there(answer) * answer.well_formed
    found = _found(match, stage)
    return found / len(target.boxes) * _f1(answer, target, found, save)


def robust_precision(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 0.5) -> float:
    """Share of the predictions that are right, times F1.

    Args:
        answer: The answer, its boxes in units of `answer.frame`.
        target: The ground truth, in original-image pixels.
        match: The pairs of the matcher `same_label`, their IoU taken in original-image pixels.
        stage: The thresholds in force.
        save: What is left of the score of an answer that is not well-formed, in [0, 1].

    Returns:
        A number in [0, 1].

    Source:
        This project, after Vision-R1 (arXiv 2503.18013), Eq. 6.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> text = '[{"bbox_2d": [0, 0, 50, 50], "label": "cat"}, {"bbox_2d": [60, 60, 70, 70], "label": "cat"}]'
        >>> round(score(text, target, "robust").parts["precision"], 3)
        0.333
    """
    if not len(target.boxes):
        return says_nothing_is_there(answer) * answer.well_formed
    found = _found(match, stage)
    return found / max(_predicted(answer), 1) * _f1(answer, target, found, save)


def f1(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 0.5) -> float:
    """Harmonic mean of recall and precision in credit, `2S / (N + M)`: what the other two are weighed with.

    Args:
        answer: The answer, its boxes in units of `answer.frame`.
        target: The ground truth, in original-image pixels.
        match: The pairs of the matcher `same_label`, their IoU taken in original-image pixels.
        stage: The thresholds in force.
        save: What is left of the score of an answer that is not well-formed, in [0, 1].

    Returns:
        A number in [0, 1].

    Source:
        This project.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50], [50, 50, 90, 90]], ["cat", "dog"], width=100, height=100)
        >>> round(score('[{"bbox_2d": [0, 0, 50, 50], "label": "cat"}]', target, "robust").parts["f1"], 3)
        0.667
    """
    if not len(target.boxes):
        return says_nothing_is_there(answer) * answer.well_formed
    return _f1(answer, target, _found(match, stage), save)


def _found(match: Match, stage: Stage) -> float:
    """S, the credit of all pairs."""
    return float(sum(credit(match.iou, stage).tolist()))


def _f1(answer: Answer, target: Target, found: float, save: float) -> float:
    worth = 1.0 if answer.well_formed else save
    return worth * 2.0 * found / (_predicted(answer) + len(target.boxes))


def _predicted(answer: Answer) -> int:
    """N: who writes what is no box has written one too many."""
    return len(answer.boxes) + answer.malformed
