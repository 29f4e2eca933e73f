"""LVIS v1: 1203 categories in the images of COCO 2017, each image annotated for a few of them only.

Published at https://www.lvisdataset.org; the annotations are CC BY 4.0, the images keep the terms of their owners on
Flickr. The format is COCO's with two more lists per image (a "federated" dataset):

    {"id": 391895, "coco_url": "http://images.cocodataset.org/train2017/000000391895.jpg", "width": 640, "height": 360,
     "neg_category_ids": [121, 1191], "not_exhaustive_category_ids": [805]}

Categories of the first list are not in the image; objects of the second may lack a box. Any other category without a
box was not annotated, so no question asks for it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.coco import File, group, load, names_of
from verl_vision_r1.data.readers.coco_document import expect_single_objects, is_crowd
from verl_vision_r1.data.readers.coco_forms import expect_sides
from verl_vision_r1.data.readers.entries import Entry, Key, corners, id_of, size_of, value_of
from verl_vision_r1.data.readers.folders import contents, existing, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail, short
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, find_image, fit_box
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target


def find(source: str) -> Splits:
    """`lvis_v1_train.json` and `lvis_v1_val.json`, in the folder itself or in `annotations/`.

    The images are in `train2017/` and `val2017/`, in the folder itself or in `images/`. "val" needs both.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has none of these files.
    """
    folder = expect_folder(source)
    bases = (folder, folder / "images")
    images = existing([*bases, *(base / name for base in bases for name in ("train2017", "val2017"))])
    for place in (folder, folder / "annotations"):
        files = {split: place / f"lvis_v1_{split}.json" for split in ("train", "val")}
        if found := {split: _reader(file, images) for split, file in files.items() if file.is_file()}:
            return found
    raise ValueError(
        f"{source}: expected LVIS annotations (lvis_v1_train.json or lvis_v1_val.json, here or in annotations/), got a"
        f" folder that contains {contents(folder)}"
    )


def find_file(annotations: Path, images: Path | None) -> Splits:
    """One LVIS file, and the folder of its images; by default that of the file.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    return {"all": _reader(annotations, [expect_folder(images or annotations.parent)])}


def _reader(annotations: Path, images: Sequence[Path]) -> Read:
    return lambda on_problem, _: read_lvis(annotations, *images, on_problem=on_problem)


def read_lvis(annotations: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read an LVIS file, image by image in the order of the file.

    Args:
        annotations: The JSON file.
        images: Folders to search for `train2017/000000391895.jpg`, in this order.
        on_problem: Called with the error of each invalid box and image. Errors of the file as a whole always raise.

    Yields:
        Samples with boxes in `xyxy`, pixels. `categories` are sorted, and are those that are completely annotated:
        every object has a box, or there is none. Other categories in the image are `uncertain`. An image without
        completely annotated categories is skipped.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is not LVIS JSON, an id or name is repeated or unknown, or a box is invalid.
    """
    document, reading = load(annotations), Reading.of(on_problem)
    file = File(annotations, images, names_of(document["categories"], f"{annotations} category"), reading)
    entries = _images(document["images"], file)
    if not reading.crowd_as_box:
        expect_single_objects(document, file.names, annotations)
    expect_sides(document, entries, annotations)
    grouped = group(document["annotations"], entries, file)
    for image_id, entry in entries.items():
        try:
            image, size, absent, uncertain = _facts(entry, file)
        except (ValueError, OSError) as problem:
            reading.defect(problem, "image missing or defective", len(grouped[image_id]))
            continue
        sample = _sample(image, size, absent, uncertain, grouped[image_id], file)
        # Without categories there is nothing to ask.
        if sample.target.categories:
            yield sample
        else:
            reading.note(f"{annotations.name}: images without completely annotated categories are left out")


def _images(entries: list[Entry], file: File) -> dict[Key, Entry]:
    images: dict[Key, Entry] = {}
    taken: set[str] = set()
    for entry in entries:
        where = f"{file.path} image {short(entry.get('id'))}"
        try:
            key, stem = id_of(entry, "id", where), _stem(_image_name(entry, where))
            if key in images or stem in taken:
                raise ValueError(f"{where}: expected a unique id and a unique file name, got {shown(stem)}")
        except ValueError as problem:
            file.reading(problem)
        else:
            images[key] = entry
            taken.add(stem)
    return images


def _image_name(entry: Entry, where: str) -> str:
    if isinstance(entry.get("file_name"), str):
        return str(entry["file_name"])
    return "/".join(PurePosixPath(value_of(entry, "coco_url", str, where)).parts[-2:])


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _facts(entry: Entry, file: File) -> tuple[Path, tuple[int, int], set[str], set[str]]:
    """The image file, its size, the absent categories, and the incompletely annotated ones."""
    where = f"{file.path} image {short(entry['id'])}"
    size = size_of(entry, where)
    image = find_image(file.folders, [_image_name(entry, where)], where)
    absent, uncertain = (_categories(entry, f"{key}_category_ids", file, where) for key in ("neg", "not_exhaustive"))
    return image, size, absent, uncertain


def _sample(
    image: Path,
    size: tuple[int, int],
    absent: set[str],
    uncertain: set[str],
    annotations: list[Entry],
    file: File,
) -> Sample:
    boxes: list[tuple[str, list[float]]] = []
    for annotation in annotations:
        label = file.name(annotation)
        where = f"{file.path} image {short(annotation['image_id'])} annotation {short(annotation.get('id'))}"
        try:
            if not file.reading.crowd_as_box and is_crowd(annotation, where):
                uncertain.add(label)
                file.reading.leave_out("crowd")
                continue
            boxes.append((label, _box(annotation, label, absent, size, file.reading, where)))
        except ValueError as problem:
            # With a box missing, the ground truth of its category is incomplete.
            uncertain.add(label)
            file.reading.defect(problem)
    asked = (absent | {label for label, _ in boxes}) - uncertain
    kept = [(label, box) for label, box in boxes if label in asked]
    file.reading.leave_out("category not completely annotated in its image", len(boxes) - len(kept))
    labels = tuple(label for label, _ in kept)
    target = Target(as_boxes([box for _, box in kept]), labels, *size, tuple(sorted(asked)))
    return Sample(image, _stem(image.name), target, uncertain=frozenset(uncertain))


def _categories(entry: Entry, key: str, file: File, where: str) -> set[str]:
    names = set()
    for category in value_of(entry, key, list, where):
        if name := file.name({"category_id": category}):
            names.add(name)
        else:
            file.reading(ValueError(f"{where}: expected the ids of categories in {key!r}, got {shown(category)}"))
    return names


def _box(
    annotation: Entry, label: str, absent: set[str], size: tuple[int, int], reading: Reading, where: str
) -> list[float]:
    if not label:
        got = shown(annotation.get("category_id"))
        raise ValueError(f"{where}: expected category_id to be one of the categories, got {got}")
    if label in absent:
        raise ValueError(f"{where}: expected no category of the image's 'neg_category_ids', got {label!r}")
    return fit_box(corners(annotation.get("bbox"), where), size, where, reading)
