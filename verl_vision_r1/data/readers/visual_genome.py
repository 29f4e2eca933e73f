"""Referring expressions for several objects: the regions of Visual Genome, or a custom list.

Published at https://homes.cs.washington.edu/~ranjay/visualgenome (CC BY 4.0): `region_descriptions.json` with the
phrases of each image, and `image_data.json` with its size and URL. Regions with the same phrase become one expression
with several boxes.

    [{"id": 1, "regions": [{"region_id": 1382, "image_id": 1, "phrase": "the clock is green in colour", "x": 421,
                            "y": 57, "width": 82, "height": 139}]}]

    [{"image_id": 1, "width": 800, "height": 600, "url": "https://cs.stanford.edu/people/rak248/VG_100K_2/1.jpg"}]

A custom `expressions.jsonl`, or the same objects as a list in `expressions.json`, has one expression per entry, with
all its boxes in `xyxy`; an expression without boxes makes a negative sample:

    {"image": "a.jpg", "expression": "red cars", "boxes": [[10, 20, 110, 80]], "width": 640, "height": 480}
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from verl_vision_r1.boxes import as_boxes, pairwise_iou
from verl_vision_r1.data.readers.entries import (
    Entry,
    Key,
    corners,
    id_of,
    json_array,
    json_lines,
    size_of,
    text_of,
    value_of,
)
from verl_vision_r1.data.readers.folders import contents, existing, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail, short
from verl_vision_r1.data.readers.samples import (
    ImageNames,
    Sample,
    Splits,
    expression_sample,
    find_image,
    fit_box,
    read_box,
)
from verl_vision_r1.shown import shown

SAME_OBJECT: Final = 0.9
"""Boxes of one phrase with a higher IoU are one object that was annotated twice."""

REGIONS, IMAGES = "region_descriptions.json", "image_data.json"


def find(source: str) -> Splits:
    """`region_descriptions.json` with `image_data.json`; or `expressions.jsonl`, or `expressions.json`.

    The images are in the folder or its `images/`; those of Visual Genome in `VG_100K/` and `VG_100K_2/` there.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has no such files, or several of them.
    """
    folder = expect_folder(source)
    images = existing([folder, folder / "images"])
    names = [name for name in (REGIONS, "expressions.jsonl", "expressions.json") if (folder / name).is_file()]
    if names == [REGIONS] and (folder / IMAGES).is_file():
        return {"all": lambda on_problem, _: read_regions(folder, *images, on_problem=on_problem)}
    if len(names) == 1 and names != [REGIONS]:
        return {"all": lambda on_problem, _: read_expressions(folder / names[0], *images, on_problem=on_problem)}
    raise ValueError(
        f"{source}: expected {REGIONS} with {IMAGES}, or one of expressions.jsonl and expressions.json, got a folder"
        f" that contains {contents(folder)}"
    )


def read_regions(folder: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read the regions of Visual Genome, image by image in the order of the file.

    Phrases are equal if they differ only in case, spacing or a final full stop. A phrase with an invalid box is
    skipped as a whole: a model that finds this object would be scored as wrong.

    Args:
        folder: Folder of the two files.
        images: Folders to search for `VG_100K_2/1.jpg`, in this order.
        on_problem: Called with the error of each invalid image and region. Errors of a file as a whole always raise.

    Yields:
        One sample per phrase. `image_id` is the file name without extension.

    Raises:
        FileNotFoundError: A file or an image does not exist.
        ValueError: A file is not JSON, an id is repeated or unknown, a phrase is blank, or a box is invalid.
    """
    reading = Reading.of(on_problem)
    sizes = _images(folder / IMAGES, reading)
    seen: set[Key] = set()
    for where, entry in json_array(folder / REGIONS, reading):
        regions = entry.get("regions")
        try:
            # Some versions call the field `image_id`.
            number = id_of(entry, "id" if "id" in entry else "image_id", where)
            if number not in sizes or number in seen:
                raise ValueError(f"{where}: expected the id of an image in {IMAGES}, each once, got {short(number)}")
            seen.add(number)
            size, regions = size_of(sizes[number], where), value_of(entry, "regions", list, where)
            name = "/".join(PurePosixPath(value_of(sizes[number], "url", str, where)).parts[-2:])
            image = find_image(images, [name], where)
        except (ValueError, OSError) as problem:
            reading.defect(problem, "image missing or defective", len(regions) if isinstance(regions, list) else 0)
            continue
        for expression, boxes in _expressions(regions, size, where, reading):
            yield expression_sample(image, image.stem, expression, boxes, size)


def _images(path: Path, reading: Reading) -> dict[Key, Entry]:
    entries: dict[Key, Entry] = {}
    for where, entry in json_array(path, reading):
        try:
            number = id_of(entry, "image_id", where)
            if number in entries:
                raise ValueError(f"{where}: expected a unique image_id, got {short(number)}")
            entries[number] = entry
        except ValueError as problem:
            reading(problem)
    return entries


def _expressions(
    regions: Sequence[object], size: tuple[int, int], where: str, reading: Reading
) -> Iterator[tuple[str, list[list[float]]]]:
    found: dict[str, tuple[str, list[list[float]]]] = {}
    incomplete = set()
    for number, region in enumerate(regions):
        place, key = f"{where} region {number}", ""
        try:
            if not isinstance(region, dict):
                raise ValueError(f"{place}: expected a JSON object, got {shown(region)}")
            phrase = text_of({"phrase": tidy(value_of(region, "phrase", str, place))}, "phrase", place)
            key = phrase.casefold()
            sides = corners([region.get(side) for side in ("x", "y", "width", "height")], place)
            box = fit_box(sides, size, place, reading)
            found.setdefault(key, (phrase, []))[1].append(box)
        except ValueError as problem:
            incomplete.add(key)
            reading.defect(problem)
    for key, (phrase, boxes) in found.items():
        if key in incomplete:
            reading.leave_out("phrase with a skipped box", len(boxes))
        else:
            kept = distinct(boxes)
            reading.leave_out("duplicate box", len(boxes) - len(kept))
            yield phrase, kept


def tidy(phrase: str) -> str:
    """Normalise a phrase: single spaces, no final full stop.

    Example:
        >>> tidy(" a  red car . ")
        'a red car'
    """
    return " ".join(phrase.split()).removesuffix(".").rstrip()


def distinct(boxes: list[list[float]]) -> list[list[float]]:
    """Drop boxes that nearly equal an earlier one.

    Example:
        >>> distinct([[0, 0, 100, 100], [0, 0, 100, 99], [50, 0, 150, 100]])
        [[0, 0, 100, 100], [50, 0, 150, 100]]
    """
    kept: list[list[float]] = []
    for box in boxes:
        if not kept or pairwise_iou(as_boxes([box]), as_boxes(kept)).max() <= SAME_OBJECT:
            kept.append(box)
    return kept


def read_expressions(path: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read `expressions.jsonl` or `expressions.json` in the order of the file.

    Args:
        path: The file; its extension tells the format.
        images: Folders to search for `image`, in this order.
        on_problem: Called with the error of each invalid entry; one with an invalid box is skipped as a whole.

    Yields:
        One sample per entry. `image_id` is `image` without extension, or with it if two images differ in it only.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is not JSON, an expression is blank or repeated for an image, or a box is invalid.
    """
    reading, names = Reading.of(on_problem), ImageNames()
    seen: set[tuple[Path, str]] = set()
    for where, entry in (json_lines if path.suffix == ".jsonl" else json_array)(path, reading):
        try:
            sample = _sample(entry, images, names, where, reading)
            if (sample.image, sample.subject) in seen:
                raise ValueError(
                    f"{where}: expected each expression once per image, got {shown(sample.subject)} again"
                )
            seen.add((sample.image, sample.subject))
        except (ValueError, OSError) as problem:
            boxes = entry.get("boxes")
            count = len(boxes) if isinstance(boxes, list) else 0
            reading.defect(problem, "entry missing its image, or defective", count)
        else:
            yield sample


def _sample(entry: Entry, images: Sequence[Path], names: ImageNames, where: str, reading: Reading) -> Sample:
    name, size = value_of(entry, "image", str, where), size_of(entry, where)
    image = find_image(images, [name], where)
    boxes = [read_box(box, size, where, reading) for box in value_of(entry, "boxes", list, where)]
    image_id = names.add(image, PurePosixPath(name).with_suffix("").as_posix(), name, where)
    return expression_sample(image, image_id, text_of(entry, "expression", where), boxes, size)
