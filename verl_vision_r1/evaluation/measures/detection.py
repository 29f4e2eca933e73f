"""All metrics of a detection set beside those of COCO: sums for the bootstrap, and single values."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.evaluation.measures.accuracy import Ratio, mean_of
from verl_vision_r1.evaluation.measures.average_precision import AveragePrecision, average_precision
from verl_vision_r1.evaluation.measures.calibration import calibration, expected_calibration_error
from verl_vision_r1.evaluation.measures.f1 import Counts, Matches
from verl_vision_r1.evaluation.measures.risk_coverage import risk_coverage
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth


def ratios_of(counts: Counts) -> dict[str, Ratio]:
    """The metrics that are ratios of sums over images.

    Args:
        counts: Counts of each image, (I, T).
    """
    hits, predicted = counts.hits.astype(np.float64), counts.predicted.astype(np.float64)
    objects = counts.objects.astype(np.float64)
    return {
        "F1": Ratio(2 * hits, predicted + objects),
        "F1_50": Ratio(2 * hits[:, :1], (predicted + objects)[:, :1]),
        "precision_50": Ratio(hits[:, :1], predicted[:, :1]),
        "recall_50": Ratio(hits[:, :1], objects[:, :1]),
        "count_error": mean_of(abs(predicted[:, 0] - objects[:, 0])),
    }


def of_subsets(truth: GroundTruth, ap: AveragePrecision, subsets: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """Mean AP over each published subset of categories, and over its complement, where the data set has them all."""
    found = {}
    for name, categories in subsets.items():
        if set(categories) <= set(truth.categories):
            inside = np.isin(truth.categories, categories)
            found[f"AP_{name}"] = mean_known(ap.by_category[inside])
            found[f"AP_not_{name}"] = mean_known(ap.by_category[~inside])
    return found


def mean_known(values: NDArray[np.float64]) -> float:
    """The mean of the values that are not NaN; NaN if all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def calibration_of(detections: Detections, matches: Matches) -> dict[str, float]:
    """The expected calibration error and the area under risk and coverage; empty if all scores are equal."""
    if detections.constant:
        return {}
    kept = ~matches.ignored[:, 0]
    scores, hit = detections.scores[kept], matches.hit[kept, 0]
    return {
        "calibration_error": expected_calibration_error(calibration(scores, hit)),
        "risk_coverage_area": risk_coverage(scores, hit).area,
    }


def by_log_probs(
    truth: GroundTruth, detections: Detections, limits: tuple[int, int, int], library: str
) -> dict[str, float]:
    """AP of the other ranking, if the predictions have log-probabilities.

    Args:
        truth: The ground truth.
        detections: The predictions.
        limits: COCO's `maxDets`.
        library: One of `average_precision.LIBRARIES`.

    Returns:
        `AP_logprob` if the scores are not the log-probabilities, otherwise `AP_constant`; both in [0, 1].
    """
    ranked = detections.log_prob_scores
    if ranked is None:
        return {}
    used = np.array_equal(ranked, detections.scores)
    name, scores = ("AP_constant", np.ones(len(ranked))) if used else ("AP_logprob", ranked)
    return {name: average_precision(truth, replace(detections, scores=scores), limits, library).values["AP"]}


def by_category(truth: GroundTruth, ap: AveragePrecision, counts: Counts) -> dict[str, dict[str, float]]:
    """The metrics of each category; `objects` and `predicted` are counts.

    Args:
        truth: The ground truth, for the names.
        ap: COCO's metrics.
        counts: Counts of each category, (K, T).
    """
    return {
        name: {
            "objects": int(counts.objects[index, 0]),
            "predicted": int(counts.predicted[index, 0]),
            "AP": float(ap.by_category[index]),
            "AP50": float(ap.by_category_50[index]),
            "F1_50": float(counts.f1[index, 0]),
            "precision_50": float(counts.precision[index, 0]),
            "recall_50": float(counts.recall[index, 0]),
        }
        for index, name in enumerate(truth.categories)
    }
