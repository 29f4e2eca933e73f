"""The training data of Visual-RFT: `laolao77/ViRFT_COCO`, `laolao77/ViRFT_CLS_flower_4_shot` and others on the Hub.

Published with arXiv 2503.01785; we do not know their licence. A row is one question with the prompt and the reference
answer of the release. Both are kept: the presets of the release read the reference answer verbatim.

    problem: "Detect all objects belonging to the category 'bear' in the image, and provide the bounding boxes
        (between 0 and 1000, integer) and confidence (between 0 and 1, with two decimal places). ..."
    solution: "<answer>[{'Position': [1, 364, 98, 649], 'Confidence': 1}]</answer>"

    problem: "This is an image containing a plant. Please identify the species of the plant based on the image. ..."
    solution: "<answer>garden phlox</answer>"

Each row also has an `image`, and nothing more. The frame of the boxes is 1000 x 1000 for every image size.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from verl_vision_r1.boxes import NO_BOXES, as_boxes
from verl_vision_r1.data.readers.entries import value_of
from verl_vision_r1.data.readers.hub import Dataset, ImageStore, expect_columns, load
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, fit_box
from verl_vision_r1.frames import to_frame
from verl_vision_r1.prompts import PLACEHOLDERS
from verl_vision_r1.rewards.answers.tagged import parse_tagged_boxes, parse_tagged_text
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

Row = dict[str, Any]

COLUMNS: Final = ("image", "problem", "solution")
FRAME: Final = (1000, 1000)
CATEGORY: Final = re.compile(r"belonging to the category '(\S.*?)' in the image")
KIND: Final = re.compile(r"\bidentify the \w+ of the (\w+)")


def find(source: str) -> Splits:
    """The splits of one of the datasets: its folder, or its name on the Hub.

    Raises:
        FileNotFoundError: The folder does not exist, and the Hub has no such dataset or is unreachable.
        ValueError: It is another dataset.
    """
    splits = load(source)
    expect_columns(source, splits, "a ViRFT dataset", COLUMNS)
    for split, dataset in splits.items():
        if others := {"width", "height", "target_id_maps"}.intersection(dataset.column_names):
            raise ValueError(
                f"{source}: expected a ViRFT dataset with only the columns {', '.join(COLUMNS)}, got also"
                f" {', '.join(sorted(others))} in {split!r}, the columns of Vision-R1-Data"
            )
    return {split: _reader(dataset, source, split) for split, dataset in splits.items()}


def _reader(dataset: Dataset, source: str, split: str) -> Read:
    return lambda on_problem, images: read_virft(
        dataset, ImageStore(images, source, split), f"{source} {split}", on_problem
    )


def read_virft(dataset: Dataset, images: ImageStore, where: str, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read one split, row by row. A row with an invalid box is skipped: without the box its ground truth is wrong.

    Args:
        dataset: The rows, with undecoded images.
        images: Store for the embedded images.
        where: Location for error messages: the dataset and the split.
        on_problem: Called with the error of each invalid row.

    Yields:
        Samples with the questions "category" and "class", and the prompt of the row.

    Raises:
        ValueError: A row is invalid, and `on_problem` raises.
    """
    reading = Reading.of(on_problem)
    for index, row in enumerate(dataset):
        try:
            sample = _sample(row, index, images, f"{where} row {index}", reading)
        except ValueError as problem:
            reading.defect(problem, "defective row")
        else:
            yield sample


def _sample(row: Row, index: int, images: ImageStore, where: str, reading: Reading) -> Sample:
    problem, solution = (value_of(row, key, str, where) for key in ("problem", "solution"))
    category, kind = CATEGORY.search(problem), KIND.search(problem)
    if not category and not kind:
        raise ValueError(
            f'{where}: expected a problem that asks for "the category \'...\'" or to "identify the ... of the ...",'
            f" got {shown(problem)}"
        )
    path, image_id = images.add(row["image"], index, where)
    prompt = problem.removeprefix("<image>").lstrip()
    if any(placeholder in prompt for placeholder in PLACEHOLDERS):
        raise ValueError(f"{where}: expected a problem about one image, got {shown(problem)}")
    if category:
        target = _detection(category[1], solution, shown_size(path), where, reading)
        return Sample(path, image_id, target, "category", category[1], prompt, annotations=1)
    assert kind is not None
    target = _classification(solution, shown_size(path), where)
    return Sample(path, image_id, target, "class", kind[1], prompt, annotations=1)


def _detection(category: str, solution: str, size: tuple[int, int], where: str, reading: Reading) -> Target:
    answer = parse_tagged_boxes(solution, FRAME)
    if not answer.parsed or answer.malformed:
        raise ValueError(
            f"{where}: expected <answer>[{{'Position': [x1, y1, x2, y2], 'Confidence': 1}}, ...]</answer> or"
            f" <answer>No Objects</answer>, got {shown(solution)}"
        )
    found = to_frame(answer.boxes, FRAME, size).tolist()
    boxes = [fit_box(box, size, f"{where} solution", reading) for box in found]
    return Target(as_boxes(boxes), (category,) * len(boxes), *size, (category,), solution=solution)


def _classification(solution: str, size: tuple[int, int], where: str) -> Target:
    name = parse_tagged_text(solution, FRAME).content
    if not name:
        raise ValueError(f"{where}: expected <answer>name of the class</answer>, got {shown(solution)}")
    return Target(NO_BOXES, (name,), *size, task="classification", solution=solution)
