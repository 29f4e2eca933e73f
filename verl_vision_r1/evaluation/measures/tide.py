"""TIDE's error types: how much AP50 each kind of error costs."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from verl_vision_r1.evaluation.measures.average_precision import LIMITS, hotcoco_evaluation
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

TYPES: Final = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
"""Wrong category; misplaced; both; duplicate; on the background; missed object."""


@dataclass(frozen=True)
class Tide:
    """The errors of a data set.

    Attributes:
        counts: Number of errors of each of `TYPES`.
        gains: By how much AP50 rises if the errors of one type are corrected, in [-1, 1]; also for `FP`, all false
            positives, and `FN`, all missed objects. The gains do not add up to the missing AP.
    """

    counts: dict[str, int]
    gains: dict[str, float]


def tide(truth: GroundTruth, detections: Detections, limit: int = LIMITS[-1]) -> Tide | None:
    """Classify the errors at an IoU of 0.5, with the background below 0.1.

    Args:
        truth: I images, K categories, M objects.
        detections: N predictions in those images.
        limit: How many predictions per image and category count, those with the highest scores.

    Returns:
        The errors; None if hotcoco, which computes them, is not installed.

    Source:
        Bolya et al., TIDE, arXiv 2008.08115, section 2.

    Example:
        >>> import numpy as np
        >>> box, one = np.array([[0.0, 0.0, 10.0, 10.0]]), np.zeros(1, np.intp)
        >>> truth = GroundTruth(("a",), ("cat", "dog"), one, one, box, np.full(1, 100.0), one > 0, ())
        >>> found = tide(truth, Detections(one, one + 1, box, np.ones(1)))
        >>> found.counts["Cls"], round(found.gains["Cls"], 6)
        (1, 1.0)
    """
    if find_spec("hotcoco") is None:
        return None
    run = hotcoco_evaluation(truth, detections)
    run.params.max_dets = [limit]
    run.evaluate()
    found = run.tide_errors(pos_thr=0.5, bg_thr=0.1)
    return Tide(
        counts={name: int(found["counts"][name]) for name in TYPES},
        gains={name: float(found["delta_ap"][name]) for name in (*TYPES, "FP", "FN")},
    )
