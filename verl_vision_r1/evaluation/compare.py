"""Compare two runs on the same images, with a confidence interval for every difference.

The paired bootstrap: images are resampled with replacement, the same for both runs. The interval is the middle 95 % of
the differences. An interval that includes 0 is no evidence of a change.
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
from verl_vision_r1.shown import shown

INTERVAL: Final = (2.5, 97.5)
FEW: Final = 20
"""With fewer images an interval is unreliable."""


@dataclass(frozen=True)
class Difference:
    """One metric of two runs.

    Attributes:
        before: Value of the first run.
        after: Value of the second run.
        low: Lower end of the 95 % CI of the difference.
        high: Its upper end.
    """

    before: float
    after: float
    low: float
    high: float

    @property
    def change(self) -> float:
        """`after` minus `before`."""
        return self.after - self.before

    @property
    def excludes_zero(self) -> bool:
        """Whether the 95 % CI excludes 0."""
        return self.low > 0 or self.high < 0

    def as_dict(self) -> dict[str, float | bool]:
        """For JSON."""
        return {**asdict(self), "change": self.change, "excludes_zero": self.excludes_zero}


Differences = dict[str, dict[str, Difference]]
"""By data set and metric; for tasks with several data sets also of their mean."""


def compare(before: Evaluation, after: Evaluation, resamples: int = 1000, seed: int = 0) -> Differences:
    """Compare two runs, every metric of every data set.

    Args:
        before: The first run.
        after: The second run, by the same protocol on the same images.
        resamples: Number of bootstrap resamples.
        seed: Random seed of the resamples.

    Raises:
        ValueError: The data sets, their questions or the protocols differ.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), the percentile interval of a paired difference.
    """
    pairs = _paired_sets(before, after)
    limits, library = after.protocol.limits, after.effort.library
    resampled: dict[str, dict[str, Numbers]] = {}
    for index, (first, second) in enumerate(pairs):
        counts = weights(len(first.images), resamples, seed + index)
        runs = [_resampled(measured, counts, limits, library) for measured in (first, second)]
        # All resamples of a single image are equal: the interval is undefined.
        known = 1.0 if len(first.images) > 1 else np.nan
        resampled[first.name] = {name: known * (runs[1][name] - runs[0][name]) for name in runs[0]}
    found = {
        first.name: {
            name: _difference(first.values[name], second.values[name], values)
            for name, values in resampled[first.name].items()
        }
        for first, second in pairs
    }
    return found | _means(before, after, resampled)


def _paired_sets(before: Evaluation, after: Evaluation) -> list[tuple[Measured, Measured]]:
    if before.protocol != after.protocol:
        raise ValueError(f"--against: expected the protocol {after.protocol.name}, got {before.protocol.name}")
    first, second = ({measured.name: measured for measured in run.sets} for run in (before, after))
    if first.keys() != second.keys():
        raise ValueError(
            f"{before.predictions}: expected the data sets {shown(sorted(second))}, got {shown(sorted(first))}"
        )
    for name, measured in first.items():
        only = measured.asked ^ second[name].asked
        if only or measured.images != second[name].images:
            raise ValueError(
                f"{before.predictions}: expected predictions for the same questions of {name} as in"
                f" {after.predictions}, got {len(measured.asked)} and {len(second[name].asked)} questions, {len(only)}"
                " of them in only one of the files"
            )
    return [(first[name], second[name]) for name in first]


def _resampled(
    measured: Measured, counts: NDArray[np.int64], limits: Sequence[int], library: str
) -> dict[str, Numbers]:
    """The metrics of each resample; `counts` is how often it contains each image, (R, I)."""
    by_entry = counts[:, measured.image_of].astype(np.float64)
    values = {name: ratio.value(by_entry) for name, ratio in measured.ratios.items()}
    if measured.tables is None:
        return values
    tables = measured.tables
    return resampled_average_precision(tables.truth, tables.detections, counts, limits, library) | values


def _difference(before: float, after: float, resampled: Numbers) -> Difference:
    known = resampled[np.isfinite(resampled)]
    low, high = np.percentile(known, INTERVAL) if len(known) else (np.nan, np.nan)
    return Difference(before, after, float(low), float(high))


def _means(before: Evaluation, after: Evaluation, resampled: dict[str, dict[str, Numbers]]) -> Differences:
    found: Differences = {}
    for task, means in after.means.items():
        same = [resampled[measured.name] for measured in after.sets if measured.task == task]
        found[f"mean of {len(same)}, {task}"] = {
            name: _difference(
                before.means[task][name], means[name], np.mean([values[name] for values in same], axis=0)
            )
            for name in same[0]
        }
    return found
