"""How long COCO's measures take by each library, and what is built upon them: other orders, resamples, TIDE, and F1.

    python tests/speed/bench_evaluation.py [--write]     # --write: also into docs/benchmark_evaluation.json

The set is made at random, as large as COCO's validation set and as uneven: a few categories hold most of the objects,
and many images hold few. The libraries take turns, each from our tables to the numbers, so the time that our adapter
needs counts for all; figures and ratios are medians over the rounds, in CPU seconds.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.evaluation.measures.average_precision import LIBRARIES, LIBRARY, average_precision
from verl_vision_r1.evaluation.measures.bootstrap import resampled_average_precision, weights
from verl_vision_r1.evaluation.measures.f1 import match
from verl_vision_r1.evaluation.measures.permutations import spread
from verl_vision_r1.evaluation.measures.published_f1 import category_means, image_means
from verl_vision_r1.evaluation.measures.tide import tide
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "benchmark_evaluation.json"
IMAGES, CATEGORIES, OBJECTS, PREDICTIONS = 5_000, 80, 36_000, 40_000
CATEGORIES_EACH, RIGHT = 3, 0.8
ROUNDS, ORDERS, RESAMPLES = 5, 5, 1_000


def scene(
    images: int = IMAGES, objects: int = OBJECTS, predictions: int = PREDICTIONS
) -> tuple[GroundTruth, Detections]:
    """A set of about three categories an image, and predictions of which four in five are a shifted object."""
    generator = np.random.default_rng(0)
    often = 1 / np.arange(1, CATEGORIES + 1)
    often /= often.sum()
    full = generator.gamma(0.8, 1.0, images)
    image = np.sort(generator.choice(images, objects, p=full / full.sum()))
    shown = generator.choice(CATEGORIES, (images, CATEGORIES_EACH), p=often)
    category = shown[image, generator.integers(0, CATEGORIES_EACH, objects)]
    boxes = _boxes(generator, objects)
    sides = boxes[:, 2:] - boxes[:, :2]
    truth = GroundTruth(
        images=tuple(f"{index:012d}.jpg" for index in range(images)),
        categories=tuple(f"category {index}" for index in range(CATEGORIES)),
        image=image,
        category=category,
        boxes=boxes,
        areas=0.7 * sides.prod(axis=1),
        crowd=generator.random(objects) < 0.01,
        files=(),
    )
    chosen = generator.integers(0, objects, predictions)
    right = generator.random(predictions) < RIGHT
    shifted = boxes[chosen] + 0.08 * generator.normal(0, 1, (predictions, 4)) * np.tile(sides[chosen], 2)
    return truth, Detections(
        image=np.where(right, image[chosen], generator.integers(0, images, predictions)),
        category=np.where(right, category[chosen], generator.choice(CATEGORIES, predictions, p=often)),
        boxes=np.where(right[:, None], shifted, _boxes(generator, predictions)),
        scores=generator.random(predictions).round(2),
    )


def _boxes(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Boxes of 4 to 400 pixels a side, of which many are small."""
    corner = generator.uniform(0, 500, (count, 2))
    return np.hstack([corner, corner + np.exp(generator.normal(4, 1, (count, 2))).clip(4, 400)])


def seconds(call: Callable[[], Any]) -> float:
    """CPU seconds of one call, of all its threads: other processes on the machine do not count."""
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(truth: GroundTruth, said: Detections, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of each library by round; they take turns, after a small set to warm up."""
    taken: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    small = scene(images=10, objects=50, predictions=50)
    for library in LIBRARIES:
        average_precision(*small, library=library)
    for _ in range(rounds):
        for library in LIBRARIES:
            taken[library].append(seconds(lambda library=library: average_precision(truth, said, library=library)))
    return taken


def report() -> dict[str, Any]:
    """All that is measured."""
    truth, said = scene()
    cores = len(os.sched_getaffinity(0))
    taken = compare(truth, said)
    fastest = taken[LIBRARY]
    drawn = weights(IMAGES, RESAMPLES, seed=0)
    found = [average_precision(truth, said, library=library).values for library in LIBRARIES]
    return {
        "machine": f"{platform.machine()}, {cores} core{'s' * (cores > 1)}; Python {platform.python_version()},"
        f" numpy {np.__version__}, " + ", ".join(f"{library} {version(library)}" for library in LIBRARIES),
        "set": {"images": IMAGES, "categories": CATEGORIES, "objects": OBJECTS, "predictions": PREDICTIONS},
        "rounds": ROUNDS,
        "unit": "CPU seconds of all threads",
        "seconds": {library: statistics.median(times) for library, times in taken.items()},
        "times the fastest": {
            library: statistics.median(slow / fast for fast, slow in zip(fastest, times, strict=True))
            for library, times in taken.items()
        },
        "greatest difference of a measure": max(
            abs(found[0][name] - other[name]) for other in found[1:] for name in found[0]
        ),
        f"seconds of the spread over {ORDERS} orders": seconds(lambda: spread(truth, said, permutations=ORDERS)),
        f"seconds of {RESAMPLES} resamples": seconds(lambda: resampled_average_precision(truth, said, drawn)),
        "seconds of TIDE's errors": seconds(lambda: tide(truth, said)),
        "seconds of F1": seconds(lambda: match(truth, said)),
        "seconds of F1 by averages": seconds(lambda: (category_means(truth, said), image_means(truth, said))),
    }


def main() -> None:
    """Measure and print the results; write them where told to."""
    parser = argparse.ArgumentParser(description="Time the evaluation.")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.parent.name}/{RESULTS.name}")
    write = parser.parse_args().write
    results = json.dumps(report(), indent=1)
    if write:
        RESULTS.write_text(results + "\n", encoding="utf-8")
    print(results)


if __name__ == "__main__":
    main()
