"""The outcome of each predicted box: found, or one of the kinds of error; and of each object: found or missed.

One vocabulary for the rollout report, the galleries and the drawings. It does not depend on the reward of a run.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import area, pairwise_iou
from verl_vision_r1.evaluation.measures.f1 import TIE_BREAK, assigned, groups, in_crowd
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

FOUND: Final = "found"
DUPLICATE: Final = "duplicate"
WRONG_LABEL: Final = "wrong label"
MISPLACED: Final = "misplaced"
FALSE: Final = "false"
MISSED: Final = "missed"

OUTCOMES: Final = (FOUND, DUPLICATE, WRONG_LABEL, MISPLACED, FALSE)
"""The outcomes of a prediction. An object is `found` or `missed`."""

IGNORED: Final = -1
"""The code of an unmatched prediction inside a crowd of its category."""

ENOUGH: Final = 0.5
"""IoU from which a prediction finds an object."""
BACKGROUND: Final = 0.1
"""IoU below which a prediction belongs to no object."""


def outcomes(iou: NDArray[np.float64], same: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Classify the predictions of one image.

    A prediction is

    - `found` if it is matched: one-to-one, equal labels, IoU at least 0.5, as many matches as possible;
    - `duplicate` if its IoU with an object of its label is at least 0.5, but another prediction is matched to that;
    - `wrong label` if only objects of other labels reach an IoU of 0.5;
    - `misplaced` if its IoU with an object of its label is at least 0.1;
    - `false` otherwise.

    Args:
        iou: (N, M) IoU of predictions and objects. For points: 1 inside the object, else 0.
        same: (N, M) whether their labels count as equal.

    Returns:
        (N,) indices into `OUTCOMES`, and (M,) whether each object is found.

    Source:
        The names follow TIDE (arXiv 2008.08115), section 2.2: its Dupe, Cls and Loc; `false` is its Bkg and Both. TIDE
        prefers Loc to Cls where both apply; here the higher overlap decides.

    Example:
        >>> iou = np.array([[0.9, 0.0], [0.6, 0.0], [0.0, 0.3], [0.7, 0.0]])
        >>> codes, found = outcomes(iou, np.array([[True, False]] * 2 + [[False, True]] * 2))
        >>> [OUTCOMES[code] for code in codes], found.tolist()
        (['found', 'duplicate', 'misplaced', 'wrong label'], [True, False])
    """
    if not iou.size:
        return np.full(len(iou), OUTCOMES.index(FALSE), np.intp), np.zeros(iou.shape[1], np.bool_)
    own = iou * same
    rows, columns = assigned((own >= ENOUGH) * (1 + TIE_BREAK * own))
    best_own, best = own.max(axis=1), iou.max(axis=1)
    tests = {DUPLICATE: best_own >= ENOUGH, WRONG_LABEL: best >= ENOUGH, MISPLACED: best_own >= BACKGROUND}
    codes: NDArray[np.intp] = np.select(
        [*tests.values()], [OUTCOMES.index(name) for name in tests], OUTCOMES.index(FALSE)
    )
    codes[rows] = OUTCOMES.index(FOUND)
    found = np.zeros(iou.shape[1], np.bool_)
    found[columns] = True
    return codes, found


def outcomes_of_set(truth: GroundTruth, detections: Detections) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Classify all predictions of a data set, image by image.

    Args:
        truth: I images, M objects.
        detections: N predictions in those images.

    Returns:
        (N,) indices into `OUTCOMES`, or `IGNORED`; and (M,) whether each object is found, which a crowd never is.

    Example:
        >>> box, one = np.array([[0.0, 0.0, 10.0, 10.0]]), np.zeros(1, np.intp)
        >>> truth = GroundTruth(("a",), ("cat", "dog"), one, one, box, np.full(1, 100.0), one > 0, ())
        >>> codes, found = outcomes_of_set(truth, Detections(one, one + 1, box, np.ones(1)))
        >>> OUTCOMES[codes[0]], found.tolist()
        ('wrong label', [False])
    """
    codes = np.full(len(detections.image), OUTCOMES.index(FALSE), np.intp)
    found = np.zeros(len(truth.image), np.bool_)
    objects = np.flatnonzero(~truth.crowd & (area(truth.boxes) > 0))
    for rows, columns in groups(detections.image, truth.image[objects]):
        columns = objects[columns]
        same = detections.category[rows, None] == truth.category[columns]
        codes[rows], found[columns] = outcomes(pairwise_iou(detections.boxes[rows], truth.boxes[columns]), same)
    kinds = len(truth.categories)
    keys, crowd_keys = (table.image * kinds + table.category for table in (detections, truth))
    covered = in_crowd(keys, detections.boxes, crowd_keys[truth.crowd], truth.boxes[truth.crowd])
    codes[(codes != OUTCOMES.index(FOUND)) & (covered >= ENOUGH)] = IGNORED
    return codes, found
