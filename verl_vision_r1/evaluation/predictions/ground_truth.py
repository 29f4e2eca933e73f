"""Ground-truth arrays of a data set, from a COCO file or from samples."""

import sys
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from verl_vision_r1.boxes import area, as_boxes
from verl_vision_r1.data.consistency import alike_message, alike_names
from verl_vision_r1.data.readers.coco_document import categories_of, image_ids, images_of, is_crowd, load
from verl_vision_r1.data.readers.coco_forms import expect_sides
from verl_vision_r1.data.readers.entries import LARGEST, Entry, Key, corners, id_of
from verl_vision_r1.data.readers.problems import Reading
from verl_vision_r1.documents import is_regular_file
from verl_vision_r1.evaluation.predictions.arrays import GroundTruth, Looked
from verl_vision_r1.evaluation.predictions.federation import frequencies_of, looked_for, with_file_names
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target


def read_coco_ground_truth(path: Path) -> GroundTruth:
    """Read the ground truth of a COCO or LVIS file, with the categories and image names that `prepare` reads from it.

    Images are in the order of their ids, as in COCO's evaluation. Boxes are not clipped to the image, and image files
    are not opened.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is not COCO JSON, an entry is invalid, most boxes have another form, or two categories are equal
            once labels are compared.
    """
    document = load(path)
    names = categories_of(document, path, Reading())
    categories = tuple(dict.fromkeys(names.values()))
    if alike := alike_names(categories):
        raise ValueError(f"{path}: {alike_message(alike)}")
    images = images_of(with_file_names(document["images"]), path, lenient=True)
    expect_sides(document, images, path)
    named = image_ids(images)
    rank = {key: index for index, key in enumerate(sorted(images, key=_order))}
    number = {key: categories.index(name) for key, name in names.items()}
    found = [_object(entry, rank, number, path) for entry in document["annotations"]]
    return GroundTruth(
        images=tuple(named[key] for key in rank),
        categories=categories,
        image=np.array([entry.image for entry in found], dtype=np.intp),
        category=np.array([entry.category for entry in found], dtype=np.intp),
        boxes=as_boxes([entry.box for entry in found]),
        areas=np.array([entry.area for entry in found], dtype=np.float64),
        crowd=np.array([entry.crowd for entry in found], dtype=np.bool_),
        files=("",) * len(rank),
        sizes=tuple(_size(images[key]) for key in rank),
        frequencies=frequencies_of(document["categories"], names, path),
        looked=looked_for({key: images[key] for key in rank}, number, path),
    )


def _size(image: Entry) -> tuple[int, int] | None:
    return None if image.get("width") is None else (image["width"], image["height"])


def _order(key: Key) -> tuple[int, str]:
    """Numbers in their order, then texts in theirs."""
    return (key, "") if isinstance(key, int) else (sys.maxsize, key)


@dataclass(frozen=True)
class _Object:
    image: int
    category: int
    box: list[float]
    area: float
    crowd: bool


def _object(entry: Entry, images: dict[Key, int], categories: dict[Key, int], path: Path) -> _Object:
    where = f"{path} annotation {shown(entry.get('id'), 60)}"
    image, category = id_of(entry, "image_id", where), id_of(entry, "category_id", where)
    for key, value, known in (("image_id", image, images), ("category_id", category, categories)):
        if value not in known:
            raise ValueError(f"{where}: expected {key} among the {len(known)} ids of the file, got {shown(value)}")
    box = corners(entry.get("bbox"), where)
    if box[2] < box[0] or box[3] < box[1]:
        raise ValueError(
            f"{where}: expected [x, y, width, height] with sides of at least 0, got {shown(entry['bbox'])}"
        )
    measured = entry.get("area")
    if measured is None:
        measured = (box[2] - box[0]) * (box[3] - box[1])
    # NaN fails the comparison as well.
    if isinstance(measured, bool) or not isinstance(measured, int | float) or not 0 <= measured <= LARGEST**2:
        raise ValueError(f"{where}: expected 'area' to be a number of at least 0, got {shown(measured)}")
    return _Object(images[image], categories[category], box, float(measured), is_crowd(entry, where))


def ground_truth_of_samples(samples: Iterable[tuple[str, str, Target, str]]) -> GroundTruth:
    """The ground truth of the images of samples, ordered by image name.

    Args:
        samples: (image, kind of question, target, image file). If one sample asks about all categories of an image, it
            alone gives the objects of the image; otherwise all its samples do, each set of categories once.

    Returns:
        The arrays. The area of an object is that of its box, and no object is a crowd.
    """
    by_image: dict[str, dict[tuple[str, ...], tuple[Target, str]]] = {}
    for image, question, target, file in samples:
        asked = target.categories or tuple(sorted(set(target.labels)))
        by_image.setdefault(image, {})[() if question == "categories" else asked] = (target, file)
    kept = {image: [own[()]] if () in own else list(own.values()) for image, own in sorted(by_image.items())}
    found = [(index, target) for index, own in enumerate(kept.values()) for target, _ in own]
    names = dict.fromkeys(name for _, target in found for name in target.categories or target.labels)
    number = {name: index for index, name in enumerate(names)}
    boxes = as_boxes([box for _, target in found for box in target.boxes.tolist()])
    return GroundTruth(
        images=tuple(kept),
        categories=tuple(names),
        image=np.array([index for index, target in found for _ in target.labels], dtype=np.intp),
        category=np.array([number[label] for _, target in found for label in target.labels], dtype=np.intp),
        boxes=boxes,
        areas=area(boxes),
        crowd=np.zeros(len(boxes), dtype=np.bool_),
        files=tuple(own[0][1] for own in kept.values()),
    )


def with_files(truth: GroundTruth, known: dict[str, str]) -> GroundTruth:
    """The ground truth with other image files, by image name, in place of those that do not exist."""
    pairs = zip(truth.images, truth.files, strict=True)
    return replace(
        truth,
        files=tuple(file if file and is_regular_file(Path(file)) else known.get(image, file) for image, file in pairs),
    )


def part_of(truth: GroundTruth, images: Iterable[str]) -> GroundTruth:
    """The ground truth of a subset of the images."""
    wanted = set(images)
    kept = [index for index, image in enumerate(truth.images) if image in wanted]
    number = np.full(len(truth.images), -1, dtype=np.intp)
    number[kept] = np.arange(len(kept))
    here = number[truth.image] >= 0
    looked = truth.looked and Looked(*(tuple(part[index] for index in kept) for part in astuple(truth.looked)))
    return replace(
        truth,
        images=tuple(truth.images[index] for index in kept),
        image=number[truth.image[here]],
        category=truth.category[here],
        boxes=truth.boxes[here],
        areas=truth.areas[here],
        crowd=truth.crowd[here],
        files=tuple(truth.files[index] for index in kept),
        sizes=tuple(truth.sizes[index] for index in kept) if truth.sizes else (),
        looked=looked,
    )
