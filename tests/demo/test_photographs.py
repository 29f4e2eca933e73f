"""The demo on images of the user's own: augmentation, held-out images, and a model that learns them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from verl_vision_r1 import Target
from verl_vision_r1.data.parquet import Row, make_row
from verl_vision_r1.demo import run
from verl_vision_r1.demo.augmentation import HIDDEN, VISIBLE, augmented
from verl_vision_r1.demo.plan import Demo

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
TARGET = Target([[20, 30, 80, 90], [120, 40, 180, 70], [60, 110, 100, 150]], tuple(COLOURS), width=200, height=160)


def painted(target: Target, size: tuple[int, int] = (200, 160)) -> Image.Image:
    """A black image in which each object fills its box."""
    image = Image.new("RGB", size)
    boxes = target.boxes * np.tile(np.divide(size, (target.width, target.height)), 2)
    for box, label in zip(boxes, target.labels, strict=True):
        image.paste(COLOURS[label], tuple(box.astype(int)))
    return image


@pytest.mark.parametrize("size", [(200, 160), (100, 80)])
def test_boxes_follow_the_objects(size: tuple[int, int]) -> None:
    generator, counts, reflected = np.random.default_rng(0), set(), 0
    for _ in range(200):
        image, target = augmented(painted(TARGET, size), TARGET, generator)
        assert image.size == (target.width, target.height)
        pixels = np.asarray(image).astype(int)
        for box, label in zip(target.boxes, target.labels, strict=True):
            channel = list(COLOURS).index(label)
            purest = pixels[..., channel] - np.delete(pixels, channel, axis=2).max(axis=2) > 60
            rows, columns = np.nonzero(purest)
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(found - box).max() <= 1.5, (found, box)
        counts.add(len(target.boxes))
        centres = dict(zip(target.labels, target.boxes[:, 0], strict=True))
        reflected += "red" in centres and "green" in centres and centres["red"] > centres["green"]
    assert counts == {2, 3}  # Crops with and without an object.
    assert 20 < reflected < 180


def test_no_object_is_half_visible() -> None:
    """An object is annotated if it is visible, and hardly visible if it is not."""
    generator = np.random.default_rng(1)
    for _ in range(200):
        image, target = augmented(painted(TARGET), TARGET, generator)
        pixels = np.asarray(image).astype(int)
        for label, whole in zip(TARGET.labels, TARGET.boxes, strict=True):
            channel = list(COLOURS).index(label)
            seen = (pixels[..., channel] - np.delete(pixels, channel, axis=2).max(axis=2) > 60).sum()
            fraction = seen / ((whole[2] - whole[0]) * (whole[3] - whole[1]))
            assert fraction >= VISIBLE - 0.05 if label in target.labels else fraction <= HIDDEN + 0.05


def test_an_image_that_no_crop_suits_is_whole() -> None:
    everywhere = Target([[0, 0, 200, 160]], ["red"], width=200, height=160)
    small = replace(everywhere, boxes=np.array([[99.0, 79.0, 101.0, 81.0]]))
    for target in (everywhere, small):
        image, changed = augmented(painted(target), target, np.random.default_rng(2))
        assert len(changed.boxes) == 1
        assert image.size == (changed.width, changed.height)


def rows(folder: Path, images: int = 12) -> list[Row]:
    """Two questions per image: the object of each of two colours."""
    made = []
    for index in range(images):
        left = 10 + 8 * index
        target = Target([[left, 30, left + 60, 90], [60, 100, 100, 150]], ("red", "blue"), width=200, height=160)
        image = folder / f"{index}.png"
        painted(target).save(image)
        for place, label in enumerate(target.labels):
            alone = replace(target, boxes=target.boxes[[place]], labels=(label,), categories=(label,))
            facts = {"image_id": str(index), "split": "train", "index": len(made), "question": "category"}
            made.append(
                make_row(data_source="x/detection", image=image, target=alone, prompt=f"<image>{label}", **facts)
            )
    return made


def test_held_out_images_are_in_no_batch(tmp_path: Path) -> None:
    photographs = pytest.importorskip("verl_vision_r1.demo.photographs")
    made = photographs.Photographs(rows(tmp_path), seed=0)
    held_out = {photograph.row["extra_info"]["image_id"] for photograph in made.held_out}
    learnt = {photograph.row["extra_info"]["image_id"] for photograph in made.learnt}
    assert (len(held_out), len(learnt), held_out & learnt) == (1, 11, set())
    assert len(made.held_out) == 2  # Both questions about an image.
    seeds = [photographs.Photographs(rows(tmp_path), seed).held_out[0].row for seed in range(5)]
    assert len({row["extra_info"]["image_id"] for row in seeds}) > 1


def test_one_image_is_learnt_and_held_out(tmp_path: Path) -> None:
    photographs = pytest.importorskip("verl_vision_r1.demo.photographs")
    made = photographs.Photographs(rows(tmp_path, images=1), seed=0)
    assert len(made.learnt) == len(made.held_out) == 2


def test_training_on_photographs_has_its_own_settings_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    pytest.importorskip("verl_vision_r1.demo.photographs")
    own = "actor_rollout_ref.actor.optim.lr=2e-4"
    command = run.on_photographs(Demo(tmp_path, 1, overrides=(own,))).command()
    rates = [part for part in command if "optim.lr" in part]
    assert rates == ["actor_rollout_ref.actor.optim.lr=1e-4", own]  # Hydra takes the last one.
