"""What the answers are held against: a COCO file, or the file of rows that was asked.

A COCO file has what rows have not: crowds, the areas of outlines, images that nobody asked about. Rows have every
task, and several data sets side by side.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verl_vision_r1.data.row_checks import checked_rows
from verl_vision_r1.evaluation.dump import Line
from verl_vision_r1.evaluation.tables import Truth
from verl_vision_r1.evaluation.truth import read_coco_truth, truth_of_rows
from verl_vision_r1.targets import Target

Key = tuple[str, ...]
"""What a question is known by: image, kind, subject; where it has no boxes of categories, its ground truth as well."""

ROWS: Final = (".parquet", ".jsonl")
BOXES_OF_CATEGORIES: Final = ("categories", "category")


@dataclass(frozen=True, eq=False)
class AnnotatedSet:
    """One data set, and what was to be asked about it.

    Attributes:
        name: Its `data_source`.
        task: Its task.
        questions: How often each question is to be answered.
        truth: What is in the images; None for tasks other than detection.
        listed: Whether a list says which categories were to be asked about, rather than what is in the image.
    """

    name: str
    task: str
    questions: Counter[Key]
    truth: Truth | None = None
    listed: bool = False


def key_of(task: str, image_id: str, question: str, subject: str, ground_truth: str) -> Key:
    """What a question is known by."""
    return (image_id, question, subject, *([] if task == "detection" else [ground_truth]))


def read_annotations(
    path: Path, lines: Sequence[Line], existence: dict[str, list[str]] | None = None
) -> list[AnnotatedSet]:
    """The sets that a file describes.

    Args:
        path: COCO JSON, or a `.parquet` or `.jsonl` file of rows.
        lines: The answers: of a COCO file they say whether all categories were asked about at once.
        existence: The categories that each image was to be asked about.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is neither; or the answers to a COCO file's images are of several data sets or kinds.
    """
    if path.suffix in ROWS:
        return list(_sets_of_rows(path, existence))
    truth = read_coco_truth(path)
    kinds = {(line.data_source, line.question) for line in lines}
    if len(kinds) != 1 or not {question for _, question in kinds} <= set(BOXES_OF_CATEGORIES):
        raise ValueError(
            f"{path}: expected answers of one data set to questions of one kind, {' or '.join(BOXES_OF_CATEGORIES)},"
            f" got {sorted(kinds)}; for others take the file of rows that was asked as --annotations"
        )
    ((name, question),) = kinds
    return [AnnotatedSet(name, "detection", _questions(truth, question, existence), truth, existence is not None)]


def _questions(truth: Truth, question: str, existence: dict[str, list[str]] | None) -> Counter[Key]:
    if existence is not None:
        return _listed(existence, truth)
    if question == "categories":
        return Counter((image, question, "") for image in truth.images)
    held = zip(truth.image[~truth.crowd].tolist(), truth.category[~truth.crowd].tolist(), strict=True)
    return Counter({(truth.images[image], question, truth.categories[category]) for image, category in held})


def _listed(existence: dict[str, list[str]], truth: Truth) -> Counter[Key]:
    unknown = existence.keys() - set(truth.images)
    if unknown:
        raise ValueError(
            f"--existence: expected images of the annotations' {len(truth.images)}, got {len(unknown)} others, such as"
            f" {min(unknown)!r}"
        )
    return Counter((image, "category", name) for image, names in existence.items() for name in names)


def _sets_of_rows(path: Path, existence: dict[str, list[str]] | None) -> Iterator[AnnotatedSet]:
    rows: dict[tuple[str, str], list[tuple[Key, Target, str]]] = {}
    for row, target in checked_rows(path, images=False):
        extra, ground_truth = row["extra_info"], row["reward_model"]["ground_truth"]
        asked = (extra["image_id"], extra.get("question") or "", extra.get("subject") or "")
        key = key_of(target.task, *asked, ground_truth)
        file = str(row["images"][0].get("image") or "") if row["images"] else ""
        rows.setdefault((row["data_source"], target.task), []).append((key, target, file))
    for (name, task), held in rows.items():
        if other := [known for other_name, known in rows if other_name == name and known != task]:
            raise ValueError(f"{path}: expected one task for the data_source {name!r}, got {task} and {other[0]}")
        questions = Counter(key for key, _, _ in held)
        if task != "detection":
            yield AnnotatedSet(name, task, questions)
            continue
        if set(BOXES_OF_CATEGORIES) <= {key[1] for key in questions}:
            raise ValueError(
                f"{path}: expected questions of one kind about {name!r}, {' or '.join(BOXES_OF_CATEGORIES)}, got both:"
                " every object would be looked for twice"
            )
        truth = truth_of_rows((key[0], key[1], target, file) for key, target, file in held)
        if existence is not None:
            questions = _listed(existence, truth)
        yield AnnotatedSet(name, task, questions, truth, listed=True)
