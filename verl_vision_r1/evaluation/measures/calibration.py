"""Calibration: predicted confidence against the precision that predictions of that confidence reach."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predictions by confidence, in B bins of equal width over [0, 1].

    Attributes:
        confidence: (B,) mean confidence in [0, 1]; NaN in an empty bin.
        precision: (B,) fraction of true positives in [0, 1]; NaN in an empty bin.
        predictions: (B,) number of predictions.
    """

    confidence: NDArray[np.float64]
    precision: NDArray[np.float64]
    predictions: NDArray[np.int64]


def calibration(scores: NDArray[np.float64], hit: NDArray[np.bool_], bins: int = 10) -> Calibration:
    """Bin predictions by confidence.

    A bin includes its lower edge, the last one also its upper: a confidence of 0.1 is in the second of ten bins.

    Args:
        scores: (N,) confidences, clipped to [0, 1].
        hit: (N,) whether the prediction is a true positive at IoU 0.5. Omit predictions that a crowd makes ignored.
        bins: Number of bins B, at least 1.

    Raises:
        ValueError: There are no bins, the shapes differ, or a confidence is NaN.

    Example:
        >>> found = calibration(np.array([0.2, 0.9, 0.9, 0.9]), np.array([False, True, True, False]), bins=2)
        >>> found.predictions.tolist(), found.precision.round(2).tolist()
        ([1, 3], [0.0, 0.67])
    """
    if bins < 1:
        raise ValueError(f"calibration: expected at least 1 bin, got {bins}")
    if scores.ndim != 1 or scores.shape != hit.shape:
        raise ValueError(f"calibration: expected two arrays of shape (N,), got {scores.shape} and {hit.shape}")
    if np.isnan(scores).any():
        raise ValueError(f"calibration: expected confidences, got NaN for prediction {int(np.isnan(scores).argmax())}")
    clipped = np.clip(scores, 0.0, 1.0)
    places = np.searchsorted(np.arange(1, bins) / bins, clipped, side="right")
    counts = np.bincount(places, minlength=bins)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        total = np.bincount(places, weights=values, minlength=bins)
        means: NDArray[np.float64] = np.divide(total, counts, out=np.full(bins, np.nan), where=counts > 0)
        return means

    return Calibration(mean(clipped), mean(hit), counts)


def expected_calibration_error(calibration: Calibration) -> float:
    """Expected calibration error in [0, 1]: mean |confidence - precision| over the predictions; NaN without any.

    Source:
        Guo et al., arXiv 1706.04599, equation 5.

    Example:
        >>> expected_calibration_error(Calibration(np.array([0.5, 1.0]), np.array([0.5, 0.5]), np.array([1, 3])))
        0.375
    """
    if not calibration.predictions.any():
        return float("nan")
    error = np.abs(calibration.confidence - calibration.precision)
    return float(np.nansum(error * calibration.predictions) / calibration.predictions.sum())
