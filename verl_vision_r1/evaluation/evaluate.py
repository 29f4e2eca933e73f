"""Evaluate a predictions file against annotations: the results that `vision-r1 evaluate` shows and writes."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from verl_vision_r1.data.category_lists import read_category_list
from verl_vision_r1.evaluation.lmms_eval import aliases
from verl_vision_r1.evaluation.measure import TASKS, Effort, Measured, details, measure
from verl_vision_r1.evaluation.predictions.annotations import read_annotations
from verl_vision_r1.evaluation.predictions.coverage import Coverage, assign, expect_complete
from verl_vision_r1.evaluation.predictions.predictions_file import PredictionsFile, read_predictions
from verl_vision_r1.evaluation.predictions.protocols import Protocol, protocol_of
from verl_vision_r1.shown import printable


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results of one predictions file.

    Attributes:
        predictions: The predictions file.
        annotations: The file with the ground truth.
        protocol: How completions are parsed and scored.
        category_list: The list of categories to ask about for each image, if one was given.
        effort: Optional computations and their settings.
        sets: The evaluated data sets.
        unanswered: Data sets without any prediction; empty unless the evaluation is partial.
        broken: Number of lines of the predictions file that are not JSON.
        others: Number of predictions for data sets that the annotations do not contain, by data set.
        prompt: The first prompt, after the chat template.
        date: The day of the evaluation, as in 2026-01-31.
    """

    predictions: Path
    annotations: Path
    protocol: Protocol
    category_list: Path | None
    effort: Effort
    sets: tuple[Measured, ...]
    unanswered: dict[str, Coverage]
    broken: int
    others: dict[str, int]
    prompt: str
    date: str = field(default_factory=lambda: date.today().isoformat())

    @property
    def means(self) -> dict[str, dict[str, float]]:
        """By task, the mean of each metric over the data sets; only for tasks with several data sets.

        Metrics that some of the data sets lack are left out.
        """
        found = {}
        for task in TASKS:
            same = [measured.values for measured in self.sets if measured.task == task]
            if len(same) > 1:
                names = [name for name in same[0] if all(name in values for values in same)]
                found[task] = {name: sum(values[name] for values in same) / len(same) for name in names}
        return found

    def as_dict(self) -> dict[str, Any]:
        """The content of `results.json`, with NaN where a metric is undefined."""
        return {
            "date": self.date,
            "predictions": str(self.predictions),
            "annotations": str(self.annotations),
            "category_list": self.category_list and str(self.category_list),
            "protocol": self.protocol.name,
            "assumptions": list(self.protocol.assumes),
            "settings": asdict(self.effort),
            "prompt": self.prompt,
            "broken_lines": self.broken,
            "predictions_for_other_data_sets": self.others,
            "data_sets_without_predictions": {name: asdict(coverage) for name, coverage in self.unanswered.items()},
            "sets": {found.name: _set_as_dict(found) for found in self.sets},
            "means": self.means,
            "lmms_eval": aliases(self.sets, max(self.protocol.limits)),
        }


def evaluate(
    predictions: Path,
    annotations: Path,
    protocol: str,
    *,
    category_list: Path | None = None,
    partial: bool = False,
    effort: Effort | None = None,
) -> Evaluation:
    """Evaluate a predictions file.

    Args:
        predictions: A file that verl's validation wrote, or a folder with exactly one.
        annotations: COCO JSON, or the sample file (`.parquet`, `.jsonl`) that the completions were generated from.
        protocol: One of `protocols.PROTOCOLS`.
        category_list: JSON {image: [category, ...]}: the categories that each image should be asked about.
        partial: Evaluate the images that both files have, instead of refusing incomplete predictions.
        effort: Optional computations and their settings.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file has another format, or the predictions do not cover exactly the annotated images.
    """
    rules, read = protocol_of(protocol), read_predictions(predictions)
    listed = None if category_list is None else read_category_list(category_list)
    sets = read_annotations(annotations, read.lines, listed)
    by_name = {
        annotated.name: [line for line in read.lines if line.data_source == annotated.name] for annotated in sets
    }
    assigned = {annotated.name: assign(annotated, by_name[annotated.name]) for annotated in sets}
    others = Counter(line.data_source for line in read.lines if line.data_source not in by_name)
    if not partial:
        expect_complete(read, {name: coverage for name, (_, coverage) in assigned.items()}, others)
    kept = [annotated for annotated in sets if assigned[annotated.name][0]]
    if not kept:
        raise ValueError(_no_common_image(read, annotations))
    effort = effort or Effort()
    return Evaluation(
        predictions=read.path,
        annotations=annotations,
        protocol=rules,
        category_list=category_list,
        effort=effort,
        sets=tuple(measure(annotated, *assigned[annotated.name], rules, effort) for annotated in kept),
        unanswered={name: coverage for name, (lines, coverage) in assigned.items() if not lines},
        broken=len(read.broken),
        others=dict(others),
        prompt=read.lines[0].prompt,
    )


def _no_common_image(predictions: PredictionsFile, annotations: Path) -> str:
    line = predictions.lines[0]
    return (
        f"{predictions.path}: expected predictions for the questions of {annotations}, got none; the first prediction"
        f" is for {printable(line.data_source)} image {printable(line.image_id)} ({printable(line.question)}"
        f" {printable(line.subject)}".rstrip()
        + ")"
    )


def _set_as_dict(found: Measured) -> dict[str, Any]:
    return {
        "task": found.task,
        "basis": found.basis,
        "questions": sorted({key[1] for key in found.asked}),
        "images": len(found.images),
        "coverage": asdict(found.coverage),
        "reading": found.reading.as_dict(),
        "values": found.values,
        "range_over_permutations": {name: list(ends) for name, ends in found.spread.items()},
        **details(found),
    }
