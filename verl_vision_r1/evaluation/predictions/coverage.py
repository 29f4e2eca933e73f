"""Coverage: whether the predictions answer every question of the annotations once, and no others.

Metrics over another set of images are not comparable, so incomplete predictions are refused unless `--partial` is set.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from verl_vision_r1.evaluation.predictions.annotations import AnnotatedSet, Key
from verl_vision_r1.evaluation.predictions.predictions_file import Line, PredictionsFile
from verl_vision_r1.shown import printable


@dataclass(frozen=True)
class Coverage:
    """Which questions of one data set have a prediction.

    Attributes:
        questions: Number of questions.
        answered: Number of questions with a prediction.
        missing: Names of images with a question that has no prediction.
        duplicated: Names of images with a question that has several predictions.
        unexpected: Names of images with a prediction for a question that the annotations do not have.
        negatives: Number of extra questions, about categories that are not in their image.
    """

    questions: int
    answered: int
    missing: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    negatives: int = 0

    @property
    def complete(self) -> bool:
        """Whether every question has exactly one prediction, and every prediction a question."""
        return not (self.missing or self.duplicated or self.unexpected)


PROBLEMS: Final = {
    "missing": "without a prediction",
    "duplicated": "with several predictions for one question",
    "unexpected": "with predictions for questions that the annotations do not have",
}
"""What is wrong with the images of a coverage, by attribute."""
HINTS: Final = {
    "missing": " (prepare evaluation data with --keep-empty)",
    "duplicated": " (generate with val_kwargs.n=1)",
    "unexpected": "",
}


def assign(annotated: AnnotatedSet, lines: Sequence[Line]) -> tuple[list[Line], Coverage]:
    """Assign predictions to the questions of a data set.

    Where the questions come from the objects of an image, questions about other categories are accepted too: they are
    negative samples.

    Args:
        annotated: The data set.
        lines: The predictions for it.

    Returns:
        The predictions in the order of the questions, the first of several for one question; and the coverage.
    """
    predictions: dict[Key, list[Line]] = defaultdict(list)
    for line in lines:
        predictions[annotated.key_of(line)].append(line)
    asked = _known_categories(annotated, predictions) if annotated.basis == "objects" else Counter[Key]()
    wanted = annotated.questions | asked
    taken = {key: predictions.get(key, [])[:count] for key, count in wanted.items()}
    coverage = Coverage(
        questions=wanted.total(),
        answered=sum(map(len, taken.values())),
        missing=_images(key for key, count in wanted.items() if len(taken[key]) < count),
        duplicated=_images(key for key, count in wanted.items() if len(predictions.get(key, ())) > count),
        unexpected=_images(key for key in predictions if key not in wanted),
        negatives=(asked - annotated.questions).total(),
    )
    return [line for kept in taken.values() for line in kept], coverage


def _known_categories(annotated: AnnotatedSet, keys: Iterable[Key]) -> Counter[Key]:
    """The questions about one category whose image and category the annotations have."""
    truth = annotated.truth
    images, categories = (set(), set()) if truth is None else (set(truth.images), set(truth.categories))
    return Counter({key: 1 for key in keys if key[1] == "category" and key[0] in images and key[2] in categories})


def _images(keys: Iterable[Key]) -> tuple[str, ...]:
    return tuple(sorted({key[0] for key in keys}))


def expect_complete(predictions: PredictionsFile, found: dict[str, Coverage], others: Counter[str]) -> None:
    """Refuse predictions that do not cover exactly the questions of the annotations.

    Args:
        predictions: The predictions file.
        found: The coverage of each data set.
        others: Number of predictions for data sets that the annotations do not contain, by data set.

    Raises:
        ValueError: A question has no prediction or several, or a prediction has no question.
    """
    wrong = [problem for name, coverage in found.items() for problem in _problems(name, coverage)]
    wrong += [
        f"{count} predictions for {printable(name)}, which the annotations do not contain"
        for name, count in others.most_common(MOST_NAMED)
    ]
    if predictions.broken:
        wrong.append(f"{len(predictions.broken)} lines that are not JSON, first line {predictions.broken[0]}")
    if wrong:
        raise ValueError(
            f"{predictions.path}: expected one prediction for each question of the annotations,"
            f" got {'; '.join(wrong)}. Use --partial to evaluate only the images that both files cover"
        )


MOST_NAMED: Final = 10
"""Maximum number of unknown data sets in a message."""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names[:3])) + ", ..." * (len(names) > 3)


def _problems(name: str, coverage: Coverage) -> list[str]:
    return [
        f"{len(images)} images of {printable(name)} {what}{HINTS[kind]}: {_listed(images)}"
        for kind, what in PROBLEMS.items()
        if (images := getattr(coverage, kind))
    ]
