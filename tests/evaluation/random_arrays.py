"""Random ground truth and predictions."""

import numpy as np

from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

SIDE = 100.0


def boxes(generator: np.random.Generator, count: int) -> np.ndarray:
    corners = generator.uniform(0, SIDE, (count, 2, 2))
    return np.hstack([corners.min(axis=1), corners.max(axis=1) + 1])


def scene(
    seed: int, images: int = 12, categories: int = 3, objects: int = 60, predictions: int = 80, crowds: float = 0.1
) -> tuple[GroundTruth, Detections]:
    """Random objects, and predictions of which most are near an object."""
    generator = np.random.default_rng(seed)
    true = boxes(generator, objects)
    truth = GroundTruth(
        images=tuple(f"image {index}" for index in range(images)),
        categories=tuple(f"category {index}" for index in range(categories)),
        image=generator.integers(0, images, objects),
        category=generator.integers(0, categories, objects),
        boxes=true,
        areas=(true[:, 2:] - true[:, :2]).prod(axis=1),
        crowd=generator.random(objects) < crowds,
        files=("",) * images,
    )
    near = generator.integers(0, objects, predictions)
    moved = true[near] + generator.normal(0, 4, (predictions, 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
    return truth, Detections(
        image=truth.image[near],
        category=np.where(
            generator.random(predictions) < 0.9,
            truth.category[near],
            generator.integers(0, categories, predictions),
        ),
        boxes=moved,
        scores=generator.random(predictions).round(1),
    )
