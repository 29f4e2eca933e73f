"""Whether a dump answers the questions that the annotations have: each once, and no others.

A number over other images than everybody else's is no number to compare, so one is refused unless it is asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from verl_vision_r1.evaluation.predictions.annotations import AnnotatedSet, Key
from verl_vision_r1.evaluation.predictions.predictions_file import Line, PredictionsFile


@dataclass(frozen=True)
class Coverage:
    """What is wrong with the answers to one data set.

    Attributes:
        questions: How many were to be answered.
        answered: How many of them were.
        missing: Names of images with a question that has no answer.
        doubled: Names of images with a question that has several.
        foreign: Names of images with an answer to no question of the annotations.
        absent: Questions beyond what the annotations demand, about categories that an image does not have.
    """

    questions: int
    answered: int
    missing: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    absent: int = 0

    @property
    def complete(self) -> bool:
        """Whether each question has one answer, and no answer is left over."""
        return not (self.missing or self.doubled or self.foreign)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def assign(annotated: AnnotatedSet, lines: Sequence[Line]) -> tuple[list[Line], Coverage]:
    """The answers to a set's questions, in the order of the questions; of several to one question the first.

    Where what is in an image says what was to be asked, more may be asked: that is about what is not there.

    Args:
        annotated: The set.
        lines: The answers to questions about it.
    """
    answers: dict[Key, list[Line]] = defaultdict(list)
    for line in lines:
        answers[annotated.key_of(line)].append(line)
    absent = _about_what_is_absent(annotated, answers) if annotated.basis == "objects" else Counter[Key]()
    wanted = annotated.questions | absent
    taken = {key: answers.get(key, [])[:count] for key, count in wanted.items()}
    coverage = Coverage(
        questions=wanted.total(),
        answered=sum(map(len, taken.values())),
        missing=_images(key for key, count in wanted.items() if len(taken[key]) < count),
        doubled=_images(key for key, count in wanted.items() if len(answers.get(key, ())) > count),
        foreign=_images(key for key in answers if key not in wanted),
        absent=(absent - annotated.questions).total(),
    )
    return [line for kept in taken.values() for line in kept], coverage


def _about_what_is_absent(annotated: AnnotatedSet, answers: dict[Key, list[Line]]) -> Counter[Key]:
    truth = annotated.truth
    known = (set(), set()) if truth is None else (set(truth.images), set(truth.categories))
    return Counter({key: 1 for key in answers if key[1] == "category" and key[0] in known[0] and key[2] in known[1]})


def _images(keys: Any) -> tuple[str, ...]:
    return tuple(sorted({key[0] for key in keys}))


def expect_complete(dump: PredictionsFile, found: dict[str, Coverage], others: Counter[str]) -> None:
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
    words = {
        "missing": "without an answer (rows for an evaluation are prepared with --keep-empty)",
        "doubled": "answered more than once (val_kwargs.n is 1 in an evaluation)",
        "foreign": "with answers to other questions than the annotations have",
    }
    return [
        f"{len(images)} images of {name} {what}: {', '.join(images[:3])}{', ...' * (len(images) > 3)}"
        for kind, what in words.items()
        if (images := getattr(coverage, kind))
    ]
