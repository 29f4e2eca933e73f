"""LVIS's federated AP, and AP by the frequency of the categories."""

from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from verl_vision_r1.evaluation.measures.average_precision import AveragePrecision, hotcoco_evaluation
from verl_vision_r1.evaluation.measures.detection import mean_known
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

FREQUENCIES: Final = {"r": "AP_rare", "c": "AP_common", "f": "AP_frequent"}
"""LVIS's letters: categories of 1 to 10, 11 to 100 and more than 100 training images."""


def by_frequency(truth: GroundTruth, detections: Detections, ap: AveragePrecision) -> dict[str, float]:
    """AP of rare, common and frequent categories.

    Where the images name the categories that were looked for, AP is LVIS's: predictions of other categories are
    ignored, as are unmatched ones of a category whose objects were not all annotated, and 300 count per image.
    Otherwise it is COCO's.

    Args:
        truth: I images, K categories, M objects.
        detections: N predictions in those images.
        ap: Their COCO metrics.

    Returns:
        `AP_rare`, `AP_common`, `AP_frequent`, and with LVIS's lists `AP_federated`, in [0, 1]; NaN for categories
        without objects, and for LVIS's AP if hotcoco, which computes it, is not installed. Empty if the categories
        have no frequency.

    Source:
        Gupta et al., LVIS, arXiv 1908.03195, sections 2.2 and 2.3; lvis-api, LVISEval.
    """
    if not truth.frequencies:
        return {}
    found = ap.by_category
    values = {}
    if truth.looked is not None:
        found = _federated(truth, detections) if find_spec("hotcoco") else np.full(len(found), np.nan)
        values["AP_federated"] = mean_known(found)
    kinds = np.array(truth.frequencies)
    return values | {name: mean_known(found[kinds == letter]) for letter, name in FREQUENCIES.items()}


def _federated(truth: GroundTruth, detections: Detections) -> Any:
    """(K,) LVIS's AP of each category, NaN without objects."""
    run = hotcoco_evaluation(truth, detections, lvis=True)
    run.params.area_rng, run.params.area_rng_lbl = [[0, 1e10]], ["all"]
    run.evaluate()
    run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    return np.where(precision < 0, np.nan, precision).mean(axis=(0, 1))
