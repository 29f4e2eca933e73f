"""A sampler for verl's training data that draws by difficulty.

verl 0.8 removed `data.sampler` and `AbstractCurriculumSampler`; its V1 trainer knows random and sequential order only.
Our trainer modes therefore give its data loader this sampler: the key `vision_r1.sampler`. The order of an epoch is a
function of (weights, seed, epoch), and the data loader saves epoch and position with the checkpoint, so a resumed run
draws what it would have drawn. One process draws for all ranks.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from verl_vision_r1.data.difficulty import identity_of, read_difficulty
from verl_vision_r1.settings import Sampling
from verl_vision_r1.shown import shown

LEAST: Final = 0.05
"""Least weight of a sample relative to one of medium difficulty, so that solved samples are still seen."""


class DifficultySampler(Sampler[int]):
    """Indices of training samples, drawn by weight.

    An epoch has as many draws as there are samples with a weight above 0. Each sample is drawn about as often as its
    weight says, rounded down or up; with equal weights each is drawn once.

    Args:
        weights: (N,) weight of each sample, at least 0.
        seed: Random seed.

    Example:
        >>> sorted(DifficultySampler(np.array([0.0, 1.0, 1.0, 1.0]), seed=0))
        [1, 2, 3]
    """

    def __init__(self, weights: NDArray[np.float64], seed: int) -> None:
        self.weights = weights
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return int(np.count_nonzero(self.weights))

    def __iter__(self) -> Iterator[int]:
        draws = Draws(self, self.epoch)
        self.epoch += 1
        return draws

    def order(self, epoch: int) -> list[int]:
        """The indices of an epoch, from 0."""
        generator = np.random.default_rng([self.seed, epoch])
        positions = (np.arange(len(self)) + generator.uniform(0.001, 0.999)) / len(self)
        drawn = np.searchsorted(np.cumsum(self.weights) / self.weights.sum(), positions)
        return generator.permutation(drawn).tolist()  # type: ignore[no-any-return]


class Draws(Iterator[int]):
    """The draws of one epoch, with a state that verl's data loader saves and restores."""

    def __init__(self, sampler: DifficultySampler, epoch: int) -> None:
        self.sampler = sampler
        self.epoch = epoch
        self.drawn = 0
        self.indices = sampler.order(epoch)

    def __next__(self) -> int:
        if self.drawn == len(self.indices):
            raise StopIteration
        self.drawn += 1
        return self.indices[self.drawn - 1]

    def state_dict(self) -> dict[str, Any]:
        """Epoch and number of draws."""
        return {"epoch": self.epoch, "drawn": self.drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the draws of a state."""
        self.epoch, self.drawn = int(state["epoch"]), int(state["drawn"])
        self.indices = self.sampler.order(self.epoch)
        self.sampler.epoch = self.epoch + 1


def make_sampler(sampling: Sampling, dataset: Any, seed: int | None, batch: int) -> DifficultySampler | None:
    """The sampler of a run, or None for verl's own.

    Args:
        sampling: The key `vision_r1.sampler`.
        dataset: verl's training dataset.
        seed: `data.seed`; None counts as 0.
        batch: `data.train_batch_size`.

    Raises:
        FileNotFoundError: The difficulty file does not exist.
        ValueError: It has none of the samples, or too few of them are left for a batch.
    """
    if sampling.draw == "uniform" or sampling.difficulty is None:
        return None
    known = {entry.identity: getattr(entry, sampling.measure) for entry in read_difficulty(sampling.difficulty)}
    columns = dataset.dataframe.select_columns(["data_source", "extra_info"])
    values = np.array([known.get(identity_of(row["data_source"], row["extra_info"]), np.nan) for row in columns])
    if np.isnan(values).all():
        raise ValueError(
            f"vision_r1.sampler.difficulty: expected samples of data.train_files in {sampling.difficulty}, got others,"
            f" such as {shown(next(iter(known)))}"
        )
    sampler = DifficultySampler(weights_of(values, sampling), seed or 0)
    if len(sampler) < batch:
        raise ValueError(
            f"vision_r1.sampler.range: expected at least data.train_batch_size={batch} samples with {sampling.measure}"
            f" between {sampling.range[0]} and {sampling.range[1]}, got {len(sampler)} of {len(values)}"
        )
    print(f"vision_r1.sampler: draw={sampling.draw}, {len(sampler)} of {len(values)} samples")
    return sampler


def weights_of(values: NDArray[np.float64], sampling: Sampling) -> NDArray[np.float64]:
    """The weight of each sample.

    Args:
        values: (N,) measure of each sample; NaN if it is unknown.
        sampling: `drop`: 1 strictly within the range, else 0. `weight`: 1 in the middle of the range, falling to
            `LEAST` at its ends and beyond. An unknown sample has the mean weight of the others, and is never dropped.

    Returns:
        (N,) weights.

    Example:
        >>> values = np.array([0.0, 0.5, 1.0, np.nan])
        >>> [weights_of(values, Sampling(draw)).round(3).tolist() for draw in ("drop", "weight")]
        [[0.0, 1.0, 0.0, 1.0], [0.05, 1.0, 0.05, 0.367]]
    """
    low, high = sampling.range
    if sampling.draw == "drop":
        return np.where(np.isnan(values) | ((low < values) & (values < high)), 1.0, 0.0)
    place = np.clip((values - low) / (high - low), 0.0, 1.0)
    weights = np.maximum(4 * place * (1 - place), LEAST)
    return np.where(np.isnan(values), np.nanmean(weights), weights)
