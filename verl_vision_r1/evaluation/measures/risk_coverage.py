"""Risk and coverage: how the precision rises if only the most confident predictions are kept."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The curve over the distinct confidences, from the highest.

    Attributes:
        coverage: (C,) fraction of the predictions that are kept, in (0, 1].
        risk: (C,) fraction of these that are false positives, in [0, 1].
        confidence: (C,) the confidence from which they are kept.
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    confidence: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Area under the curve in [0, 1], lower is better; NaN without predictions.

        Predictions of equal confidence are kept together: their risk is that of all of them.

        Source:
            AURC: Geifman et al., arXiv 1805.08206, equation 4.
        """
        if not len(self.coverage):
            return float("nan")
        return float((self.risk * np.diff(self.coverage, prepend=0.0)).sum())


def risk_coverage(scores: NDArray[np.float64], hit: NDArray[np.bool_]) -> RiskCoverage:
    """The risk at each coverage.

    Args:
        scores: (N,) confidences.
        hit: (N,) whether the prediction is a true positive at IoU 0.5. Omit predictions that a crowd makes ignored.

    Example:
        >>> curve = risk_coverage(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False]))
        >>> curve.coverage.tolist(), curve.risk.round(2).tolist(), round(curve.area, 3)
        ([0.25, 0.75, 1.0], [0.0, 0.33, 0.5], 0.292)
    """
    order = np.argsort(-scores, kind="stable")
    ranked, wrong = scores[order], np.cumsum(~hit[order])
    last = np.flatnonzero(np.diff(ranked, append=-np.inf) != 0)
    kept = last + 1
    return RiskCoverage(kept / max(len(scores), 1), wrong[last] / kept, ranked[last])
