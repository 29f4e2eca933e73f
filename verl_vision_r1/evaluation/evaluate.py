"""A dump against its annotations: everything that `vision-r1 evaluate` says."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verl_vision_r1.data.category_lists import read_category_list
from verl_vision_r1.evaluation.measure import TASKS, Effort, Measured, details, measure
from verl_vision_r1.evaluation.predictions.annotations import read_annotations
from verl_vision_r1.evaluation.predictions.coverage import Coverage, assign, expect_complete
from verl_vision_r1.evaluation.predictions.predictions_file import PredictionsFile, read_predictions
from verl_vision_r1.evaluation.predictions.protocols import Protocol, protocol_of


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a dump is worth.

    Attributes:
        dump: The file of answers.
        annotations: What they are held against.
        protocol: How they are read.
        category_list: The list of categories that were to be asked about.
        effort: How much was computed.
        sets: The data sets.
        unanswered: Data sets without any answer; there are such only where a part was to be measured.
        broken: Lines of the dump that are no JSON.
        others: Answers about data sets that the annotations do not have, by their name.
        prompt: The first question, as the model saw it.
    """

    dump: Path
    annotations: Path
    protocol: Protocol
    category_list: Path | None
    effort: Effort
    sets: tuple[Measured, ...]
    unanswered: dict[str, Coverage]
    broken: int
    others: dict[str, int]
    prompt: str

    @property
    def means(self) -> dict[str, dict[str, float]]:
        """Means over the sets of one task, by the task, where there are several; of values that all of them have."""
        found = {}
        for task in TASKS:
            same = [measured.values for measured in self.sets if measured.task == task]
            if len(same) > 1:
                names = [name for name in same[0] if all(name in values for values in same)]
                found[task] = {name: sum(values[name] for values in same) / len(same) for name in names}
        return found

    def as_dict(self) -> dict[str, Any]:
        """For JSON; numbers that are not known are null."""
        return {
            "dump": str(self.dump),
            "annotations": str(self.annotations),
            "category_list": self.category_list and str(self.category_list),
            "protocol": self.protocol.name,
            "assumes": list(self.protocol.assumes),
            "effort": asdict(self.effort),
            "prompt": self.prompt,
            "broken_lines": self.broken,
            "answers_about_other_sets": self.others,
            "sets_without_an_answer": {name: coverage.as_dict() for name, coverage in self.unanswered.items()},
            "sets": {found.name: _set_as_dict(found) for found in self.sets},
            "means": self.means,
        }


def evaluate(
    dump: Path,
    annotations: Path,
    protocol: str,
    *,
    category_list: Path | None = None,
    partial: bool = False,
    effort: Effort | None = None,
) -> Evaluation:
    """Measure the answers of a dump.

    Args:
        dump: A file of verl's validation dump, or the folder that holds only it.
        annotations: COCO JSON, or the file of rows that was asked.
        protocol: One of `protocols.PROTOCOLS`.
        category_list: JSON {image: [category, ...]}: the categories that each image was to be asked about.
        partial: Whether to measure a dump that does not answer everything that the annotations have.
        effort: What is computed beside.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file is not as expected, or the dump does not answer what the annotations have.
    """
    rules, answers = protocol_of(protocol), read_predictions(dump)
    listed = None if category_list is None else read_category_list(category_list)
    sets = read_annotations(annotations, answers.lines, listed)
    by_name = {
        annotated.name: [line for line in answers.lines if line.data_source == annotated.name] for annotated in sets
    }
    assigned = {annotated.name: assign(annotated, by_name[annotated.name]) for annotated in sets}
    others = Counter(line.data_source for line in answers.lines if line.data_source not in by_name)
    if not partial:
        expect_complete(answers, {name: coverage for name, (_, coverage) in assigned.items()}, others)
    kept = [annotated for annotated in sets if assigned[annotated.name][0]]
    if not kept:
        raise ValueError(_nothing_in_common(answers, annotations))
    effort = effort or Effort()
    return Evaluation(
        dump=answers.path,
        annotations=annotations,
        protocol=rules,
        category_list=category_list,
        effort=effort,
        sets=tuple(measure(annotated, *assigned[annotated.name], rules, effort) for annotated in kept),
        unanswered={name: coverage for name, (held, coverage) in assigned.items() if not held},
        broken=len(answers.broken),
        others=dict(others),
        prompt=answers.lines[0].prompt,
    )


def _nothing_in_common(dump: PredictionsFile, annotations: Path) -> str:
    line = dump.lines[0]
    return (
        f"{dump.path}: expected answers to questions of {annotations}, got none, but such about {line.data_source}"
        f" image {line.image_id} ({line.question} {line.subject})".rstrip()
    )


def _set_as_dict(found: Measured) -> dict[str, Any]:
    return {
        "task": found.task,
        "basis": found.basis,
        "questions": sorted({key[1] for key in found.asked}),
        "images": len(found.images),
        "coverage": found.coverage.as_dict(),
        "reading": found.reading.as_dict(),
        "values": found.values,
        "spread_over_orders": {name: list(ends) for name, ends in found.spread.items()},
        **details(found),
    }
