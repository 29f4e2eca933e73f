"""References of RefCOCO's form: objects of COCO 2014 with sentences, next to `instances.json`; for several readers."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

from verl_vision_r1.data.readers.coco import load
from verl_vision_r1.data.readers.entries import Entry, Key, corners, id_of, size_of, text_of, value_of
from verl_vision_r1.data.readers.folders import existing
from verl_vision_r1.data.readers.problems import OnProblem, Reading, short
from verl_vision_r1.data.readers.samples import Sample, expression_sample, find_image, fit_box
from verl_vision_r1.documents import expect_regular
from verl_vision_r1.shown import shown

SPLITS: Final = ("train", "val", "testA", "testB", "test")


def image_folders(folder: Path) -> list[Path]:
    """The folders that the images of COCO 2014 may be in, for the folder of the references."""
    bases = (folder, folder / "images", folder.parent, folder.parent / "images" / "mscoco" / "images")
    return existing([*bases, *(base / "train2014" for base in bases)])


def splits_of(references: list[Entry], path: Path) -> list[str]:
    """The splits of references, the usual ones first.

    Raises:
        ValueError: No reference has one.
    """
    named = {split for entry in references if isinstance(split := entry.get("split"), str)}
    if not named:
        raise ValueError(f"{path}: expected references with a 'split', got none")
    return [split for split in SPLITS if split in named] + sorted(named - set(SPLITS))


class _PlainUnpickler(pickle.Unpickler):
    """Builds lists, dictionaries, text and numbers only. Any other object in a pickle could run code."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise ValueError(f"it names {module}.{name}, which could run code")


def load_references(path: Path) -> list[Entry]:
    """Load the list of references in a pickle, without executing any code in it.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a pickle, names code, or does not contain a list of dictionaries.
    """
    expect_regular(path)
    with path.open("rb") as file:
        try:
            # Python 2 wrote the published files; their text is bytes.
            references = _PlainUnpickler(file, encoding="latin1").load()
        except Exception as error:  # A damaged pickle raises nearly any type.
            raise ValueError(
                f"{path}: expected a pickle of plain lists and dictionaries, got another: {error}"
            ) from error
    if not isinstance(references, list) or not all(isinstance(reference, dict) for reference in references):
        raise ValueError(f"{path}: expected a list of dictionaries, got {shown(references)}")
    return references


@dataclass(frozen=True)
class Instances:
    """COCO's annotations next to the references.

    Attributes:
        images: The entries of the images, by id.
        annotations: The entries of the objects, by id.
        only: The category of each object that is the only one of its category in its image.
    """

    images: dict[Key, Entry]
    annotations: dict[Key, Entry]
    only: dict[Key, str]


@dataclass(frozen=True)
class Referred:
    """What a reference refers to.

    Attributes:
        image: The image file.
        size: Its width and height in pixels.
        boxes: The boxes of the targets, `xyxy` in pixels.
        only_of: The category of which the only target is the only object in the image; empty if it is not.
        annotations: Number of annotations that the account counts for each sentence; None for its default.
    """

    image: Path
    size: tuple[int, int]
    boxes: list[list[float]]
    only_of: str = ""
    annotations: int | None = None


Refer = Callable[[Entry, Instances, str, Reading], Referred]
"""(reference, instances, place, reading) -> what it refers to; raises ValueError or OSError if it is invalid."""


def read_sentences(
    path: Path, load_list: Callable[[Path], list[Entry]], split: str, refer: Refer, on_problem: OnProblem
) -> Iterator[Sample]:
    """One sample for each sentence of the references of a split.

    Args:
        path: The file of the references, with `instances.json` next to it.
        load_list: Loads the references from it.
        split: The `split` of the references to yield.
        refer: What a reference refers to.
        on_problem: Called with the error of each invalid reference and sentence.
    """
    document, reading = load(path.with_name("instances.json")), Reading.of(on_problem)
    instances = Instances(by_id(document["images"]), by_id(document["annotations"]), only_objects(document))
    for number, reference in enumerate(load_list(path)):
        where, sentences = f"{path} entry {number}", list[object]()
        try:
            if value_of(reference, "split", str, where) != split:
                continue
            sentences = sentences_of(reference, where)
            referred = refer(reference, instances, where, reading)
        except (ValueError, OSError) as problem:
            reading.defect(problem, "reference missing its image, or defective", len(sentences))
            continue
        for sentence in sentences:
            try:
                expression = expression_of(sentence, where)
                sample = expression_sample(
                    referred.image, referred.image.stem, expression, referred.boxes, referred.size
                )
            except ValueError as problem:
                reading.defect(problem)
            else:
                yield replace(sample, annotations=referred.annotations, only_of=referred.only_of)


def by_id(entries: list[Entry]) -> dict[Key, Entry]:
    """The entries by their `id`; those without a valid one are left out."""
    found: dict[Key, Entry] = {}
    for entry in entries:
        try:
            found[id_of(entry, "id", "")] = entry
        except ValueError:
            continue
    return found


def only_objects(document: Entry) -> dict[Key, str]:
    """The category of each annotation of `instances.json` that is the only one of its category in its image.

    Example:
        >>> objects = [{"id": 1, "image_id": 7, "category_id": 3}, {"id": 2, "image_id": 8, "category_id": 3}]
        >>> only_objects({"annotations": objects, "categories": [{"id": 3, "name": "car"}]})
        {1: 'car', 2: 'car'}
    """
    names = {number: str(entry.get("name", "")) for number, entry in by_id(document["categories"]).items()}
    places: dict[tuple[Key, Key], list[Key]] = {}
    for number, entry in by_id(document["annotations"]).items():
        try:
            place = id_of(entry, "image_id", ""), id_of(entry, "category_id", "")
        except ValueError:
            continue
        places.setdefault(place, []).append(number)
    return {found[0]: names.get(category, "") for (_, category), found in places.items() if len(found) == 1}


def known_entry(reference: Entry, key: str, entries: dict[Key, Entry], where: str) -> Entry:
    """The entry of `instances.json` whose id a reference has under a key.

    Raises:
        ValueError: There is no such entry.
    """
    number = id_of(reference, key, where)
    if number not in entries:
        got = short(number)
        raise ValueError(f"{where}: expected {key!r} to be one of the {len(entries)} in instances.json, got {got}")
    return entries[number]


def object_of(
    annotation: Entry, entry: Entry, images: Sequence[Path], where: str, reading: Reading
) -> tuple[Path, tuple[int, int], list[float]]:
    """The image of an annotation, its size in pixels, and the box as `xyxy` in it.

    Raises:
        FileNotFoundError: The image does not exist.
        ValueError: The annotation belongs to another image, or its box is invalid.
    """
    if id_of(annotation, "image_id", where) != id_of(entry, "id", where):
        got = short(annotation["image_id"])
        raise ValueError(f"{where}: expected an annotation of its image {short(entry['id'])}, got one of image {got}")
    size = size_of(entry, where)
    # The `file_name` of the reference itself ends in the annotation id instead.
    image = find_image(images, [value_of(entry, "file_name", str, where)], where)
    return image, size, fit_box(corners(annotation.get("bbox"), where), size, where, reading)


def sentences_of(reference: Entry, where: str) -> list[object]:
    """The sentences of a reference.

    Raises:
        ValueError: There is none.
    """
    sentences: list[object] = value_of(reference, "sentences", list, where)
    if not sentences:
        raise ValueError(f"{where}: expected at least one sentence, got []")
    return sentences


def expression_of(sentence: object, where: str) -> str:
    """The text of a sentence.

    Raises:
        ValueError: It is blank or missing.
    """
    if not isinstance(sentence, dict):
        raise ValueError(f"{where}: expected a sentence with 'sent', got {shown(sentence)}")
    return text_of(sentence, "sent", where)
