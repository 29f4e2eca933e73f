"""gRefCOCO: referring expressions for no object, for one or for several, in images of COCO 2014.

Published at https://github.com/henghuiding/gRefCOCO and https://huggingface.co/datasets/FudanCVL/gRefCOCO, with the
references of RefCOCO (GRES, arXiv 2306.00968; as detection GREC, arXiv 2308.16182). `grefs(unc).json` is a list of
references, next to COCO's annotations in `instances.json`; without a target, the only id is -1:

    {"ref_id": 24831, "image_id": 73648, "split": "train", "file_name": "COCO_train2014_000000073648.jpg",
     "ann_id": [1719310, 1720231], "category_id": [1, 1], "no_target": false, "sent_ids": [33413],
     "sentences": [{"sent_id": 33413, "sent": "the two on the left", "tokens": ["the", "two", "on", "the", "left"]}]}
    {"ref_id": 12114, "image_id": 73648, "split": "train", "file_name": "COCO_train2014_000000073648.jpg",
     "ann_id": [-1], "category_id": [-1], "no_target": true, "sent_ids": [33414],
     "sentences": [{"sent_id": 33414, "sent": "a dog on the bench", "tokens": ["a", "dog", "on", "the", "bench"]}]}
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from verl_vision_r1.data.readers.entries import Entry, id_of, load_json, size_of, value_of
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.references import (
    Instances,
    Referred,
    image_folders,
    known_entry,
    load_references,
    object_of,
    read_sentences,
    splits_of,
)
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, find_image
from verl_vision_r1.shown import shown

FILES: Final = ("grefs(unc).json", "grefs(unc).p")
NO_TARGET: Final = [-1]


def find(source: str) -> Splits:
    """`grefs(unc).json`, or the older `grefs(unc).p`, with `instances.json`: train, val, testA and testB.

    The images are in `train2014/`, in the folder, its `images/`, its parent, or `../images/mscoco/images/`.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has no such files, or the file does not contain references.
    """
    folder = expect_folder(source)
    found = [folder / name for name in FILES if (folder / name).is_file()]
    if not found or not (folder / "instances.json").is_file():
        raise ValueError(
            f"{source}: expected grefs(unc).json with instances.json, got a folder that contains {contents(folder)}"
        )
    references, images = found[0], image_folders(folder)
    return {split: _reader(references, split, images) for split in splits_of(_load(references), references)}


def _reader(references: Path, split: str, images: Sequence[Path]) -> Read:
    return lambda on_problem, _: read_references(references, split, *images, on_problem=on_problem)


def _load(path: Path) -> list[Entry]:
    if path.suffix == ".p":
        return load_references(path)
    references = load_json(path)
    if not isinstance(references, list) or not all(isinstance(reference, dict) for reference in references):
        raise ValueError(f"{path}: expected a list of references, got {shown(references)}")
    return references


def read_references(references: Path, split: str, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read one split of the references, with the `instances.json` next to them.

    Args:
        references: The file of references.
        split: The `split` of the references to yield.
        images: Folders to search for the `file_name` of an image, in this order.
        on_problem: Called with the error of each invalid reference and sentence. A reference with one invalid box is
            left out, since its ground truth would be incomplete.

    Yields:
        One sample per sentence, a negative one if the reference has no target. `image_id` is the file name without
        extension.

    Raises:
        FileNotFoundError: A file or an image does not exist.
        ValueError: A file has another format, an id is unknown, a sentence is blank, or a box is invalid.
    """
    refer = partial(_referred, images)
    yield from read_sentences(references, _load, split, refer, on_problem)


def _referred(
    images: Sequence[Path], reference: Entry, instances: Instances, where: str, reading: Reading
) -> Referred:
    entry, targets = known_entry(reference, "image_id", instances.images, where), _targets(reference, where)
    boxes = []
    for number in targets:
        annotation = known_entry({"ann_id": number}, "ann_id", instances.annotations, where)
        boxes.append(object_of(annotation, entry, images, where, reading)[2])
    image = find_image(images, [value_of(entry, "file_name", str, where)], where)
    only = instances.only.get(id_of({"id": targets[0]}, "id", ""), "") if len(targets) == 1 else ""
    return Referred(image, size_of(entry, where), boxes, only, annotations=1)


def _targets(reference: Entry, where: str) -> list[object]:
    """The annotation ids of a reference, none without a target."""
    given = reference.get("ann_id")
    ids = given if isinstance(given, list) else [given]
    none = ids == NO_TARGET
    if not ids or reference.get("no_target", none) is not none:
        raise ValueError(
            f"{where}: expected 'ann_id' to be [-1] if 'no_target' is true, otherwise a list of ids, got"
            f" {shown(given)} and {shown(reference.get('no_target'))}"
        )
    return [] if none else ids
