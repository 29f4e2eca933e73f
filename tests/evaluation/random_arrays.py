"""Tables made up at random."""

import numpy as np

from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

SIDE = 100.0


def boxes(generator: np.random.Generator, count: int) -> np.ndarray:
    corners = generator.uniform(0, SIDE, (count, 2, 2))
    return np.hstack([corners.min(axis=1), corners.max(axis=1) + 1])


def scene(
    seed: int, images: int = 12, categories: int = 3, objects: int = 60, said: int = 80, crowds: float = 0.1
) -> tuple[GroundTruth, Detections]:
    """Objects, and predictions of which most are near one of them."""
    generator = np.random.default_rng(seed)
    there = boxes(generator, objects)
    truth = GroundTruth(
        images=tuple(f"image {index}" for index in range(images)),
        categories=tuple(f"category {index}" for index in range(categories)),
        image=generator.integers(0, images, objects),
        category=generator.integers(0, categories, objects),
        boxes=there,
        areas=(there[:, 2:] - there[:, :2]).prod(axis=1),
        crowd=generator.random(objects) < crowds,
        files=("",) * images,
    )
    near = generator.integers(0, objects, said)
    moved = there[near] + generator.normal(0, 4, (said, 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
    return truth, Detections(
        image=truth.image[near],
        category=np.where(generator.random(said) < 0.9, truth.category[near], generator.integers(0, categories, said)),
        boxes=moved,
        scores=generator.random(said).round(1),
    )
