"""The annotations of an evaluation: a COCO file, or the sample file that the completions were generated from.

A COCO file has what samples lack: crowds, mask areas, and images without a question. A sample file has every task, and
may hold several data sets.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verl_vision_r1.data.parquet_checks import READERS, checked_rows
from verl_vision_r1.evaluation.predictions.arrays import GroundTruth
from verl_vision_r1.evaluation.predictions.ground_truth import ground_truth_of_samples, read_coco_ground_truth
from verl_vision_r1.evaluation.predictions.predictions_file import Line
from verl_vision_r1.shown import printable, shown
from verl_vision_r1.targets import Target

Key = tuple[str, ...]
"""Identifies a question: image, kind and subject; in a sample file the ground truth as well."""

BOXES_OF_CATEGORIES: Final = ("categories", "category")
BASES: Final = {
    "samples": "questions of the sample file; other objects in its images do not count as missed",
    "images": "one question for each image, about all categories",
    "objects": "one question for each category that an image contains",
    "list": "questions of the category list; objects of other categories count as missed",
}
"""Which questions the predictions must answer, in words."""


@dataclass(frozen=True, eq=False)
class AnnotatedSet:
    """The annotations of one data set, and the questions that its predictions must answer.

    Attributes:
        name: Its `data_source`.
        task: Its task.
        questions: How many predictions each question needs.
        truth: The ground truth of detection; None for other tasks.
        basis: Where the questions come from, one of `BASES`.
    """

    name: str
    task: str
    questions: Counter[Key]
    truth: GroundTruth | None = None
    basis: str = "samples"

    def key_of(self, line: Line) -> Key:
        """The key of the question that a prediction answers."""
        key = (line.image_id, line.question, line.subject)
        return (*key, line.ground_truth) if self.basis == "samples" else key


def read_annotations(
    path: Path, lines: Sequence[Line], category_list: dict[str, list[str]] | None = None
) -> list[AnnotatedSet]:
    """Read the annotations of all data sets in a file.

    Args:
        path: COCO JSON, or a sample file (`.parquet` or `.jsonl`).
        lines: The predictions. For a COCO file they tell whether one question covers all categories.
        category_list: The categories that each image should be asked about.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file has another format, or the predictions for a COCO file are of several data sets or kinds
            of questions.
    """
    if path.suffix in READERS:
        if category_list is not None:
            raise ValueError(
                f"--category-list: expected a COCO file as --annotations, which has the objects that the list omits,"
                f" got the sample file {path}"
            )
        return list(_sets_of_samples(path))
    truth = read_coco_ground_truth(path)
    kinds = {(line.data_source, line.question) for line in lines}
    if len(kinds) != 1 or not {question for _, question in kinds} <= set(BOXES_OF_CATEGORIES):
        raise ValueError(
            f"{path}: expected predictions for one data set and one kind of question,"
            f" {' or '.join(BOXES_OF_CATEGORIES)}, got {shown(sorted(kinds))};"
            " else pass the sample file as --annotations"
        )
    ((name, question),) = kinds
    _expect_sizes(truth, lines, path)
    basis = "list" if category_list is not None else "images" if question == "categories" else "objects"
    questions: Counter[Key] = _questions_of_objects(truth)
    if category_list is not None:
        questions = _questions_of_list(category_list, truth)
    elif question == "categories":
        questions = Counter((image, question, "") for image in truth.images)
    return [AnnotatedSet(name, "detection", questions, truth, basis)]


def _expect_sizes(truth: GroundTruth, lines: Sequence[Line], path: Path) -> None:
    sizes = dict(zip(truth.images, truth.sizes, strict=False))
    for line in lines:
        size, expected = (line.target.width, line.target.height), sizes.get(line.image_id)
        if expected not in (None, size):
            where = f"{path}: image {printable(line.image_id)}"
            raise ValueError(
                f"{where}: expected {expected} pixels, got {size} in line {line.number}"
                " of the predictions file: it belongs to another data set, or to another version of this one"
            )


def _questions_of_objects(truth: GroundTruth) -> Counter[Key]:
    objects = zip(truth.image[~truth.crowd].tolist(), truth.category[~truth.crowd].tolist(), strict=True)
    return Counter({(truth.images[image], "category", truth.categories[category]) for image, category in objects})


def _questions_of_list(category_list: dict[str, list[str]], truth: GroundTruth) -> Counter[Key]:
    for what, listed, known in (
        ("images", set(category_list), set(truth.images)),
        ("categories", {name for names in category_list.values() for name in names}, set(truth.categories)),
    ):
        if unknown := listed - known:
            raise ValueError(
                f"--category-list: expected {what} among the {len(known)} of the annotations,"
                f" got {len(unknown)} unknown, such as {shown(min(unknown))}"
            )
    return Counter((image, "category", name) for image, names in category_list.items() for name in names)


def _sets_of_samples(path: Path) -> Iterator[AnnotatedSet]:
    samples: dict[tuple[str, str], list[tuple[Key, Target, str]]] = {}
    for row, target in checked_rows(path, images=False):
        extra, ground_truth = row["extra_info"], row["reward_model"]["ground_truth"]
        question, subject = extra.get("question") or "", extra.get("subject") or ""
        if not isinstance(question, str) or not isinstance(subject, str):
            got = shown([question, subject])
            raise ValueError(f"{path}: extra_info: expected strings in question and subject, got {got}")
        key = (extra["image_id"], question, subject, ground_truth)
        file = str(row["images"][0].get("image") or "") if row["images"] else ""
        samples.setdefault((row["data_source"], target.task), []).append((key, target, file))
    for (name, task), own in samples.items():
        if other := [known for other_name, known in samples if other_name == name and known != task]:
            raise ValueError(f"{path}: expected one task for the data_source {shown(name)}, got {task} and {other[0]}")
        questions = Counter(key for key, _, _ in own)
        if task != "detection":
            yield AnnotatedSet(name, task, questions)
            continue
        _expect_each_once(path, name, questions)
        truth = ground_truth_of_samples((key[0], key[1], target, file) for key, target, file in own)
        yield AnnotatedSet(name, task, questions, truth)


def _expect_each_once(path: Path, name: str, questions: Counter[Key]) -> None:
    if set(BOXES_OF_CATEGORIES) <= {key[1] for key in questions}:
        raise ValueError(
            f"{path}: expected one kind of question for {shown(name)}, {' or '.join(BOXES_OF_CATEGORIES)}, got both:"
            " every object would count twice"
        )
    key, count = questions.most_common(1)[0]
    if count > 1:
        raise ValueError(
            f"{path}: expected each question once, got {printable(' '.join(key[:3]))} of {shown(name)} {count} times"
        )
