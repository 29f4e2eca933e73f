"""COCO's average precision and recall by hotcoco, faster-coco-eval or pycocotools."""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth

LIBRARIES: Final = {
    "hotcoco": ("hotcoco:COCO", "hotcoco:COCOeval"),
    "faster-coco-eval": ("faster_coco_eval:COCO", "faster_coco_eval:COCOeval_faster"),
    "pycocotools": ("pycocotools.coco:COCO", "pycocotools.cocoeval:COCOeval"),
}
"""The libraries, the fastest first, with their dataset and evaluation classes; their results agree to 1e-12."""
LIBRARY: Final = next((name for name in LIBRARIES if find_spec(name.replace("-", "_"))), "hotcoco")
"""The fastest that is installed: hotcoco has no build for some platforms."""
SIZES: Final = ("small", "medium", "large")
LIMITS: Final = (1, 10, 100)
AT_50, AT_75 = 0, 5


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """COCO's metrics, all in [0, 1], NaN where there is no object.

    Attributes:
        values: AP, AP50, AP75, AP_small, AP_medium, AP_large, then AR at each detection limit (AR1, AR10, AR100),
            AR_small, AR_medium, AR_large.
        by_category: (K,) AP of each category.
        by_category_50: (K,) AP50 of each category.
        precision: (K, 101) interpolated precision at recall 0, 0.01, ..., 1, at IoU 0.5, with the largest limit.
    """

    values: dict[str, float]
    by_category: NDArray[np.float64]
    by_category_50: NDArray[np.float64]
    precision: NDArray[np.float64]


def limit_of_ap(limits: Sequence[int]) -> int:
    """The detection limit of AP: 100 if given, otherwise the largest. All other metrics use the largest."""
    return 100 if 100 in limits else max(limits)


def average_precision(
    truth: GroundTruth, detections: Detections, limits: Sequence[int] = LIMITS, library: str = LIBRARY
) -> AveragePrecision:
    """Compute COCO's metrics.

    Args:
        truth: I images, K categories, M objects.
        detections: N predictions in those images; without predictions AP is 0.
        limits: COCO's `maxDets`: how many predictions per image and category count, those with the highest scores. As
            in COCO's summary, AP uses the limit 100 if given; the other metrics use the largest.
        library: One of `LIBRARIES`; their results agree.

    Raises:
        ValueError: The library is unknown or not installed, or a limit is not positive.

    Source:
        Lin et al., arXiv 1405.0312, and COCO's detection evaluation as pycocotools computes it.

    Example:
        >>> boxes = np.array([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 60.0, 40.0]])
        >>> one = np.zeros(2, np.intp)
        >>> truth = GroundTruth(("a.jpg",), ("cat",), one, one, boxes, np.array([100.0, 1600.0]), one > 0, ())
        >>> found = average_precision(truth, Detections(one[:1], one[:1], boxes[:1], np.ones(1)))
        >>> [round(found.values[name], 6) for name in ("AP_small", "AP_medium", "AR1")]
        [1.0, 0.0, 0.5]
    """
    limits = sorted(set(limits))
    if not limits or limits[0] < 1:
        raise ValueError(f"detection limits: expected positive integers such as {LIMITS}, got {limits}")
    precision, recall = precision_and_recall(truth, detections, limits, library)
    last, at_100 = precision[..., -1], precision[..., limits.index(limit_of_ap(limits))]
    return AveragePrecision(
        values=_summary(precision, recall, limits),
        by_category=_known(at_100[:, :, :, 0]).mean(axis=(0, 1)),
        by_category_50=_known(last[AT_50, :, :, 0]).mean(axis=0),
        precision=_known(last[AT_50, :, :, 0]).T,
    )


def to_xywh(boxes: Boxes) -> Boxes:
    """(N, 4) boxes as COCO's [left, top, width, height] in pixels; swapped corners become a side of 0."""
    return np.hstack([boxes[:, :2], np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)])


def precision_and_recall(
    truth: GroundTruth, detections: Detections, limits: list[int], library: str
) -> tuple[NDArray[Any], ...]:
    """The library's precision [IoU, recall, category, area, limit] and recall [IoU, category, area, limit].

    All libraries sort images and categories by id and keep the order of the predictions.
    """
    dataset, evaluation = _classes(library)
    with contextlib.redirect_stdout(io.StringIO()):
        if library == "hotcoco":
            return _of(hotcoco_evaluation(truth, detections), limits)
        inputs = dataset(), dataset()
        objects = _annotations(truth, to_xywh(truth.boxes), area=truth.areas, iscrowd=truth.crowd.astype(int))
        predicted = to_xywh(detections.boxes)
        areas = predicted[:, 2] * predicted[:, 3]
        predictions = _annotations(detections, predicted, area=areas, score=detections.scores)
        for part, annotations in zip(inputs, (objects, predictions), strict=True):
            part.dataset = {**_images_and_categories(truth), "annotations": annotations}
            part.createIndex()
        return _of(evaluation(*inputs, "bbox"), limits)


def _of(run: Any, limits: list[int]) -> tuple[NDArray[Any], ...]:
    run.params.maxDets = limits
    run.evaluate()
    run.accumulate()
    return run.eval["precision"], run.eval["recall"]


def hotcoco_evaluation(truth: GroundTruth, detections: Detections, lvis: bool = False) -> Any:
    """The `COCOeval` of hotcoco for the objects and predictions, to set its `params` and `evaluate`.

    The ids of images and categories are their indices plus 1.

    Args:
        truth: The ground truth.
        detections: The predictions.
        lvis: Whether it follows LVIS: predictions of categories that were not looked for in their image are ignored,
            unmatched ones of incompletely annotated categories too, and 300 count per image.

    Raises:
        ValueError: hotcoco is not installed.
    """
    dataset: Any
    dataset, evaluation = _classes("hotcoco")
    head = _images_and_categories(truth)
    images = [{**image, "width": 0, "height": 0} for image in head["images"]]
    if lvis and truth.looked is not None:
        lists = zip(images, truth.looked.absent, truth.looked.incomplete, strict=True)
        for image, absent, incomplete in lists:
            image["neg_category_ids"] = [category + 1 for category in absent]
            image["not_exhaustive_category_ids"] = [category + 1 for category in incomplete]
    columns = (truth.image + 1, truth.category + 1, to_xywh(truth.boxes))
    objects = dataset.from_arrays(images, head["categories"], *columns, area=truth.areas, iscrowd=truth.crowd)
    rows = (detections.image + 1, to_xywh(detections.boxes), detections.scores, detections.category + 1)
    return evaluation(objects, objects.load_res(np.column_stack(rows)), "bbox", lvis_style=lvis)


def _classes(library: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The data set and evaluation classes of the library."""
    if library not in LIBRARIES:
        raise ValueError(f"library: expected one of {', '.join(LIBRARIES)}, got {library!r}")
    try:
        dataset, evaluation = map(resolve_name, LIBRARIES[library])
    except ImportError as error:
        raise ValueError(f'library: expected {library}, got {error}; pip install "verl-vision-r1[eval]"') from error
    return dataset, partial(evaluation, print_function=print) if library == "faster-coco-eval" else evaluation


def _annotations(table: GroundTruth | Detections, boxes: Boxes, **more: NDArray[Any]) -> list[dict[str, Any]]:
    """COCO annotations, one per object or prediction. Ids start at 1: COCO uses 0 for no match."""
    columns = {"image_id": table.image + 1, "category_id": table.category + 1, "bbox": boxes, **more}
    names = ("id", *columns)
    rows = zip(range(1, len(boxes) + 1), *(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _images_and_categories(truth: GroundTruth) -> dict[str, list[dict[str, Any]]]:
    """COCO's lists of images and categories."""
    return {
        "images": [{"id": index + 1} for index in range(len(truth.images))],
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(truth.categories)],
    }


def _summary(precision: NDArray[Any], recall: NDArray[Any], limits: list[int]) -> dict[str, float]:
    """The means that COCO's `summarize` prints."""
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
    """The values of the library, with NaN for its -1."""
    return np.where(values < 0, np.nan, values)
