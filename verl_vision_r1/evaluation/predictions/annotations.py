"""What the answers are held against: a COCO file, or the file of rows that was asked.

A COCO file has what rows have not: crowds, the areas of outlines, images that nobody asked about. Rows have every
task, and several data sets side by side.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verl_vision_r1.data.parquet_checks import READERS, checked_rows
from verl_vision_r1.evaluation.predictions.arrays import GroundTruth
from verl_vision_r1.evaluation.predictions.ground_truth import read_coco_truth, truth_of_rows
from verl_vision_r1.evaluation.predictions.predictions_file import Line
from verl_vision_r1.targets import Target

Key = tuple[str, ...]
"""What a question is known by: image, kind and subject; of rows its ground truth as well."""

BOXES_OF_CATEGORIES: Final = ("categories", "category")
BASES: Final = {
    "rows": "asked was what the rows ask; what they do not ask about is not missed",
    "images": "asked was every image about all categories",
    "objects": "asked was every image about the categories that are in it, one by one",
    "list": "asked was what the existence list names; what it leaves out is missed",
}
"""What says which questions were to be asked, in words."""


@dataclass(frozen=True, eq=False)
class AnnotatedSet:
    """One data set, and what was to be asked about it.

    Attributes:
        name: Its `data_source`.
        task: Its task.
        questions: How often each question is to be answered.
        truth: What is in the images; None for tasks other than detection.
        basis: What says which questions were to be asked, one of `BASES`.
    """

    name: str
    task: str
    questions: Counter[Key]
    truth: GroundTruth | None = None
    basis: str = "rows"

    def key_of(self, line: Line) -> Key:
        """What the question of an answer is known by."""
        key = (line.image_id, line.question, line.subject)
        return (*key, line.ground_truth) if self.basis == "rows" else key


def read_annotations(
    path: Path, lines: Sequence[Line], category_list: dict[str, list[str]] | None = None
) -> list[AnnotatedSet]:
    """The sets that a file describes.

    Args:
        path: COCO JSON, or a `.parquet` or `.jsonl` file of rows.
        lines: The answers: of a COCO file they say whether all categories were asked about at once.
        category_list: The categories that each image was to be asked about.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is neither; or the answers to a COCO file's images are of several data sets or kinds.
    """
    if path.suffix in READERS:
        if category_list is not None:
            raise ValueError(
                f"--category-list: expected a COCO file beside it, which has what the list lacks, got the rows {path}"
            )
        return list(_sets_of_rows(path))
    truth = read_coco_truth(path)
    kinds = {(line.data_source, line.question) for line in lines}
    if len(kinds) != 1 or not {question for _, question in kinds} <= set(BOXES_OF_CATEGORIES):
        raise ValueError(
            f"{path}: expected answers of one data set to questions of one kind, {' or '.join(BOXES_OF_CATEGORIES)},"
            f" got {sorted(kinds)}; for others take the file of rows that was asked as --annotations"
        )
    ((name, question),) = kinds
    _expect_sizes(truth, lines, path)
    basis = "list" if category_list is not None else "images" if question == "categories" else "objects"
    questions: Counter[Key] = _objects(truth)
    if category_list is not None:
        questions = _listed(category_list, truth)
    elif question == "categories":
        questions = Counter((image, question, "") for image in truth.images)
    return [AnnotatedSet(name, "detection", questions, truth, basis)]


def _expect_sizes(truth: GroundTruth, lines: Sequence[Line], path: Path) -> None:
    sizes = dict(zip(truth.images, truth.sizes, strict=False))
    for line in lines:
        size, expected = (line.target.width, line.target.height), sizes.get(line.image_id)
        if expected not in (None, size):
            raise ValueError(
                f"{path}: image {line.image_id}: expected {expected} pixels, got {size} in line {line.number} of the"
                " dump: it answers another data set, or another version of it"
            )


def _objects(truth: GroundTruth) -> Counter[Key]:
    held = zip(truth.image[~truth.crowd].tolist(), truth.category[~truth.crowd].tolist(), strict=True)
    return Counter({(truth.images[image], "category", truth.categories[category]) for image, category in held})


def _listed(category_list: dict[str, list[str]], truth: GroundTruth) -> Counter[Key]:
    for what, given, known in (
        ("images", set(category_list), set(truth.images)),
        ("categories", {name for names in category_list.values() for name in names}, set(truth.categories)),
    ):
        if unknown := given - known:
            raise ValueError(
                f"--category-list: expected {what} of the annotations' {len(known)}, got {len(unknown)} more, such as"
                f" {min(unknown)!r}"
            )
    return Counter((image, "category", name) for image, names in category_list.items() for name in names)


def _sets_of_rows(path: Path) -> Iterator[AnnotatedSet]:
    rows: dict[tuple[str, str], list[tuple[Key, Target, str]]] = {}
    for row, target in checked_rows(path, images=False):
        extra, ground_truth = row["extra_info"], row["reward_model"]["ground_truth"]
        key = (extra["image_id"], extra.get("question") or "", extra.get("subject") or "", ground_truth)
        file = str(row["images"][0].get("image") or "") if row["images"] else ""
        rows.setdefault((row["data_source"], target.task), []).append((key, target, file))
    for (name, task), held in rows.items():
        if other := [known for other_name, known in rows if other_name == name and known != task]:
            raise ValueError(f"{path}: expected one task for the data_source {name!r}, got {task} and {other[0]}")
        questions = Counter(key for key, _, _ in held)
        if task != "detection":
            yield AnnotatedSet(name, task, questions)
            continue
        _expect_each_once(path, name, questions)
        truth = truth_of_rows((key[0], key[1], target, file) for key, target, file in held)
        yield AnnotatedSet(name, task, questions, truth)


def _expect_each_once(path: Path, name: str, questions: Counter[Key]) -> None:
    if set(BOXES_OF_CATEGORIES) <= {key[1] for key in questions}:
        raise ValueError(
            f"{path}: expected questions of one kind about {name!r}, {' or '.join(BOXES_OF_CATEGORIES)}, got both:"
            " every object would be looked for twice"
        )
    key, count = questions.most_common(1)[0]
    if count > 1:
        raise ValueError(f"{path}: expected each question once, got {count} times {' '.join(key[:3])} of {name!r}")
