"""The demo on images of the user's own: samples, and an initial model that is taught on them.

The demo's model knows shapes of 24 to 52 pixels in images of 140 by 140. The images are resized to as few pixels, so
that it only has to learn what the objects look like, and not the positions of further visual tokens.
"""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from verl_vision_r1.demo.shapes import SIDE
from verl_vision_r1.demo.teach import BATCH, Example, Examples, perfect_answer, teach
from verl_vision_r1.targets import Target

if TYPE_CHECKING:
    from verl_vision_r1.data.prepare import Prepared

MAX_PIXELS: Final = SIDE * SIDE
"""As many as a drawn scene has."""
MAX_BOXES: Final = 6
"""Samples with more objects are dropped: their completions would exceed the demo's response length."""
STORED_SIDE: Final = 420
"""Longest side of a decoded image: three times that of a sample, so that a crop of it is still sharp."""
HELD_OUT: Final = 0.1
"""Fraction of the training images whose loss decides which weights are kept."""
RATE: Final = 1e-3
"""Maximum learning rate of the supervised training."""
OVERRIDES: Final = (
    "actor_rollout_ref.rollout.n=16",
    "actor_rollout_ref.rollout.temperature=0.5",
    "actor_rollout_ref.actor.optim.lr=1e-4",
)
"""Of the training run. There is no habit to undo, only boxes to move by a few pixels: a weak signal, which takes more
completions per prompt and a lower learning rate than the demo's. At a temperature of 1 training mostly makes unlikely
completions rarer, which a greedy validation does not show (docs/background/photographs.md)."""


def prepare_photographs(folder: Path, data: Path) -> "Prepared":
    """Prepare a dataset with one question per image and category.

    Args:
        folder: Output folder for `rows/`.
        data: A folder in COCO or Pascal VOC layout.

    Raises:
        ValueError: The dataset is invalid, or no sample has at most `MAX_BOXES` objects.
    """
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.data.readers.sources import guess

    name = guess(str(data))
    source = Source(name, str(data), ask="category", max_boxes_per_sample=MAX_BOXES, alias=folder.name)
    return prepare([source], folder / "rows", Writing(max_pixels=MAX_PIXELS))


def teach_photographs(
    model: Path, rows: list[dict[str, Any]], steps: int, seed: int, report: Callable[[int, float], None]
) -> int:
    """Teach a model a dataset in place; of all weights, those with the lowest loss on held-out images are kept.

    Args:
        model: Folder of the model.
        rows: Rows of `train.parquet`.
        steps: Maximum number of updates.
        seed: Seed of the held-out images, the order and the augmentation.
        report: Called with each step and its loss.

    Returns:
        The number of updates that were made.
    """
    photographs = Photographs(rows, seed)
    return teach(model, photographs.batches, steps, report, RATE, photographs.held_out_examples)


class Photographs:
    """Supervised examples of prepared rows.

    Args:
        rows: Rows of a parquet file.
        seed: Seed of the held-out images, the order and the augmentation.
    """

    def __init__(self, rows: list[dict[str, Any]], seed: int) -> None:
        names = sorted({_path(row) for row in rows})
        random.Random(seed).shuffle(names)
        held_out = set(names[: max(1, round(HELD_OUT * len(names)))])
        self.held_out = [Photograph(row) for row in rows if _path(row) in held_out]
        self.learnt = [Photograph(row) for row in rows if _path(row) not in held_out] or self.held_out
        self.seed = seed

    def held_out_examples(self, examples: Examples) -> list[Example]:
        """The unchanged images that no batch contains."""
        return [photograph.example(examples) for photograph in self.held_out]

    def batches(self, examples: Examples) -> Iterator[list[Example]]:
        """Endless batches of augmented images. The next one is made while the model learns from the last."""
        generator = np.random.default_rng(self.seed)
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(self._batch, examples, generator)
            while True:
                batch = following.result()
                following = pool.submit(self._batch, examples, generator)
                yield batch

    def _batch(self, examples: Examples, generator: np.random.Generator) -> list[Example]:
        chosen = generator.integers(0, len(self.learnt), BATCH)
        return [self.learnt[index].example(examples, generator) for index in chosen]


class Photograph:
    """One sample and its image, which is decoded once.

    Args:
        row: A row of a parquet file.
    """

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row
        self.question = row["prompt"][0]["content"].removeprefix("<image>")
        self.target = Target.from_json(row["reward_model"]["ground_truth"])

    @cached_property
    def image(self) -> Any:
        """The image, its longer side at most `STORED_SIDE`."""
        from PIL import Image

        with Image.open(_path(self.row)) as opened:
            image = opened.convert("RGB")
        image.thumbnail((STORED_SIDE, STORED_SIDE))
        return image

    def example(self, examples: Examples, generator: np.random.Generator | None = None) -> Example:
        """The sample with the correct completion; augmented if there is a generator."""
        from qwen_vl_utils import fetch_image

        from verl_vision_r1.demo.augmentation import augmented

        image, target = (
            (self.image, self.target) if generator is None else augmented(self.image, self.target, generator)
        )
        limits = {key: value for key, value in self.row["images"][0].items() if key.endswith("_pixels")}
        resized = fetch_image({"type": "image", "image": image, **limits})
        return examples.make(resized, self.question, perfect_answer(target, resized.size))


def _path(row: dict[str, Any]) -> str:
    return str(row["images"][0]["image"])
