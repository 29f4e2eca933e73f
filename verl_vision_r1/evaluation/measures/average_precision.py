"""COCO's average precision and recall, computed by a library that is made for it, and how much the order changes them.

COCO ranks predictions by score. Where scores are equal, as with a constant score all are, the order of the images and
of the predictions decides, and another order gives another AP: `spread` says how far apart they lie.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.data.progress import progress as progress_bar
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

LIBRARIES: Final = ("faster-coco-eval", "pycocotools")
SIZES: Final = ("small", "medium", "large")
LIMITS: Final = (1, 10, 100)
AT_50, AT_75 = 0, 5


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """COCO's measures of one set of predictions, all in [0, 1], and NaN where there is no object to be found.

    Attributes:
        values: AP, AP50, AP75, AP_small, AP_medium, AP_large, then AR and each detection limit (AR1, AR10, AR100),
            AR_small, AR_medium, AR_large.
        by_category: (K,) AP of each category.
        by_category_50: (K,) AP50 of each category.
        precision: (K, 101) interpolated precision at the recalls 0, 0.01, ..., 1, at IoU 0.5, with the last limit.
    """

    values: dict[str, float]
    by_category: NDArray[np.float64]
    by_category_50: NDArray[np.float64]
    precision: NDArray[np.float64]


def limit_of_ap(limits: Sequence[int]) -> int:
    """The limit that AP takes: 100 where that is among them, else the last, which all other values take."""
    return 100 if 100 in limits else max(limits)


def average_precision(
    truth: GroundTruth, detections: Detections, limits: Sequence[int] = LIMITS, library: str = LIBRARIES[0]
) -> AveragePrecision:
    """COCO's measures.

    Args:
        truth: I images, K categories, M objects.
        detections: N predictions in those images; none is an AP of 0.
        limits: How many predictions count in one image and category, those with the highest scores. As in COCO's own
            summary, AP takes the limit 100 where that is among them; all else takes the last.
        library: One of `LIBRARIES`; they agree.

    Raises:
        ValueError: The library is unknown or not installed, or a limit is no positive number.

    Source:
        Lin et al., arXiv 1405.0312, and COCO's detection evaluation as pycocotools computes it.

    Example:
        >>> boxes = np.array([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 60.0, 40.0]])
        >>> one = np.zeros(2, np.intp)
        >>> truth = GroundTruth(("a.jpg",), ("cat",), one, one, boxes, np.array([100.0, 1600.0]), one > 0, ())
        >>> found = average_precision(truth, Detections(one[:1], one[:1], boxes[:1], np.ones(1)))
        >>> found.values["AP_small"], found.values["AP_medium"], found.values["AR1"]
        (1.0, 0.0, 0.5)
    """
    limits = sorted(set(limits))
    if not limits or limits[0] < 1:
        raise ValueError(f"limits of detections: expected positive whole numbers such as {LIMITS}, got {limits}")
    precision, recall = _evaluated(truth, detections, limits, library)
    last, at_100 = precision[..., -1], precision[..., limits.index(limit_of_ap(limits))]
    return AveragePrecision(
        values=_summary(precision, recall, limits),
        by_category=_known(at_100[:, :, :, 0]).mean(axis=(0, 1)),
        by_category_50=_known(last[AT_50, :, :, 0]).mean(axis=0),
        precision=_known(last[AT_50, :, :, 0]).T,
    )


def spread(
    truth: GroundTruth,
    detections: Detections,
    limits: Sequence[int] = LIMITS,
    permutations: int = 5,
    seed: int = 0,
    library: str = LIBRARIES[0],
    given: AveragePrecision | None = None,
    progress: Callable[..., Any] = progress_bar,
) -> dict[str, tuple[float, float]]:
    """How much COCO's measures depend on the order in which equal scores come.

    Args:
        truth: I images, K categories, M objects.
        detections: N predictions in the order in which they were said.
        limits: As for `average_precision`.
        permutations: How many times images and predictions are put into another order at random.
        seed: Decides these orders.
        library: One of `LIBRARIES`.
        given: The measures of the order given, where they are known.
        progress: Wraps what is looped over, to show how far it is.

    Returns:
        For each of the measures the least and the greatest value, over these orders and the one given.

    Raises:
        ValueError: As `average_precision`.
    """
    generator = np.random.default_rng(seed)
    found = [(given or average_precision(truth, detections, limits, library)).values]
    for _ in progress(range(permutations), desc="orders of equal scores", unit="order"):
        found.append(average_precision(*_reordered(truth, detections, generator), limits, library).values)
    by_name = {name: [values[name] for values in found] for name in found[0]}
    return {name: (min(values), max(values)) for name, values in by_name.items()}


def _reordered(
    truth: GroundTruth, detections: Detections, generator: np.random.Generator
) -> tuple[GroundTruth, Detections]:
    """The same images and predictions in another order."""
    order = generator.permutation(len(truth.images))
    place = np.argsort(order)
    images, files = (tuple(names[index] for index in order) if names else () for names in (truth.images, truth.files))
    shuffled = detections.take(generator.permutation(len(detections.scores)))
    return (
        replace(truth, images=images, files=files, image=place[truth.image]),
        replace(shuffled, image=place[shuffled.image]),
    )


def to_xywh(boxes: Boxes) -> Boxes:
    """COCO's boxes: left, top, width, height, in pixels; corners the wrong way round are a side of 0."""
    return np.hstack([boxes[:, :2], np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)])


def _evaluated(
    truth: GroundTruth, detections: Detections, limits: list[int], library: str
) -> tuple[NDArray[Any], ...]:
    """The library's precision [IoU, recall, category, area, limit] and recall, the same without the recall.

    Both libraries take images and categories by rising id and keep the order of the predictions.
    """
    dataset, evaluation = _classes(library)
    given = to_xywh(detections.boxes)
    with contextlib.redirect_stdout(io.StringIO()):
        pair = dataset(), dataset()
        objects = _annotations(truth, to_xywh(truth.boxes), area=truth.areas, iscrowd=truth.crowd.astype(int))
        said = _annotations(detections, given, area=given[:, 2] * given[:, 3], score=detections.scores)
        for part, annotations in zip(pair, (objects, said), strict=True):
            part.dataset = {**_names(truth), "annotations": annotations}
            part.createIndex()
        run = evaluation(*pair, "bbox")
        run.params.maxDets = limits
        run.evaluate()
        run.accumulate()
    return run.eval["precision"], run.eval["recall"]


def _classes(library: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The library's data set and its evaluation."""
    try:
        if library == "faster-coco-eval":
            from faster_coco_eval import COCO, COCOeval_faster

            return COCO, partial(COCOeval_faster, print_function=print)
        if library == "pycocotools":
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval

            return COCO, COCOeval
    except ImportError as error:
        raise ValueError(f'expected {library} installed: pip install "verl-vision-r1[eval]"; got {error}') from error
    raise ValueError(f"library: expected one of {', '.join(LIBRARIES)}, got {library!r}")


def _annotations(table: GroundTruth | Detections, boxes: Boxes, **more: NDArray[Any]) -> list[dict[str, Any]]:
    """A table as COCO writes it, a dictionary for each row; an id of 0 would mean no match."""
    columns = {"image_id": table.image + 1, "category_id": table.category + 1, "bbox": boxes, **more}
    names = ("id", *columns)
    rows = zip(range(1, len(boxes) + 1), *(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _names(truth: GroundTruth) -> dict[str, list[dict[str, Any]]]:
    """The images and the categories as COCO writes them."""
    return {
        "images": [{"id": index + 1} for index in range(len(truth.images))],
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(truth.categories)],
    }


def _summary(precision: NDArray[Any], recall: NDArray[Any], limits: list[int]) -> dict[str, float]:
    """The means that COCO prints."""
    at_100 = limits.index(limit_of_ap(limits))
    parts = {
        "AP": precision[..., 0, at_100],
        "AP50": precision[AT_50, ..., 0, -1],
        "AP75": precision[AT_75, ..., 0, -1],
    }
    parts |= {f"AP_{size}": precision[..., place, -1] for place, size in enumerate(SIZES, start=1)}
    parts |= {f"AR{limit}": recall[..., 0, place] for place, limit in enumerate(limits)}
    parts |= {f"AR_{size}": recall[..., place, -1] for place, size in enumerate(SIZES, start=1)}
    known = {name: part[part > -1] for name, part in parts.items()}
    return {name: float(part.mean()) if part.size else float("nan") for name, part in known.items()}


def _known(values: NDArray[Any]) -> NDArray[np.float64]:
    """The library's values, NaN instead of its -1."""
    return np.where(values < 0, np.nan, values)
