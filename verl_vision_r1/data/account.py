"""What became of a dataset: which of its annotations are used, and why the others are not."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from verl_vision_r1.data.readers.problems import Reading
from verl_vision_r1.data.readers.samples import Sample

USED: Final = "used"
UNASKED: Final = "no question about it"
UNCERTAIN: Final = "category with a crowd or a skipped box"


@dataclass(frozen=True)
class Account:
    """Summary of one dataset.

    Attributes:
        source: Its name and location.
        images: Number of images in the dataset.
        samples: Samples by file.
        boxes: Boxes in these samples.
        negatives: Negative samples among them.
        hard_negatives: Negative samples that were drawn by `Source.hard_negatives`, before any limit.
        left_out: Images and samples left out, by reason.
        annotations: Annotations of the dataset (boxes; or questions, rows or images if it has no boxes) that are
            `USED`, and those left out by reason. Each is counted once.
        clipped: Boxes that were clipped to their images because of `clip`.
        notes: What else the reader left out, in words.
    """

    source: str
    images: int
    samples: dict[str, int]
    boxes: int
    negatives: int
    left_out: dict[str, int]
    annotations: dict[str, int] = field(default_factory=dict)
    clipped: int = 0
    notes: tuple[str, ...] = ()
    hard_negatives: int = 0

    def in_words(self) -> str:
        """The account in one line."""
        counts = {**self.left_out, **{f"annotations: {reason}": count for reason, count in self.annotations.items()}}
        counted = ", ".join(f"{reason}: {count}" for reason, count in counts.items())
        return f"{self.source} has images: {self.images}, {counted or 'no annotations'}"


@dataclass(frozen=True)
class Prepared:
    """Result of `prepare`.

    Attributes:
        samples: Samples by file.
        accounts: A summary of each dataset.
        defects: Number of defective boxes and images that were skipped.
    """

    samples: dict[str, int]
    accounts: tuple[Account, ...]
    defects: int

    @property
    def boxes(self) -> int:
        """Number of boxes in all files."""
        return sum(account.boxes for account in self.accounts)


class Ledger:
    """Follows the annotations of one dataset from its reader to the files.

    Attributes:
        reading: The account of the reader.
        left_out: Images and samples left out, by reason.
        hard_negatives: Hard negative samples that were drawn.
    """

    def __init__(self, reading: Reading) -> None:
        """Start after the reader's account."""
        self.reading = reading
        self.left_out: Counter[str] = Counter()
        self.hard_negatives = 0
        self._fates: list[str] = []

    def numbered(self, samples: Iterable[Sample]) -> list[Sample]:
        """The samples, with a number for each of their annotations."""
        found = []
        for sample in samples:
            count = len(sample.target.boxes) if sample.annotations is None else sample.annotations
            start = len(self._fates)
            self._fates.extend([UNASKED] * count)
            found.append(replace(sample, uses=range(start, start + count)))
        return found

    def drop(self, uses: Sequence[int], reason: str) -> None:
        """Give the reason why annotations are not used, unless a written sample uses them all the same."""
        for number in uses:
            self._fates[number] = reason

    def leave_out(self, samples: Sequence[Sample], reason: str) -> None:
        """Count samples that are left out, and give the reason for their annotations."""
        self.left_out[reason] += len(samples)
        for sample in samples:
            self.drop(sample.uses, reason)

    def use(self, samples: Iterable[Sample]) -> None:
        """Count the annotations of written samples. To be called last."""
        for sample in samples:
            for number in sample.uses:
                self._fates[number] = USED

    def lines(self) -> dict[str, int]:
        """The number of annotations by what became of them, `USED` first."""
        counts = Counter(self._fates) + self.reading.left_out
        return {reason: counts[reason] for reason in (USED, *sorted(set(counts) - {USED})) if counts[reason]}
