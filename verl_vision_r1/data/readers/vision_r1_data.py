"""The training data of Vision-R1: `JefferyZhan/Vision-R1-Data` on the Hugging Face Hub.

Published with arXiv 2503.18013 (49 thousand questions about images of COCO, ODINW, V3Det, RefCOCO and Visual Genome),
for non-commercial use (CC BY-NC 4.0). A row is one question in one of three prompt templates of Griffon-G; only the
text tells which. The text is not kept: the run's prompt template replaces it.

    problem: "Examine the image for any objects from the category set. Report the coordinates of each detected object.
        The category set includes cat, dog."
    solution: '[["cat", [[100, 100, 300, 300]]], ["dog", [[500, 500, 700, 700]]]]'   (JSON, xyxy in pixels)
    target_id_maps: '{"cat": 1, "dog": 2}'   (JSON, lower case)
    width: 1000, height: 800, num_instances: 2, image: the image itself
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.hub import Dataset, ImageStore, expect_columns, load
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, read_box
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target, normalise_label

Row = dict[str, Any]

COLUMNS: Final = ("image", "problem", "solution", "width", "height")
TEMPLATES: Final = {
    "categories": re.compile(
        r"Examine the image for any objects from the category set\..*?The category set includes (.+?)\.?", re.DOTALL
    ),
    "category": re.compile(r"Locate the exact position of (.+) in the picture, if you can\.?", re.DOTALL),
    "expression": re.compile(
        r"Can you point out (.+) in the image and provide the coordinates of its location\?", re.DOTALL
    ),
}
"""Recognises each question; the group is its subject."""


def find(source: str) -> Splits:
    """The splits of the dataset: its folder, or its name on the Hub.

    Raises:
        FileNotFoundError: The folder does not exist, and the Hub has no such dataset or is unreachable.
        ValueError: It is another dataset.
    """
    splits = load(source)
    expect_columns(source, splits, "Vision-R1-Data", COLUMNS)
    return {split: _reader(dataset, source, split) for split, dataset in splits.items()}


def _reader(dataset: Dataset, source: str, split: str) -> Read:
    return lambda on_problem, images: read_vision_r1(
        dataset, ImageStore(images, source, split), f"{source} {split}", on_problem
    )


def read_vision_r1(dataset: Dataset, images: ImageStore, where: str, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read one split, row by row.

    A question about one category or expression with an invalid box is skipped. A solution without boxes makes a
    negative sample. `image_id` is the row's `ids`, if it has one.

    Args:
        dataset: The rows, with undecoded images.
        images: Store for the embedded images.
        where: Location for error messages: the dataset and the split.
        on_problem: Called with the error of each invalid box and row.

    Yields:
        Samples with the questions "categories", "category" and "expression".

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
    width, height = (_pixels(row, key, where) for key in ("width", "height"))
    items, keys = _items(row, where), _keys(row, where)
    question, names = _asked(row, keys, [label for label, _ in items], where)
    spelling = {normalise_label(name): name for name in names}
    boxes, labels, uncertain = [], [], set()
    for place, (label, box) in enumerate(items):
        name = names[0] if question == "expression" else spelling.get(normalise_label(label), "")
        at = f"{where} solution[{place}]"
        try:
            if not name:
                raise ValueError(f"{at}: expected one of the categories {shown(list(names))}, got {shown(label)}")
            boxes.append(read_box(box, (width, height), at, reading))
            labels.append(name)
        except ValueError as problem:
            uncertain.add(name)
            (reading if question == "categories" else fail)(problem)
    closed, task = (names, "detection") if question != "expression" else ((), "grounding")
    path, image_id = images.add(row["image"], index, where, _image_id(row))
    target = Target(as_boxes(boxes), tuple(labels), width, height, closed, task)
    subject = "" if question == "categories" else names[0]
    return Sample(path, image_id, target, question, subject, uncertain=frozenset(uncertain), annotations=1)


def _image_id(row: Row) -> str:
    given = row.get("ids")
    return str(given).strip() if isinstance(given, str | int) else ""


def _pixels(row: Row, key: str, where: str) -> int:
    if not isinstance(row[key], int) or row[key] < 1:
        raise ValueError(f"{where}: expected {key!r} to be a whole number of pixels above 0, got {shown(row[key])}")
    return int(row[key])


def _asked(row: Row, keys: Collection[str], labels: Collection[str], where: str) -> tuple[str, tuple[str, ...]]:
    """The kind of question, and the names it asks about."""
    problem = row["problem"] if isinstance(row["problem"], str) else ""
    for question, template in TEMPLATES.items():
        found = template.fullmatch(problem.removeprefix("<image>").strip())
        if found and (about := found[1].strip(" ,")):
            if question == "expression" or (question == "category" and not keys):
                return question, (about,)
            names = _names(about, keys, labels)
            # Some questions in the template for one category ask for several.
            return (question if len(names) == 1 else "categories"), names
    raise ValueError(f"{where}: expected a problem in one of Vision-R1's prompt templates, got {shown(problem)}")


def _names(listed: str, keys: Collection[str], labels: Collection[str]) -> tuple[str, ...]:
    """The names of a list. A name in `target_id_maps` may contain the separator itself."""
    pieces, names = listed.split(", "), []
    longest = max((key.count(", ") for key in keys), default=0) + 1
    while pieces:
        joined = {count: ", ".join(pieces[:count]) for count in range(min(longest, len(pieces)), 0, -1)}
        taken = next((count for count, name in joined.items() if normalise_label(name) in keys), 1)
        names.append(joined[taken].strip())
        pieces = pieces[taken:]
    read = {normalise_label(name) for name in names}
    if read <= set(keys) or read >= set(keys):
        return tuple(dict.fromkeys(filter(None, names)))
    # The list has another, unknown separator.
    spelling = {normalise_label(label): label for label in labels}
    return tuple(spelling.get(key, key) for key in keys)


def _keys(row: Row, where: str) -> list[str]:
    given = row.get("target_id_maps")
    maps = _json(given, f"{where} target_id_maps") if given else {}
    if not isinstance(maps, dict):
        raise ValueError(f"{where} target_id_maps: expected JSON {{name: number}}, got {shown(given)}")
    return [key for key in map(normalise_label, maps) if key]


def _items(row: Row, where: str) -> list[tuple[str, Any]]:
    """(label, box) for each box."""
    document, found = _json(row["solution"], f"{where} solution"), []
    if not isinstance(document, list):
        raise ValueError(f"{where} solution: expected a JSON list, got {shown(document)}")
    for place, item in enumerate(document):
        if not isinstance(item, list) or list(map(type, item)) != [str, list]:
            raise ValueError(f"{where} solution[{place}]: expected [label, [[x1, y1, x2, y2]]], got {shown(item)}")
        label, boxes = item
        several = bool(boxes) and all(isinstance(box, list) for box in boxes)
        found += [(label.strip(), box) for box in (boxes if several else [boxes])]
    return found


def _json(text: Any, where: str) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{where}: expected a JSON string, got {shown(text)}: {error}") from error
