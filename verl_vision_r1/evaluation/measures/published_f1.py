"""F1@0.5 and F1@mIoU by the averages of Rex-Omni and LocateAnything, to compare with their tables.

`f1` pools all boxes of a data set. Rex-Omni averages precision and recall first, over the categories for COCO and LVIS
and over the images for its other data sets, and F1 is the harmonic mean of the two averages.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.evaluation.measures.average_precision import LIBRARY, precision_and_recall
from verl_vision_r1.evaluation.measures.f1 import counts_by_image, match
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

LIMIT: Final = 100


def category_means(truth: GroundTruth, detections: Detections, library: str = LIBRARY) -> dict[str, float]:
    """Rex-Omni's F1 of COCO and LVIS, averaged over categories.

    Predictions of categories that the image does not contain are dropped, and all scores are equal. Boxes are matched
    as in COCO, with 100 predictions per image and category. The precision of a category is the interpolated precision
    at its largest recall; where nothing is found, that of the next lower IoU threshold. Categories with a precision of
    0 are left out of the mean precision, those with a recall of 0 out of the mean recall.

    Args:
        truth: I images, K categories, M objects.
        detections: N predictions in those images.
        library: One of `average_precision.LIBRARIES`.

    Returns:
        `F1_50_category_mean`: F1@0.5. `F1_category_mean`: F1@mIoU, in which precision and recall are means over the
        thresholds 0.5 to 0.95 as well. In [0, 1]; NaN without objects.

    Source:
        Rex-Omni (arXiv 2510.12798), its evaluation/metrics/coco_lvis_metric.py and fastevaluate; LocateAnything (arXiv
        2605.27365) uses both.

    Example:
        >>> box, place = np.array([[0.0, 0.0, 10.0, 10.0]] * 2), np.array([0, 1])
        >>> truth = GroundTruth(("a", "b"), ("cat",), place, place * 0, box, np.full(2, 100.0), place < 0, ())
        >>> found = category_means(truth, Detections(place[:1], place[:1], box[:1], np.ones(1)))
        >>> round(found["F1_50_category_mean"], 3)
        0.667
    """
    kept = detections.take(_of_present_categories(truth, detections))
    curve, recall = precision_and_recall(truth, replace(kept, scores=np.ones(len(kept.scores))), [LIMIT], library)
    known = recall[0, :, 0, 0] >= 0
    curve, recall = curve[:, :, known, 0, 0], recall[:, known, 0, 0]
    # Precision at the largest recall: the curve decreases and ends in zeros, so it is the least that is not 0.
    precision = np.where(curve > 0, curve, np.inf).min(axis=1, initial=np.inf)
    for threshold in range(1, len(precision)):
        precision[threshold] = np.where(np.isinf(precision[threshold]), precision[threshold - 1], precision[threshold])
    precision[np.isinf(precision)] = 0.0
    return {
        "F1_50_category_mean": _harmonic(_mean_found(precision[0]), _mean_found(recall[0])),
        "F1_category_mean": _harmonic(_mean_found(precision.mean(axis=0)), _mean_found(recall.mean(axis=0))),
    }


def image_means(truth: GroundTruth, detections: Detections) -> dict[str, float]:
    """Rex-Omni's F1 of its other data sets (Dense200, VisDrone, DocLayNet ...), averaged over images.

    Boxes of an image are matched one-to-one, of any category that the image contains; its other predictions are false
    positives. An image without objects has a precision and recall of 1 without predictions, otherwise of 0; one with
    objects but without predictions of 0. Rex-Omni takes for each object in turn the free prediction of the largest
    IoU; here the number of matches is the largest possible, which can only be higher.

    Args:
        truth: I images, K categories, M objects.
        detections: N predictions in those images.

    Returns:
        `F1_50_image_mean`: F1@0.5. `F1_image_mean`: F1@mIoU, the mean of F1 over the thresholds 0.5 to 0.95. In
        [0, 1]; NaN without images.

    Source:
        Rex-Omni (arXiv 2510.12798), its evaluation/metrics/other_metric.py, which LocateAnything (arXiv 2605.27365)
        uses as well.

    Example:
        >>> box, place = np.array([[0.0, 0.0, 10.0, 10.0]] * 2), np.array([0, 1])
        >>> truth = GroundTruth(("a", "b"), ("cat",), place, place * 0, box, np.full(2, 100.0), place < 0, ())
        >>> image_means(truth, Detections(place[:1], place[:1], box[:1], np.ones(1)))["F1_50_image_mean"]
        0.5
    """
    one = replace(truth, categories=("any",), category=np.zeros_like(truth.category))
    kept = detections.take(_of_present_categories(truth, detections))
    kept = replace(kept, category=np.zeros_like(kept.category))
    counts = counts_by_image(one, kept, match(one, kept))
    predicted = np.bincount(detections.image, minlength=len(truth.images))[:, None]
    empty = (counts.objects == 0) & (predicted == 0)
    precision = np.where(empty, 1.0, counts.hits / np.maximum(predicted, 1))
    recall = np.where(empty, 1.0, counts.hits / np.maximum(counts.objects, 1))
    if not len(truth.images):
        return {"F1_50_image_mean": float("nan"), "F1_image_mean": float("nan")}
    f1 = [_harmonic(*means) for means in zip(precision.mean(axis=0), recall.mean(axis=0), strict=True)]
    return {"F1_50_image_mean": f1[0], "F1_image_mean": float(np.mean(f1))}


def _of_present_categories(truth: GroundTruth, detections: Detections) -> NDArray[np.bool_]:
    """(N,) whether the image of each prediction has an object of its category."""
    kinds = len(truth.categories)
    return np.isin(detections.image * kinds + detections.category, truth.image * kinds + truth.category)


def _mean_found(values: NDArray[np.float64]) -> float:
    """The mean of the values above 0; NaN without any value, 0 if none is above 0."""
    if not len(values):
        return float("nan")
    return float(values[values > 0].mean()) if (values > 0).any() else 0.0


def _harmonic(precision: float, recall: float) -> float:
    if np.isnan(precision + recall):
        return float("nan")
    return float(2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0
