"""Label-aware, continuous recall, precision and F1, hardened against reward hacking.

They use the matchers `same_label` or `any_label` and the credit of `refinement.credit`. Let S be the total credit of
the matches, N the number of predictions (malformed items included) and M that of ground-truth boxes. Then

    recall = form * S / M        precision = form * S / N        F1 = form * 2S / (N + M)

`form` is 1 for a completion of the demanded form, else the option `save`, by default 1/2: boxes that had to be picked
out of other text. A further match of credit c raises F1 exactly if c > S / (N + M), which is at most 1/2; a true
positive has a credit of at least 1/2, so leaving one out never helps.

Without objects (M = 0), a well-formed empty prediction has recall and precision 1 and, as F1, the option `empty`; any
other completion has 0. `empty` is below 1 because a policy that never predicts a box could otherwise earn more than
one that still finds objects badly: docs/background/policies.md has the numbers.
"""

import math

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.criteria.overlap import form_factor, is_explicitly_empty, predicted
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.options import check_fraction
from verl_vision_r1.rewards.refinement import Stage, credit
from verl_vision_r1.targets import Target


def robust_recall(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 0.5) -> float:
    """Credit of the matches per ground-truth box, S / M.

    Args:
        answer: The parsed completion, its boxes in units of `answer.frame`.
        target: The ground truth, in original-image pixels.
        match: Matches with IoU in original-image pixels, at most one for each box.
        stage: The current thresholds.
        save: Factor for a completion that does not have the demanded form, in [0, 1].

    Returns:
        A number in [0, 1].

    Source:
        This project, after Vision-R1 (arXiv 2503.18013), Eq. 5.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50], [50, 50, 90, 90]], ["cat", "dog"], width=100, height=100)
        >>> score('[{"bbox_2d": [0, 0, 50, 50], "label": "cat"}]', target, "robust").parts["recall"]
        0.5
    """
    return _of(answer, target, match, stage, save, len(target.boxes))


def robust_precision(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 0.5) -> float:
    """Credit of the matches per prediction, S / N. Arguments and range are those of `robust_recall`.

    Source:
        This project, after Vision-R1 (arXiv 2503.18013), Eq. 6.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> text = '[{"bbox_2d": [0, 0, 50, 50], "label": "cat"}, {"bbox_2d": [60, 60, 70, 70], "label": "cat"}]'
        >>> score(text, target, "robust").parts["precision"]
        0.5
    """
    return _of(answer, target, match, stage, save, max(predicted(answer), 1))


def f1(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 0.5, empty: float = 0.5) -> float:
    """Harmonic mean of recall and precision in credit, 2S / (N + M).

    Args:
        answer: As in `robust_recall`.
        target: As in `robust_recall`.
        match: As in `robust_recall`.
        stage: As in `robust_recall`.
        save: As in `robust_recall`.
        empty: Value of a well-formed empty prediction for a negative sample, in [0, 1].

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
        return empty * is_explicitly_empty(answer) * answer.well_formed
    return _of(answer, target, match, stage, save, (predicted(answer) + len(target.boxes)) / 2)


def _of(answer: Answer, target: Target, match: Match, stage: Stage, save: float, whole: float) -> float:
    """The total credit S as a fraction of something, 1 or 0 without objects."""
    if not len(target.boxes):
        return is_explicitly_empty(answer) * answer.well_formed
    found = math.fsum(credit(match.iou, stage).tolist())
    return form_factor(answer, save) * found / whole


for _criterion in (robust_recall, robust_precision, f1):
    _criterion.check_options = check_fraction  # type: ignore[attr-defined]
