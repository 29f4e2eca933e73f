"""The difficulty file: how well a model answers each sample. `vision-r1 difficulty` writes it.

`{"samples": [{"data_source": ..., "image_id": ..., "question": ..., "subject": ..., "rollouts": 8, "mean": 0.4,
"spread": 0.2, "acc": 0.25}]}`. `prepare --difficulty` and the sampler read it.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from verl_vision_r1.data.readers.entries import load_json
from verl_vision_r1.settings import MEASURES
from verl_vision_r1.shown import shown

Identity = tuple[str, str, str, str]
"""`data_source`, `image_id`, `question` and `subject` of a sample."""
FORM = "the JSON file of `vision-r1 difficulty`"


@dataclass(frozen=True)
class SampleDifficulty:
    """The rollouts of one sample.

    Attributes:
        data_source: The sample's data set and task.
        image_id: The image's name in the data set.
        question: Kind of question, one of `prompts.QUESTIONS`.
        subject: The category or expression that the question asks about.
        rollouts: Number of rollouts.
        mean: Mean reward.
        spread: Standard deviation of the reward; 0 if all rollouts have the same.
        acc: Fraction of entirely correct rollouts, in [0, 1].
    """

    data_source: str
    image_id: str
    question: str
    subject: str
    rollouts: int
    mean: float
    spread: float
    acc: float

    @property
    def identity(self) -> Identity:
        """What identifies the sample."""
        return self.data_source, self.image_id, self.question, self.subject


def identity_of(data_source: Any, extra_info: Any) -> Identity:
    """The identity of a sample of a parquet file, as its rollouts have it."""
    extra = extra_info or {}
    return str(data_source), *(str(extra.get(name) or "") for name in ("image_id", "question", "subject"))  # type: ignore[return-value]


def read_difficulty(file: Path) -> list[SampleDifficulty]:
    """Read a difficulty file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is not a file of `vision-r1 difficulty`.
    """
    document = load_json(file, FORM)
    entries = document.get("samples") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{file}: expected {FORM}, got {shown(document)}")
    return [_sample(entry, f"{file} sample {index}") for index, entry in enumerate(entries)]


def _sample(entry: Any, where: str) -> SampleDifficulty:
    texts = ("data_source", "image_id", "question", "subject")
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in texts):
        raise ValueError(f"{where}: expected texts in the keys {', '.join(texts)}, got {shown(entry)}")
    for name in ("rollouts", *MEASURES):
        value = entry.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{where}: {name}: expected a number, got {shown(value)}")
    return SampleDifficulty(**{name: entry[name] for name in (*texts, "rollouts", *MEASURES)})


def by_image(samples: list[SampleDifficulty], measure: str) -> dict[str, float]:
    """The mean of a measure over the samples of each image.

    Example:
        >>> sample = SampleDifficulty("coco/detection", "7", "category", "cat", 8, 0.4, 0.2, 0.5)
        >>> by_image([sample], "acc")
        {'7': 0.5}
    """
    values: dict[str, list[float]] = {}
    for sample in samples:
        values.setdefault(sample.image_id, []).append(getattr(sample, measure))
    return {image: fmean(found) for image, found in values.items()}
