"""Compute the metrics of one data set."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.evaluation.measures import accuracy, detection, pointing, published_f1
from verl_vision_r1.evaluation.measures.accuracy import Ratio
from verl_vision_r1.evaluation.measures.average_precision import LIBRARY, AveragePrecision, average_precision
from verl_vision_r1.evaluation.measures.f1 import (
    Counts,
    Matches,
    counts_by_category,
    counts_by_image,
    match,
    points,
    summary,
)
from verl_vision_r1.evaluation.measures.federated import by_frequency
from verl_vision_r1.evaluation.measures.permutations import spread
from verl_vision_r1.evaluation.measures.refusal import refusals, refusals_by_image
from verl_vision_r1.evaluation.measures.tide import Tide, tide
from verl_vision_r1.evaluation.predictions.annotations import BASES, AnnotatedSet, Key
from verl_vision_r1.evaluation.predictions.arrays import Detections, GroundTruth
from verl_vision_r1.evaluation.predictions.confidence import PROTOCOL, expect_confidences
from verl_vision_r1.evaluation.predictions.coverage import Coverage
from verl_vision_r1.evaluation.predictions.detections import (
    Outcome,
    ParseCounts,
    expect_frame,
    read_all_boxes,
    read_detections,
    read_points,
    read_values,
    whole_number,
)
from verl_vision_r1.evaluation.predictions.ground_truth import part_of, with_files
from verl_vision_r1.evaluation.predictions.predictions_file import Line
from verl_vision_r1.evaluation.predictions.protocols import Protocol, tagged_or_all
from verl_vision_r1.rewards.answers.points import parse_points

TASKS: Final = ("detection", "grounding", "classification", "counting", "pointing")


@dataclass(frozen=True)
class Effort:
    """Optional computations and their settings.

    Attributes:
        permutations: For how many permutations of equal scores COCO's metrics are computed again; 0 for none.
        seed: Random seed of the permutations.
        library: The library that computes COCO's metrics, one of `average_precision.LIBRARIES`.
        confidence: Where the confidences of detections are from, one of `confidence.CONFIDENCES`.
    """

    permutations: int = 5
    seed: int = 0
    library: str = LIBRARY
    confidence: str = PROTOCOL


@dataclass(frozen=True, eq=False)
class DetectionTables:
    """The arrays behind the metrics of a detection set, for figures and resamples."""

    truth: GroundTruth
    detections: Detections
    ap: AveragePrecision
    matches: Matches
    by_image: Counts
    by_category: Counts
    tide: Tide | None


@dataclass(frozen=True, eq=False)
class Measured:
    """The results of one data set.

    Attributes:
        name: Its `data_source`.
        task: Its task.
        basis: Which questions the predictions must answer, one of the sentences of `annotations.BASES`.
        asked: The questions that have a prediction.
        images: Names of the evaluated images.
        coverage: Which questions have a prediction.
        reading: Statistics of parsing the completions.
        values: The metrics by name; fractions are in [0, 1], NaN is undefined.
        ratios: The metrics that are sums over images or completions, for the bootstrap.
        image_of: (Q,) index into `images` for each entry of the ratios.
        spread: Minimum and maximum of COCO's metrics over permutations of equal scores.
        tables: The arrays of a detection set, None for other tasks.
        categories: The metrics of each category, for pointing.
    """

    name: str
    task: str
    basis: str
    asked: frozenset[Key]
    images: tuple[str, ...]
    coverage: Coverage
    reading: ParseCounts
    values: dict[str, float]
    ratios: dict[str, Ratio]
    image_of: NDArray[np.intp]
    spread: dict[str, tuple[float, float]] = field(default_factory=dict)
    tables: DetectionTables | None = None
    categories: dict[str, dict[str, float]] = field(default_factory=dict)


def measure(
    annotated: AnnotatedSet, lines: Sequence[Line], coverage: Coverage, protocol: Protocol, effort: Effort
) -> Measured:
    """Compute the metrics of one data set.

    Args:
        annotated: The data set.
        lines: The predictions for its questions.
        coverage: The coverage that `coverage.assign` returned with them.
        protocol: How completions are parsed and scored.
        effort: Optional computations and their settings.

    Raises:
        ValueError: The protocol does not support the task, the kind of question or the frame of the predictions.
    """
    _expect_supported(annotated, lines, protocol)
    if annotated.truth is not None:
        return _measure_detection(annotated, annotated.truth, lines, coverage, protocol, effort)
    return _measure_others(annotated, lines, coverage, protocol)


def _expect_supported(annotated: AnnotatedSet, lines: Sequence[Line], protocol: Protocol) -> None:
    if annotated.task in ("detection", "grounding"):
        expect_frame(lines, protocol)
    elif annotated.task == "pointing":
        if protocol.points is None:
            raise ValueError(
                f"protocol {protocol.name}: expected detection or grounding, got {annotated.name} (pointing);"
                " use plain for pointing"
            )
    elif protocol.text is None:
        raise ValueError(
            f"protocol {protocol.name}: expected detection or grounding, got {annotated.name} ({annotated.task});"
            " use visual_rft or plain for classification and counting"
        )
    kinds = {line.question for line in lines}
    if annotated.task == "detection" and not kinds <= set(protocol.questions):
        raise ValueError(
            f"protocol {protocol.name}: expected questions of kind {' or '.join(protocol.questions)}, got"
            f" {', '.join(sorted(kinds))} for {annotated.name}"
        )


def _measure_others(
    annotated: AnnotatedSet, lines: Sequence[Line], coverage: Coverage, protocol: Protocol
) -> Measured:
    """The metrics of grounding, classification, counting or pointing."""
    targets, text = [line.target for line in lines], protocol.text or tagged_or_all
    categories: dict[str, dict[str, float]] = {}
    if annotated.task == "grounding":
        boxes, reading = read_all_boxes(lines, protocol.read_one)
        ratios = accuracy.expressions(boxes, targets) | refusals(reading.outcomes)
    elif annotated.task == "classification":
        texts, reading = read_values(lines, text)
        ratios = accuracy.classes(texts, targets)
    elif annotated.task == "pointing":
        answers, reading = read_points(lines, protocol.points or parse_points)
        hits = pointing.count_hits(answers, targets)
        ratios, categories = pointing.point_ratios(hits) | refusals(reading.outcomes), pointing.by_category(hits)
    else:
        numbers, reading = read_values(lines, lambda completion: whole_number(text(completion)))
        outcomes = [Outcome(line, number == 0, number is None) for line, number in zip(lines, numbers, strict=True)]
        ratios = accuracy.counts(numbers, targets) | refusals(outcomes)
    images = tuple(dict.fromkeys(line.image_id for line in lines))
    place = {image: index for index, image in enumerate(images)}
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
        image_of=np.array([place[line.image_id] for line in lines], dtype=np.intp),
        categories=categories,
    )


def _measure_detection(
    annotated: AnnotatedSet,
    truth: GroundTruth,
    lines: Sequence[Line],
    coverage: Coverage,
    protocol: Protocol,
    effort: Effort,
) -> Measured:
    if coverage.missing:
        # In an image with unanswered questions the objects of these would count as missed.
        whole = {line.image_id for line in lines} - set(coverage.missing)
        truth, lines = part_of(truth, whole), [line for line in lines if line.image_id in whole]
    truth = with_files(truth, {line.image_id: line.image for line in lines})
    expect_confidences(lines, effort.confidence)
    detections, reading = read_detections(lines, truth, protocol, effort.confidence)
    matches = match(truth, detections)
    by_image = counts_by_image(truth, detections, matches)
    ap = average_precision(truth, detections, protocol.limits, effort.library)
    by_category = counts_by_category(truth, detections, matches)
    ratios = detection.ratios_of(by_image) | refusals_by_image(reading.outcomes, truth)
    over_permutations = {}
    if effort.permutations:
        over_permutations = spread(
            truth, detections, protocol.limits, effort.permutations, effort.seed, effort.library, ap
        )
    return Measured(
        name=annotated.name,
        task=annotated.task,
        basis=BASES[annotated.basis],
        asked=frozenset(map(annotated.key_of, lines)),
        images=truth.images,
        coverage=coverage,
        reading=reading,
        values=ap.values
        | {key: float(ratio.value()) for key, ratio in ratios.items()}
        | summary(by_image.total())
        | published_f1.category_means(truth, detections, effort.library)
        | published_f1.image_means(truth, detections)
        | detection.calibration_of(detections, matches)
        | detection.by_log_probs(truth, detections, protocol.limits, effort.library)
        | by_frequency(truth, detections, ap)
        | detection.of_subsets(truth, ap, protocol.subsets),
        ratios=ratios,
        image_of=np.arange(len(truth.images)),
        spread=over_permutations,
        tables=DetectionTables(
            truth, detections, ap, matches, by_image, by_category, tide(truth, detections, max(protocol.limits))
        ),
    )


def details(measured: Measured) -> dict[str, object]:
    """More detail for JSON: precision and recall at each IoU threshold, TIDE's errors, metrics of each category."""
    if measured.tables is None:
        return {"categories": measured.categories} if measured.categories else {}
    tables = measured.tables
    return {
        "precision_recall": points(tables.by_image.total()),
        "tide": tables.tide and asdict(tables.tide),
        "categories": detection.by_category(tables.truth, tables.ap, tables.by_category),
    }
