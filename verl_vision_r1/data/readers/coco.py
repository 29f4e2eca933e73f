"""COCO detection annotations: one JSON file with `images`, `annotations` and `categories`.

Format: https://cocodataset.org/#format-data. A box is `[x, y, width, height]` in pixels, from 0.

pycocotools and faster-coco-eval read it too, but without checks: a missing key is a bare KeyError, an annotation of an
unknown image is silently lost, and two images with one id become one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.coco_document import (
    Document,
    categories_of,
    expect_single_objects,
    image_ids,
    images_of,
    is_crowd,
    load,
    names_of,
    stem_of,
)
from verl_vision_r1.data.readers.coco_forms import expect_sides
from verl_vision_r1.data.readers.coco_outlines import outline_of
from verl_vision_r1.data.readers.entries import Entry, Key, corners, id_of, size_of
from verl_vision_r1.data.readers.folders import listed
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail, short
from verl_vision_r1.data.readers.samples import Sample, find_image, fit_box
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

__all__ = ["File", "group", "images_of", "load", "names_of", "read_coco", "read_document", "stem_of"]


@dataclass(frozen=True)
class File:
    """The file to read.

    Attributes:
        path: The file.
        folders: Folders to search for its images.
        names: Category names by id.
        reading: Called with the error of each invalid box and image; it counts what is left out.
        categories: The categories annotated in every image; None if each image has only those with a box there.
        crowds: Crowds left out, by category.
    """

    path: Path
    folders: Sequence[Path]
    names: dict[Key, str]
    reading: Reading
    categories: tuple[str, ...] | None = None
    crowds: Counter[str] = field(default_factory=Counter)

    def name(self, annotation: Entry) -> str:
        """Category name of an annotation; empty for an unknown category."""
        try:
            return self.names.get(id_of(annotation, "category_id", ""), "")
        except ValueError:
            return ""


def read_coco(annotations: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read a COCO file, image by image in the order of the file.

    Crowds (`iscrowd`) are left out: such a box surrounds an unknown number of objects, and no prediction can match it.

    Args:
        annotations: The JSON file.
        images: Folders to search for `file_name`, in this order.
        on_problem: Called with the error of each invalid box and image. Errors of the file as a whole always raise.

    Yields:
        Samples with boxes in `xyxy`, pixels. `image_id` is the file name without extension, or with it if two images
        differ in it only.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is not COCO JSON, an id or name is repeated or unknown, all annotations are crowds, most
            boxes have another form, or a box is invalid.
    """
    reading = Reading.of(on_problem)
    document = load(annotations, outlines=reading.outlines)
    names = categories_of(document, annotations, reading)
    categories = tuple(dict.fromkeys(names.values()))
    yield from read_document(document, File(annotations, images, names, reading, categories))


def read_document(document: Document, file: File) -> Iterator[Sample]:
    """Read the result of `load`. Yields and raises as `read_coco`."""
    entries = images_of(document["images"], file.path, lenient=True)
    if not file.reading.crowd_as_box:
        expect_single_objects(document, file.names, file.path)
    expect_sides(document, entries, file.path)
    grouped, named = group(document["annotations"], entries, file), image_ids(entries)
    owners: dict[Path, Key] = {}
    for key, entry in entries.items():
        try:
            image, size = _image(entry, file)
            if owners.setdefault(image, key) != key:
                raise ValueError(
                    f"{_where(entry, file)}: expected another image than {owners[image]}, got {image} again"
                )
        except (ValueError, OSError) as problem:
            file.reading.defect(problem, "image missing or defective", len(grouped[key]))
        else:
            yield _sample(image, size, named[key], grouped[key], file)
    if file.crowds:
        counts = listed((f"{name or 'unknown'} {count}" for name, count in file.crowds.most_common()), 5)
        file.reading.note(f"{file.path.name}: {file.crowds.total()} crowds left out: {counts}")


def group(annotations: list[Entry], images: dict[Key, Entry], file: File) -> dict[Key, list[Entry]]:
    """Annotations by image id. One without the id of an image is a defect."""
    grouped: dict[Key, list[Entry]] = {key: [] for key in images}
    for annotation in annotations:
        where = f"{file.path} annotation {short(annotation.get('id'))}"
        try:
            image_id = id_of(annotation, "image_id", where)
            if image_id not in grouped:
                raise ValueError(f"{where}: expected the id of one of {len(images)} images, got {shown(image_id)}")
        except ValueError as problem:
            file.reading.defect(problem, "no such image")
        else:
            grouped[image_id].append(annotation)
    return grouped


def _where(entry: Entry, file: File) -> str:
    return f"{file.path} image {short(entry['id'])}"


def _image(entry: Entry, file: File) -> tuple[Path, tuple[int, int]]:
    where = _where(entry, file)
    image = find_image(file.folders, [entry["file_name"]], where, foreign=True)
    return image, size_of(entry, where) if entry.get("width") is not None else shown_size(image)


def _sample(image: Path, size: tuple[int, int], image_id: str, annotations: list[Entry], file: File) -> Sample:
    boxes, labels, outlines, uncertain, reading = [], [], [], set(), file.reading
    for annotation in annotations:
        where = f"{file.path} annotation {short(annotation.get('id'))} of image {short(annotation['image_id'])}"
        try:
            if not reading.crowd_as_box and is_crowd(annotation, where):
                uncertain.add(file.name(annotation))
                file.crowds[file.name(annotation)] += 1
                reading.leave_out("crowd")
                continue
            label = _label(annotation, file.names, where)
            boxes.append(fit_box(corners(annotation.get("bbox"), where), size, where, reading))
            labels.append(label)
            outlines.append(outline_of(annotation, size))
        except ValueError as problem:
            uncertain.add(file.name(annotation))
            reading.defect(problem)
    categories = tuple(sorted(set(labels))) if file.categories is None else file.categories
    target = Target(as_boxes(boxes), tuple(labels), *size, categories)
    return Sample(
        image, image_id, target, uncertain=frozenset(uncertain), outlines=tuple(outlines) if any(outlines) else ()
    )


def _label(annotation: Entry, names: dict[Key, str], where: str) -> str:
    key = id_of(annotation, "category_id", where)
    if key not in names:
        raise ValueError(f"{where}: expected category_id to be one of the {len(names)} categories, got {shown(key)}")
    return names[key]
