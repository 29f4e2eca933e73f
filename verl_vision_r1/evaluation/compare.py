"""Two runs on the same images: whether a difference is more than the choice of images makes.

Images are drawn at random, with replacement, as many as there are, the same for both runs; the middle 95 percent of
the differences is the interval. One that holds 0 is no gain to announce.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.evaluation.evaluate import Evaluation
from verl_vision_r1.evaluation.measure import Measured
from verl_vision_r1.evaluation.measures.accuracy import Numbers
from verl_vision_r1.evaluation.measures.bootstrap import resampled_average_precision, weights

INTERVAL: Final = (2.5, 97.5)
FEW: Final = 20
"""Images below which an interval is itself a guess."""


@dataclass(frozen=True)
class Difference:
    """One number of two runs.

    Attributes:
        before: That of the first.
        after: That of the second.
        low: Lower end of the 95 percent interval of their difference.
        high: Its upper end.
    """

    before: float
    after: float
    low: float
    high: float

    @property
    def change(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def as_dict(self) -> dict[str, float | bool]:
        """For JSON."""
        return {**asdict(self), "change": self.change, "sure": self.sure}


Differences = dict[str, dict[str, Difference]]
"""By data set and number; also for the mean of the sets of one task where there are several."""


def compare(before: Evaluation, after: Evaluation, resamples: int = 1000, seed: int = 0) -> Differences:
    """Compare two runs, each number of each data set.

    Args:
        before: The first.
        after: The second, by the same protocol on the same images.
        resamples: How many times images are drawn.
        seed: Decides which.

    Raises:
        ValueError: The data sets, their images or the protocols differ.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), the percentile interval of a paired difference.
    """
    pairs = _pairs(before, after)
    limits = after.protocol.limits
    drawn: dict[str, dict[str, Numbers]] = {}
    for index, (first, second) in enumerate(pairs):
        counts = weights(len(first.images), resamples, seed + index)
        runs = [_resampled(measured, counts, limits) for measured in (first, second)]
        # Of one image all draws are the same: that is no interval.
        known = 1.0 if len(first.images) > 1 else np.nan
        drawn[first.name] = {name: known * (runs[1][name] - runs[0][name]) for name in runs[0]}
    found = {
        first.name: {
            name: _difference(first.values[name], second.values[name], values)
            for name, values in drawn[first.name].items()
        }
        for first, second in pairs
    }
    return found | _means(before, after, drawn)


def _pairs(before: Evaluation, after: Evaluation) -> list[tuple[Measured, Measured]]:
    if before.protocol != after.protocol:
        raise ValueError(f"--against: expected the protocol {after.protocol.name}, got {before.protocol.name}")
    first, second = ({measured.name: measured for measured in run.sets} for run in (before, after))
    if first.keys() != second.keys():
        raise ValueError(f"{before.dump}: expected the data sets {sorted(second)}, got {sorted(first)}")
    for name, measured in first.items():
        only = measured.asked ^ second[name].asked
        if only or measured.images != second[name].images:
            raise ValueError(
                f"{before.dump}: expected answers to the same questions about {name} as in {after.dump}, got"
                f" {len(measured.asked)} and {len(second[name].asked)}, of which {len(only)} only one of them answers"
            )
    return [(first[name], second[name]) for name in first]


def _resampled(measured: Measured, counts: NDArray[np.int64], limits: Sequence[int]) -> dict[str, Numbers]:
    """The numbers of each draw; `counts` is how often each image is in it, (R, I)."""
    by_entry = counts[:, measured.image_of].astype(np.float64)
    values = {name: ratio.value(by_entry) for name, ratio in measured.ratios.items()}
    if measured.tables is None:
        return values
    tables = measured.tables
    return resampled_average_precision(tables.truth, tables.detections, counts, limits) | values


def _difference(before: float, after: float, drawn: Numbers) -> Difference:
    known = drawn[np.isfinite(drawn)]
    low, high = np.percentile(known, INTERVAL) if len(known) else (np.nan, np.nan)
    return Difference(before, after, float(low), float(high))


def _means(before: Evaluation, after: Evaluation, drawn: dict[str, dict[str, Numbers]]) -> Differences:
    found: Differences = {}
    for task, means in after.means.items():
        same = [drawn[measured.name] for measured in after.sets if measured.task == task]
        found[f"mean of {len(same)}, {task}"] = {
            name: _difference(
                before.means[task][name], means[name], np.mean([values[name] for values in same], axis=0)
            )
            for name in same[0]
        }
    return found
