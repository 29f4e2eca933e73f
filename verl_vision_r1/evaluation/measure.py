"""From the answers to one data set to its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.evaluation.measures import accuracy
from verl_vision_r1.evaluation.measures.accuracy import Ratio, mean_of
from verl_vision_r1.evaluation.measures.average_precision import LIBRARIES, AveragePrecision, average_precision, spread
from verl_vision_r1.evaluation.measures.calibration import calibration, expected_calibration_error
from verl_vision_r1.evaluation.measures.f1 import (
    Counts,
    Matches,
    counts_by_category,
    counts_by_image,
    match,
    points,
    summary,
)
from verl_vision_r1.evaluation.predictions.annotations import BASES, AnnotatedSet, Key
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.predictions.coverage import Coverage
from verl_vision_r1.evaluation.predictions.detections import (
    Reading,
    expect_frame,
    read_all_boxes,
    read_detections,
    read_numbers,
    read_texts,
)
from verl_vision_r1.evaluation.predictions.ground_truth import part_of, with_files
from verl_vision_r1.evaluation.predictions.predictions_file import Line
from verl_vision_r1.evaluation.predictions.protocols import Protocol, tagged_or_all

TASKS: Final = ("detection", "grounding", "classification", "counting")


@dataclass(frozen=True)
class Effort:
    """How much is computed beside the numbers themselves.

    Attributes:
        permutations: How many other orders of the boxes COCO's measures are computed for; 0 for none.
        seed: Decides the orders.
        library: What computes COCO's measures, one of `average_precision.LIBRARIES`.
    """

    permutations: int = 5
    seed: int = 0
    library: str = LIBRARIES[0]


@dataclass(frozen=True, eq=False)
class DetectionTables:
    """What the numbers of a detection set were computed from, for figures."""

    truth: GroundTruth
    detections: Detections
    ap: AveragePrecision
    matches: Matches
    by_image: Counts
    by_category: Counts


@dataclass(frozen=True, eq=False)
class Measured:
    """One data set, measured.

    Attributes:
        name: Its `data_source`.
        task: Its task.
        basis: What says which questions were to be asked, in words.
        asked: The questions that have their answer.
        images: Names of the images that the numbers rest on.
        coverage: Which questions have their answer.
        reading: How the answers could be read.
        values: The numbers by name; shares are in [0, 1], NaN where there is nothing to measure.
        spread: Of COCO's measures the least and the greatest over several orders of the boxes.
        ratios: The numbers that are sums over images or answers, for the bootstrap.
        image_of: (Q,) the image of each entry of the ratios.
        tables: Of a detection set.
    """

    name: str
    task: str
    basis: str
    asked: frozenset[Key]
    images: tuple[str, ...]
    coverage: Coverage
    reading: Reading
    values: dict[str, float]
    ratios: dict[str, Ratio]
    image_of: NDArray[np.intp]
    spread: dict[str, tuple[float, float]] = field(default_factory=dict)
    tables: DetectionTables | None = None


def measure(
    annotated: AnnotatedSet, lines: Sequence[Line], coverage: Coverage, protocol: Protocol, effort: Effort
) -> Measured:
    """The numbers of one data set.

    Args:
        annotated: The set.
        lines: The answers to its questions.
        coverage: What `coverage.assign` said of them.
        protocol: How they are read.
        effort: What is computed beside.

    Raises:
        ValueError: The protocol has no rule for the task or the kind of question, or the answers are in another frame
            than it expects.
    """
    _expect_rules(annotated, lines, protocol)
    if annotated.truth is not None:
        return _detection(annotated, annotated.truth, lines, coverage, protocol, effort)
    return _answers(annotated, lines, coverage, protocol)


def _expect_rules(annotated: AnnotatedSet, lines: Sequence[Line], protocol: Protocol) -> None:
    if annotated.task in ("detection", "grounding"):
        expect_frame(lines, protocol)
    elif protocol.text is None:
        raise ValueError(
            f"protocol {protocol.name}: expected detection or grounding, got {annotated.name} of {annotated.task};"
            " visual_rft and plain have classes and counts"
        )
    kinds = {line.question for line in lines}
    if annotated.task == "detection" and not kinds <= set(protocol.questions):
        raise ValueError(
            f"protocol {protocol.name}: expected questions of the kind {' or '.join(protocol.questions)}, got"
            f" {', '.join(sorted(kinds))} about {annotated.name}"
        )


def _answers(annotated: AnnotatedSet, lines: Sequence[Line], coverage: Coverage, protocol: Protocol) -> Measured:
    targets, text = [line.target for line in lines], protocol.text or tagged_or_all
    if annotated.task == "grounding":
        boxes, reading = read_all_boxes(lines, protocol.read_one)
        ratios = accuracy.expressions(boxes, targets)
    elif annotated.task == "classification":
        texts, reading = read_texts(lines, text)
        ratios = accuracy.classes(texts, targets)
    else:
        numbers, reading = read_numbers(lines, text)
        ratios = accuracy.counts(numbers, targets)
    images = tuple(dict.fromkeys(line.image_id for line in lines))
    number = {image: index for index, image in enumerate(images)}
    return Measured(
        name=annotated.name,
        task=annotated.task,
        basis=BASES[annotated.basis],
        asked=frozenset(map(annotated.key_of, lines)),
        images=images,
        coverage=coverage,
        reading=reading,
        values={key: float(ratio.value()) for key, ratio in ratios.items()},
        ratios=ratios,
        image_of=np.array([number[line.image_id] for line in lines], dtype=np.intp),
    )


def _detection(
    annotated: AnnotatedSet,
    truth: GroundTruth,
    lines: Sequence[Line],
    coverage: Coverage,
    protocol: Protocol,
    effort: Effort,
) -> Measured:
    if coverage.missing:
        # An image of which only some is asked would count the rest as missed.
        whole = {line.image_id for line in lines} - set(coverage.missing)
        truth, lines = part_of(truth, whole), [line for line in lines if line.image_id in whole]
    truth = with_files(truth, {line.image_id: line.image for line in lines})
    detections, reading = read_detections(lines, truth, protocol)
    matches = match(truth, detections)
    by_image = counts_by_image(truth, detections, matches)
    ap = average_precision(truth, detections, protocol.limits, effort.library)
    by_category = counts_by_category(truth, detections, matches)
    ratios = _ratios(by_image)
    orders = {}
    if effort.permutations:
        orders = spread(truth, detections, protocol.limits, effort.permutations, effort.seed, effort.library, ap)
    return Measured(
        name=annotated.name,
        task=annotated.task,
        basis=BASES[annotated.basis],
        asked=frozenset(map(annotated.key_of, lines)),
        images=truth.images,
        coverage=coverage,
        reading=reading,
        values={**ap.values, **summary(by_image.total()), "count_error": float(ratios["count_error"].value())}
        | _calibration(detections, matches)
        | _of_subsets(truth, ap, protocol),
        ratios=ratios,
        image_of=np.arange(len(truth.images)),
        spread=orders,
        tables=DetectionTables(truth, detections, ap, matches, by_image, by_category),
    )


def _ratios(counts: Counts) -> dict[str, Ratio]:
    hits, predicted = counts.hits.astype(np.float64), counts.predicted.astype(np.float64)
    objects = counts.objects.astype(np.float64)
    return {
        "F1": Ratio(2 * hits, predicted + objects),
        "F1_50": Ratio(2 * hits[:, :1], (predicted + objects)[:, :1]),
        "precision_50": Ratio(hits[:, :1], predicted[:, :1]),
        "recall_50": Ratio(hits[:, :1], objects[:, :1]),
        "count_error": mean_of(abs(predicted[:, 0] - objects[:, 0])),
    }


def _of_subsets(truth: GroundTruth, ap: AveragePrecision, protocol: Protocol) -> dict[str, float]:
    """Mean AP of the categories of each subset that the data set has, and of all others."""
    found = {}
    for name, categories in protocol.subsets.items():
        if set(categories) <= set(truth.categories):
            inside = np.isin(truth.categories, categories)
            found[f"AP_{name}"] = _mean_known(ap.by_category[inside])
            found[f"AP_not_{name}"] = _mean_known(ap.by_category[~inside])
    return found


def _mean_known(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _calibration(detections: Detections, matches: Matches) -> dict[str, float]:
    if detections.constant:
        return {}
    kept = ~matches.ignored[:, 0]
    found = calibration(detections.scores[kept], matches.hit[kept, 0])
    return {"calibration_error": expected_calibration_error(found)}


def details(measured: Measured) -> dict[str, object]:
    """What stands in the JSON beside the values: of each category, and at each threshold."""
    if measured.tables is None:
        return {}
    tables = measured.tables
    names, counts = tables.truth.categories, tables.by_category
    return {
        "precision_recall": points(tables.by_image.total()),
        "categories": {
            name: {
                "objects": int(counts.objects[index, 0]),
                "predicted": int(counts.predicted[index, 0]),
                "AP": float(tables.ap.by_category[index]),
                "AP50": float(tables.ap.by_category_50[index]),
                "F1_50": float(counts.f1[index, 0]),
                "precision_50": float(counts.precision[index, 0]),
                "recall_50": float(counts.recall[index, 0]),
            }
            for index, name in enumerate(names)
        },
    }
