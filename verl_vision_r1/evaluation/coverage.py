"""Whether a dump answers the questions that the annotations have: each once, and no others.

A number over other images than everybody else's is no number to compare, so one is refused unless it is asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from verl_vision_r1.evaluation.annotations import AnnotatedSet, Key, key_of
from verl_vision_r1.evaluation.dump import Dump, Line


@dataclass(frozen=True)
class Coverage:
    """What is wrong with the answers to one data set.

    Attributes:
        questions: How many were to be answered.
        answered: How many of them were.
        missing: Names of images with a question that has no answer.
        doubled: Names of images with a question that has several.
        foreign: Names of images with an answer to no question of the annotations.
    """

    questions: int
    answered: int
    missing: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether each question has one answer, and no answer is left over."""
        return not (self.missing or self.doubled or self.foreign)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def assign(annotated: AnnotatedSet, lines: Sequence[Line]) -> tuple[list[Line], Coverage]:
    """The answers to a set's questions, in the order of the questions; of several to one question the first.

    A question about a category that nobody listed is foreign where there is a list. Where what is in an image is the
    list, more may be asked: those are questions about what is not there.

    Args:
        annotated: The set.
        lines: The answers to questions about it.
    """
    answers: dict[Key, list[Line]] = defaultdict(list)
    for line in lines:
        answers[key_of(annotated.task, line.image_id, line.question, line.subject, line.ground_truth)].append(line)
    wanted = annotated.questions | _about_what_is_absent(annotated, answers)
    taken = {key: answers.get(key, [])[:count] for key, count in wanted.items()}
    coverage = Coverage(
        questions=wanted.total(),
        answered=sum(map(len, taken.values())),
        missing=_images(key for key, count in wanted.items() if len(taken[key]) < count),
        doubled=_images(key for key, count in wanted.items() if len(answers.get(key, ())) > count),
        foreign=_images(key for key in answers if key not in wanted),
    )
    return [line for kept in taken.values() for line in kept], coverage


def _about_what_is_absent(annotated: AnnotatedSet, answers: dict[Key, list[Line]]) -> Counter[Key]:
    if annotated.truth is None or annotated.listed:
        return Counter()
    images, names = set(annotated.truth.images), set(annotated.truth.categories)
    return Counter({key: 1 for key in answers if key[1] == "category" and key[0] in images and key[2] in names})


def _images(keys: Any) -> tuple[str, ...]:
    return tuple(sorted({key[0] for key in keys}))


def expect_complete(dump: Dump, found: dict[str, Coverage], others: Counter[str]) -> None:
    """Refuse a dump that does not answer what the annotations have.

    Args:
        dump: The dump.
        found: What is wrong, by data set.
        others: Answers to questions about other data sets, by their name.

    Raises:
        ValueError: Anything is.
    """
    wrong = [line for name, coverage in found.items() for line in _complaints(name, coverage)]
    wrong += [f"{count} answers about {name}, which the annotations do not have" for name, count in others.items()]
    if dump.broken:
        wrong.append(f"{len(dump.broken)} lines that are no JSON, the first of them {dump.broken[0]}")
    if wrong:
        raise ValueError(
            f"{dump.path}: expected one answer to each question of the annotations, got {'; '.join(wrong)}."
            " --partial measures the images that are in both, and says how many they are"
        )


def _complaints(name: str, coverage: Coverage) -> list[str]:
    words = {"missing": "without an answer", "doubled": "answered more than once", "foreign": "not in the annotations"}
    return [
        f"{len(images)} images {what} in {name} ({', '.join(images[:3])}{', ...' * (len(images) > 3)})"
        for kind, what in words.items()
        if (images := getattr(coverage, kind))
    ]
