"""Whether a model is right as often as it says: confidence beside the share of predictions that are right."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predictions by their confidence, in B bins of equal width over [0, 1].

    Attributes:
        confidence: (B,) mean confidence in [0, 1]; NaN in an empty bin.
        right: (B,) share of the predictions that are right, in [0, 1]; NaN in an empty bin.
        number: (B,) how many predictions.
    """

    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    number: NDArray[np.int64]


def calibration(scores: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> Calibration:
    """Compare confidence with success.

    A bin holds its lower edge, the last one also its upper: a confidence of 0.1 is in the second of ten.

    Args:
        scores: (N,) confidences; outside [0, 1] they are clipped to it.
        right: (N,) whether the prediction is a hit at an IoU of 0.5. Leave out those that a crowd makes neither.
        bins: B, at least 1.

    Raises:
        ValueError: No bins, arrays of other shapes, or a confidence that is no number.

    Example:
        >>> found = calibration(np.array([0.2, 0.9, 0.9, 0.9]), np.array([False, True, True, False]), bins=2)
        >>> found.number.tolist(), found.right.round(2).tolist()
        ([1, 3], [0.0, 0.67])
    """
    if bins < 1:
        raise ValueError(f"calibration: expected at least 1 bin, got {bins}")
    if scores.ndim != 1 or scores.shape != right.shape:
        raise ValueError(f"calibration: expected two arrays of shape (N,), got {scores.shape} and {right.shape}")
    if np.isnan(scores).any():
        raise ValueError(f"calibration: expected confidences, got NaN for prediction {int(np.isnan(scores).argmax())}")
    clipped = np.clip(scores, 0.0, 1.0)
    places = np.searchsorted(np.arange(1, bins) / bins, clipped, side="right")
    number = np.bincount(places, minlength=bins)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        total = np.bincount(places, weights=values, minlength=bins)
        share: NDArray[np.float64] = np.divide(total, number, out=np.full(bins, np.nan), where=number > 0)
        return share

    return Calibration(mean(clipped), mean(right), number)


def expected_calibration_error(calibration: Calibration) -> float:
    """Mean distance of confidence and success over the predictions, in [0, 1]; NaN where there are none.

    Source:
        Guo et al., arXiv 1706.04599, equation 5.

    Example:
        >>> expected_calibration_error(Calibration(np.array([0.5, 1.0]), np.array([0.5, 0.5]), np.array([1, 3])))
        0.375
    """
    if not calibration.number.any():
        return float("nan")
    distance = np.abs(calibration.confidence - calibration.right)
    return float(np.nansum(distance * calibration.number) / calibration.number.sum())
