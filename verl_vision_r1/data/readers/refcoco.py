"""RefCOCO, RefCOCO+ and RefCOCOg: referring expressions, each for one object in an image of COCO 2014.

Published at https://github.com/lichengunc/refer as a pickle of references, with several sentences per object, next to
COCO's annotations:

    {"ref_id": 0, "ann_id": 1719310, "image_id": 581857, "category_id": 1, "split": "train", "sent_ids": [0],
     "file_name": "COCO_train2014_000000581857_16.jpg",
     "sentences": [{"sent_id": 0, "sent": "the lady with the blue shirt", "raw": "THE LADY WITH THE BLUE SHIRT"}]}

The evaluation files of Qwen-VL and others have one sentence per line instead, and boxes in `xyxy`:

    {"image": "train2014/COCO_train2014_000000581857.jpg", "sent": "the lady with the blue shirt",
     "bbox": [103.93, 299.99, 238.15, 477.41], "height": 640, "width": 480}
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from verl_vision_r1.data.readers.entries import Entry, id_of, json_lines, size_of, text_of, value_of
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.references import (
    SPLITS,
    Instances,
    Referred,
    image_folders,
    known_entry,
    load_references,
    object_of,
    read_sentences,
    splits_of,
)
from verl_vision_r1.data.readers.samples import (
    ImageNames,
    Read,
    Sample,
    Splits,
    expression_sample,
    find_image,
    read_box,
)

DIVISIONS: Final = ("unc", "umd", "google")
"""The published divisions into splits, in order of preference. Google's train and val of RefCOCOg share images."""


def find(source: str) -> Splits:
    """`refs(unc).p`, `refs(umd).p` or `refs(google).p` with `instances.json`; or `*_val.jsonl`, `*_testA.jsonl` etc.

    Of several pickles, the first in this order is read; its `split` fields are the splits. JSON Lines of several
    datasets may share a folder; then the name before the split, such as "refcoco+", is the `collection`. The images
    are in `train2014/`, in the folder, its `images/`, its parent, or `../images/mscoco/images/`.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has no such files, or the pickle does not contain references.
    """
    folder = expect_folder(source)
    images = image_folders(folder)
    for references in (folder / f"refs({division}).p" for division in DIVISIONS):
        if references.is_file() and (folder / "instances.json").is_file():
            return {split: _references_reader(references, split, images) for split in _splits(references)}
    if splits := _splits_of_lines(folder, images):
        return splits
    raise ValueError(
        f"{source}: expected refs(unc).p, refs(umd).p or refs(google).p with instances.json, or JSON Lines such as"
        f" refcoco_val.jsonl, got a folder that contains {contents(folder)}"
    )


def _splits(references: Path) -> list[str]:
    # Only the whole file tells the splits; reading it takes about a second.
    return splits_of(load_references(references), references)


def _references_reader(references: Path, split: str, images: Sequence[Path]) -> Read:
    return lambda on_problem, _: read_references(references, split, *images, on_problem=on_problem)


def _splits_of_lines(folder: Path, images: Sequence[Path]) -> Splits:
    files: dict[str, dict[str, Path]] = {split: {} for split in SPLITS}
    for file in sorted(folder.glob("[!.]*.jsonl")):
        collection, _, split = file.stem.rpartition("_")
        files.get(split, {})[collection] = file
    several = len({collection for named in files.values() for collection in named}) > 1
    return {split: _lines_reader(named, several, images) for split, named in files.items() if named}


def _lines_reader(files: dict[str, Path], several: bool, images: Sequence[Path]) -> Read:
    def read(on_problem: OnProblem, _: Path) -> Iterator[Sample]:
        for collection, file in files.items():
            for sample in read_lines(file, *images, on_problem=on_problem):
                yield replace(sample, collection=collection if several else "")

    return read


def read_references(references: Path, split: str, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read one split of a pickle, with the `instances.json` next to it.

    Args:
        references: The pickle.
        split: The `split` of the references to yield.
        images: Folders to search for the `file_name` of an image, in this order.
        on_problem: Called with the error of each invalid reference and sentence. Errors of the file as a whole always
            raise.

    Yields:
        One sample per sentence. `image_id` is the file name without extension.

    Raises:
        FileNotFoundError: A file or an image does not exist.
        ValueError: A file has another format, an id is unknown, a sentence is blank, or a box is invalid.
    """
    refer = partial(_referred, images)
    yield from read_sentences(references, load_references, split, refer, on_problem)


def _referred(
    images: Sequence[Path], reference: Entry, instances: Instances, where: str, reading: Reading
) -> Referred:
    annotation = known_entry(reference, "ann_id", instances.annotations, where)
    entry = known_entry(reference, "image_id", instances.images, where)
    image, size, box = object_of(annotation, entry, images, where, reading)
    return Referred(image, size, [box], instances.only.get(id_of(annotation, "id", where), ""))


def read_lines(lines: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read a JSON Lines file with one sentence per line.

    Args:
        lines: The file.
        images: Folders to search for `image`, or for its last two parts or its last one, in this order.
        on_problem: Called with the error of each invalid line.

    Yields:
        One sample per line. `image_id` is the file name without extension, or `image` if another image has that name.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: A line has another format, a blank sentence or an invalid box.
    """
    reading, names = Reading.of(on_problem), ImageNames()
    for where, entry in json_lines(lines, reading):
        try:
            name = value_of(entry, "image", str, where)
            image = find_image(images, _places(name), where)
            size = size_of(entry, where)
            box = read_box(entry.get("bbox"), size, where, reading)
            expression, image_id = text_of(entry, "sent", where), names.add(image, image.stem, name, where)
            sample = expression_sample(image, image_id, expression, [box], size)
        except (ValueError, OSError) as problem:
            reading.defect(problem, "line missing its image, or defective")
        else:
            yield sample


def _places(name: str) -> list[str]:
    # Such files have the paths of their author's folders: "data/coco/train2014/...".
    parts = PurePosixPath(name).parts
    return [name, "/".join(parts[-2:]), "/".join(parts[-1:])]
