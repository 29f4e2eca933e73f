"""An engine of `vision-r1 predict` that answers as it is told, in place of a model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from PIL import Image

from verl_vision_r1.predict import detector

Answering = Callable[[Image.Image, str], str]
"""(resized image, prompt) -> completion."""


class StandInEngine:
    """Answers as `answer` says, and records what it was asked."""

    def __init__(self, answer: Answering, batch: int) -> None:
        self.answer, self.batch = answer, batch
        self.asked: list[tuple[tuple[int, int], str]] = []
        self.calls: list[int] = []

    def __call__(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[str]:
        self.asked += [(image.size, text) for image, text in zip(images, texts, strict=True)]
        self.calls.append(len(texts))
        return [self.answer(image, text) for image, text in zip(images, texts, strict=True)]


@contextmanager
def answering(answer: Answering, batch: int = 8) -> Iterator[StandInEngine]:
    """Every detector that is made meanwhile has this engine."""
    engine = StandInEngine(answer, batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(detector.ENGINES, "transformers", lambda loading: engine)
        yield engine
