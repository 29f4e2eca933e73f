"""A dump against its annotations: everything that `vision-r1 evaluate` says."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_vision_r1.data.existence import read_existence
from verl_vision_r1.evaluation.annotations import read_annotations
from verl_vision_r1.evaluation.coverage import assign, expect_complete
from verl_vision_r1.evaluation.dump import Dump, read_dump
from verl_vision_r1.evaluation.measure import Effort, Measured, details, measure
from verl_vision_r1.evaluation.protocols import protocol_of


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a dump is worth.

    Attributes:
        dump: The file of answers.
        annotations: What they are held against.
        protocol: The name of the protocol.
        existence: The list of categories that were asked about.
        sets: The data sets, by name.
        broken: Lines of the dump that are no JSON.
        others: Answers about data sets that the annotations do not have, by their name.
        prompt: The first question, as the model saw it.
    """

    dump: Path
    annotations: Path
    protocol: str
    existence: Path | None
    sets: tuple[Measured, ...]
    broken: int
    others: dict[str, int]
    prompt: str

    @property
    def assumes(self) -> tuple[str, ...]:
        """What the numbers assume, in sentences."""
        known = protocol_of(self.protocol).assumes
        if self.existence is not None:
            return (*known, f"asked were the categories that {self.existence.name} lists for each image")
        if any(line.tables for line in self.sets) and self.protocol == "visual_rft":
            return (
                *known,
                "no existence list: asked were the categories of the annotations, which the paper did not do",
            )
        return known

    def as_dict(self) -> dict[str, Any]:
        """For JSON; numbers that are not known are null."""
        return {
            "dump": str(self.dump),
            "annotations": str(self.annotations),
            "protocol": self.protocol,
            "assumes": list(self.assumes),
            "prompt": self.prompt,
            "broken_lines": self.broken,
            "answers_about_other_sets": self.others,
            "sets": {found.name: _set_as_dict(found) for found in self.sets},
        }


def evaluate(
    dump: Path,
    annotations: Path,
    protocol: str,
    *,
    existence: Path | None = None,
    partial: bool = False,
    effort: Effort | None = None,
) -> Evaluation:
    """Measure the answers of a dump.

    Args:
        dump: A file of verl's validation dump, or the folder that holds only it.
        annotations: COCO JSON, or the file of rows that was asked.
        protocol: One of `protocols.PROTOCOLS`.
        existence: JSON {image: [category, ...]}: the categories that each image was to be asked about.
        partial: Whether to measure a dump that does not answer everything that the annotations have.
        effort: What is computed beside.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file is not as expected, or the dump does not answer what the annotations have.
    """
    rules, answers = protocol_of(protocol), read_dump(dump)
    listed = None if existence is None else read_existence(existence)
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
    return Evaluation(
        dump=answers.path,
        annotations=annotations,
        protocol=protocol,
        existence=existence,
        sets=tuple(
            measure(annotated, *assigned[annotated.name], protocol, rules, effort or Effort()) for annotated in kept
        ),
        broken=len(answers.broken),
        others=dict(others),
        prompt=answers.lines[0].prompt,
    )


def _nothing_in_common(dump: Dump, annotations: Path) -> str:
    line = dump.lines[0]
    return (
        f"{dump.path}: expected answers to questions of {annotations}, got none, but such about {line.data_source}"
        f" image {line.image_id} ({line.question} {line.subject})".rstrip()
    )


def _set_as_dict(found: Measured) -> dict[str, Any]:
    return {
        "task": found.task,
        "images": len(found.images),
        "coverage": found.coverage.as_dict(),
        "reading": found.reading.as_dict(),
        "values": found.values,
        "spread_over_orders": {name: list(ends) for name, ends in found.spread.items()},
        **details(found),
    }
