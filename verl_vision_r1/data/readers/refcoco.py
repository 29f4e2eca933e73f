"""RefCOCO, RefCOCO+ and RefCOCOg: expressions that each mean one object in an image of COCO 2014.

Published at https://github.com/lichengunc/refer as a pickle of references, with several sentences for each object,
beside COCO's annotations:

    {"ref_id": 0, "ann_id": 1719310, "image_id": 581857, "category_id": 1, "split": "train", "sent_ids": [0],
     "file_name": "COCO_train2014_000000581857_16.jpg",
     "sentences": [{"sent_id": 0, "sent": "the lady with the blue shirt", "raw": "THE LADY WITH THE BLUE SHIRT"}]}

The evaluation files of Qwen-VL and others have one sentence a line instead, and the box as its corners:

    {"image": "train2014/COCO_train2014_000000581857.jpg", "sent": "the lady with the blue shirt",
     "bbox": [103.93, 299.99, 238.15, 477.41], "height": 640, "width": 480}
"""

import pickle
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

from verl_vision_r1.data.readers.coco import load
from verl_vision_r1.data.readers.entries import Entry, corners, json_lines, size_of, value_of, words_of
from verl_vision_r1.data.readers.folders import contents, existing, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Parts, Read, Sample, clip_box, expression_sample, find_image, read_box

PARTS: Final = ("train", "val", "testA", "testB", "test")
DIVISIONS: Final = ("unc", "umd", "google")
"""Who divided the images into parts, the first one preferred. Google's train and val of RefCOCOg share images."""


def find(source: str) -> Parts:
    """`refs(unc).p`, `refs(umd).p` or `refs(google).p` with `instances.json`; or `*_val.jsonl`, `*_testA.jsonl` etc.

    Of several pickles the first of these is read, and what it names as `split` are the parts. Lines of several data
    sets may lie in one folder; what stands before the part in their names, as "refcoco+", is their `collection` then.
    The images lie in `train2014/`, in the folder, its `images/`, its parent, or `../images/mscoco/images/`.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds no such files, or the pickle is not one of references.
    """
    folder = expect_folder(source)
    bases = (folder, folder / "images", folder.parent, folder.parent / "images" / "mscoco" / "images")
    images = existing([*bases, *(base / "train2014" for base in bases)])
    for references in (folder / f"refs({division}).p" for division in DIVISIONS):
        if references.is_file() and (folder / "instances.json").is_file():
            return {part: _references_reader(references, part, images) for part in _splits(references)}
    if parts := _parts_of_lines(folder, images):
        return parts
    raise ValueError(
        f"{source}: expected refs(unc).p, refs(umd).p or refs(google).p with instances.json, or lines as in"
        f" refcoco_val.jsonl, got a folder that holds {contents(folder)}"
    )


def _splits(references: Path) -> list[str]:
    # The whole file, as nothing else tells its parts: about a second.
    named = {split for entry in load_references(references) if isinstance(split := entry.get("split"), str)}
    if not named:
        raise ValueError(f"{references}: expected references with a 'split', got none")
    return [part for part in PARTS if part in named] + sorted(named - set(PARTS))


def _references_reader(references: Path, part: str, images: Sequence[Path]) -> Read:
    return lambda on_problem, _: read_references(references, part, *images, on_problem=on_problem)


def _parts_of_lines(folder: Path, images: Sequence[Path]) -> Parts:
    files: dict[str, dict[str, Path]] = {part: {} for part in PARTS}
    for file in sorted(folder.glob("[!.]*.jsonl")):
        collection, _, part = file.stem.rpartition("_")
        files.get(part, {})[collection] = file
    several = len({collection for named in files.values() for collection in named}) > 1
    return {part: _lines_reader(named, several, images) for part, named in files.items() if named}


def _lines_reader(files: dict[str, Path], several: bool, images: Sequence[Path]) -> Read:
    def read(on_problem: OnProblem, _: Path) -> Iterator[Sample]:
        for collection, file in files.items():
            for sample in read_lines(file, *images, on_problem=on_problem):
                yield replace(sample, collection=collection if several else "")

    return read


class _PlainUnpickler(pickle.Unpickler):
    """Builds lists, dictionaries, text and numbers. Whatever else a pickle may name, it could also run."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise ValueError(f"it names {module}.{name}, which could run code")


def load_references(path: Path) -> list[Entry]:
    """The list in a pickle. No code that the pickle names is run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a pickle, names code, or is not a list of dictionaries.
    """
    with path.open("rb") as file:
        try:
            # Python 2 wrote it; its text is bytes.
            references = _PlainUnpickler(file, encoding="latin1").load()
        except Exception as error:  # A damaged pickle raises nearly anything.
            raise ValueError(
                f"{path}: expected a pickle of plain lists and dictionaries, got another: {error}"
            ) from error
    if not isinstance(references, list) or not all(isinstance(reference, dict) for reference in references):
        raise ValueError(f"{path}: expected a list of dictionaries, got {reprlib.repr(references)}")
    return references


def read_references(references: Path, part: str, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read one part of a pickle, with the `instances.json` beside it.

    Args:
        references: The pickle.
        part: The `split` of the references to yield.
        images: The folder in which the image's `file_name` lies; of several, the first which holds it.
        on_problem: Told about each bad reference and sentence. Faults of the whole file always raise.

    Yields:
        A sample for each sentence. `image_id` is the file name without its ending.

    Raises:
        FileNotFoundError: A file or an image does not exist.
        ValueError: A file is of another format, an id is unknown, a sentence is empty, or a box is wrong.
    """
    document = load(references.with_name("instances.json"))
    entries, annotations = (_by_id(document[key]) for key in ("images", "annotations"))
    for number, reference in enumerate(load_references(references)):
        where = f"{references} entry {number}"
        try:
            if value_of(reference, "split", str, where) != part:
                continue
            annotation = _known(reference, "ann_id", annotations, where)
            entry = _known(reference, "image_id", entries, where)
            sentences = _sentences(reference, where)
            image, size, box = _object(annotation, entry, images, where)
        except (ValueError, OSError) as problem:
            on_problem(problem)
            continue
        for sentence in sentences:
            try:
                sample = expression_sample(image, image.stem, _words(sentence, where), [box], size)
            except ValueError as problem:
                on_problem(problem)
            else:
                yield sample


def _by_id(entries: list[Entry]) -> dict[int, Entry]:
    return {entry["id"]: entry for entry in entries if isinstance(entry.get("id"), int)}


def _known(reference: Entry, key: str, entries: dict[int, Entry], where: str) -> Entry:
    number = value_of(reference, key, int, where)
    if number not in entries:
        raise ValueError(f"{where}: expected {key!r} to be one of the {len(entries)} in instances.json, got {number}")
    return entries[number]


def _object(
    annotation: Entry, entry: Entry, images: Sequence[Path], where: str
) -> tuple[Path, tuple[int, int], list[float]]:
    if annotation.get("image_id") != entry["id"]:
        got = reprlib.repr(annotation.get("image_id"))
        raise ValueError(f"{where}: expected an annotation of its image {entry['id']}, got one of image {got}")
    size = size_of(entry, where)
    # The reference's own file name ends in the number of the annotation.
    image = find_image(images, [value_of(entry, "file_name", str, where)], where)
    return image, size, clip_box(corners(annotation.get("bbox"), where), *size, where)


def _sentences(reference: Entry, where: str) -> list[object]:
    sentences: list[object] = value_of(reference, "sentences", list, where)
    if not sentences:
        raise ValueError(f"{where}: expected at least one sentence, got []")
    return sentences


def _words(sentence: object, where: str) -> str:
    if not isinstance(sentence, dict):
        raise ValueError(f"{where}: expected a sentence with 'sent', got {reprlib.repr(sentence)}")
    return words_of(sentence, "sent", where)


def read_lines(lines: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read a file of one sentence a line.

    Args:
        lines: The file.
        images: The folder in which `image`, its last two parts or its last one lies; of several, the first.
        on_problem: Told about each bad line.

    Yields:
        A sample for each line. `image_id` is the file name without its ending.

    Raises:
        FileNotFoundError: A file or an image does not exist.
        ValueError: A line is of another format, its sentence is empty, its box is wrong, or two images have one name.
    """
    owners: dict[str, Path] = {}
    for where, entry in json_lines(lines, on_problem):
        try:
            image = find_image(images, _places(value_of(entry, "image", str, where)), where)
            if owners.setdefault(image.stem, image) != image:
                raise ValueError(
                    f"{where}: expected a name that no other image has, got {image}, {owners[image.stem]}"
                )
            size = size_of(entry, where)
            box = read_box(entry.get("bbox"), size, where)
            sample = expression_sample(image, image.stem, words_of(entry, "sent", where), [box], size)
        except (ValueError, OSError) as problem:
            on_problem(problem)
        else:
            yield sample


def _places(name: str) -> list[str]:
    # Such files name images from the folder of whoever wrote them: "data/coco/train2014/...".
    parts = PurePosixPath(name).parts
    return [name, "/".join(parts[-2:]), "/".join(parts[-1:])]
