"""The training data of Visual-RFT: `laolao77/ViRFT_COCO`, `laolao77/ViRFT_CLS_flower_4_shot` and the like on the hub.

Published with arXiv 2503.01785; their licence is not known to us. A row is one question, in the words and with the
answer that the release trains on, and both are kept: the presets of the release read the answer as it stands.

    problem: "Detect all objects belonging to the category 'bear' in the image, and provide the bounding boxes
        (between 0 and 1000, integer) and confidence (between 0 and 1, with two decimal places). ..."
    solution: "<answer>[{'Position': [1, 364, 98, 649], 'Confidence': 1}]</answer>"

    problem: "This is an image containing a plant. Please identify the species of the plant based on the image. ..."
    solution: "<answer>garden phlox</answer>"

Both have an `image`, and nothing more. The frame of the boxes is 1000 by 1000, whatever the image's size.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from verl_vision_r1.boxes import NO_BOXES, as_boxes
from verl_vision_r1.data.readers.entries import value_of
from verl_vision_r1.data.readers.hub import Dataset, ImageStore, expect_columns, load
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Parts, Read, Sample, clip_box
from verl_vision_r1.frames import to_frame
from verl_vision_r1.prompts import PLACEHOLDERS
from verl_vision_r1.rewards.answers.tagged import parse_tagged_boxes, parse_tagged_text
from verl_vision_r1.targets import Target

Row = dict[str, Any]

COLUMNS: Final = ("image", "problem", "solution")
FRAME: Final = (1000, 1000)
CATEGORY: Final = re.compile(r"belonging to the category '(\S.*?)' in the image")
THING: Final = re.compile(r"\bidentify the \w+ of the (\w+)")


def find(source: str) -> Parts:
    """The parts of one of the data sets: a folder of it, or its name on the hub.

    Raises:
        FileNotFoundError: There is no such folder, and nothing came from the hub.
        ValueError: It is another data set.
    """
    parts = load(source)
    expect_columns(source, parts, "a ViRFT data set", COLUMNS)
    for part, dataset in parts.items():
        if others := {"width", "height", "target_id_maps"}.intersection(dataset.column_names):
            raise ValueError(
                f"{source}: expected a ViRFT data set with the columns {', '.join(COLUMNS)} alone, got"
                f" {', '.join(sorted(others))} too in {part!r}, as Vision-R1-Data has"
            )
    return {part: _reader(dataset, source, part) for part, dataset in parts.items()}


def _reader(dataset: Dataset, source: str, part: str) -> Read:
    return lambda on_problem, images: read_virft(
        dataset, ImageStore(images, source, part), f"{source} {part}", on_problem
    )


def read_virft(dataset: Dataset, images: ImageStore, where: str, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read one part, row by row. A row with a bad box is left out: its answer would be wrong without it.

    Args:
        dataset: The rows, their images undecoded.
        images: Where the images go.
        where: What a message begins with: the data set and the part.
        on_problem: Told about each bad row.

    Yields:
        Samples with the questions "category" and "class", in the words of the row.

    Raises:
        ValueError: A row is wrong, and `on_problem` raises.
    """
    for index, row in enumerate(dataset):
        try:
            sample = _sample(row, index, images, f"{where} row {index}")
        except ValueError as problem:
            on_problem(problem)
        else:
            yield sample


def _sample(row: Row, index: int, images: ImageStore, where: str) -> Sample:
    problem, solution = (value_of(row, key, str, where) for key in ("problem", "solution"))
    category, thing = CATEGORY.search(problem), THING.search(problem)
    if not category and not thing:
        raise ValueError(
            f'{where}: expected a problem that asks for "the category \'...\'" or to "identify the ... of the ...",'
            f" got {problem!r:.160}"
        )
    path, image_id = images.add(row["image"], index, where)
    words = problem.removeprefix("<image>").lstrip()
    if any(mark in words for mark in PLACEHOLDERS):
        raise ValueError(f"{where}: expected a problem about one image, got {problem!r:.160}")
    if category:
        target = _detection(category[1], solution, shown_size(path), where)
        return Sample(path, image_id, target, "category", category[1], words)
    assert thing is not None
    target = _classification(solution, shown_size(path), where)
    return Sample(path, image_id, target, "class", thing[1], words)


def _detection(category: str, solution: str, size: tuple[int, int], where: str) -> Target:
    answer = parse_tagged_boxes(solution, FRAME)
    if not answer.parsed or answer.malformed:
        raise ValueError(
            f"{where}: expected <answer>[{{'Position': [x1, y1, x2, y2], 'Confidence': 1}}, ...]</answer> or"
            f" <answer>No Objects</answer>, got {solution!r:.160}"
        )
    boxes = [clip_box(box, *size, f"{where} solution") for box in to_frame(answer.boxes, FRAME, size).tolist()]
    return Target(as_boxes(boxes), (category,) * len(boxes), *size, (category,), solution=solution)


def _classification(solution: str, size: tuple[int, int], where: str) -> Target:
    name = parse_tagged_text(solution, FRAME).content
    if not name:
        raise ValueError(f"{where}: expected <answer>name of the class</answer>, got {solution!r:.160}")
    return Target(NO_BOXES, (name,), *size, task="classification", solution=solution)
