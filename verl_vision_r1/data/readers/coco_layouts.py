"""The folders in which COCO files come: COCO's own, those of Roboflow, CVAT and Label Studio, or a single file."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from verl_vision_r1.data.readers.coco import read_coco
from verl_vision_r1.data.readers.folders import SPLIT_OF, contents, existing, expect_folder, listed, note_unread
from verl_vision_r1.data.readers.problems import OnProblem, Reading
from verl_vision_r1.data.readers.samples import Read, Sample, Splits

ROBOFLOW: Final = "_annotations.coco.json"
SINGLE: Final = ("result.json", "labels.json", ROBOFLOW)
"""Names of the only annotation file: Label Studio's, FiftyOne's, and that of one part of a Roboflow export."""


def find(source: str) -> Splits:
    """A COCO file, or the annotation files of a folder.

    In a folder, they are `annotations/*.json`, or `instances*.json` in the folder itself, or `_annotations.coco.json`
    in `train/`, `valid/` and `test/`, or `result.json`, or the only `*.json`. `instances_train*.json`,
    `instances_val*.json` and so on are the splits of that name; a single file is "all".

    Raises:
        FileNotFoundError: The file or folder does not exist.
        ValueError: The folder has no such file, or several whose names do not tell the splits apart.
    """
    file = Path(source).expanduser().absolute()
    if file.is_file():
        return find_file(file, None)
    folder = expect_folder(source)
    for place, pattern in ((folder / "annotations", "[!.]*.json"), (folder, "instances*.json")):
        if files := sorted(place.glob(pattern)):
            splits = _by_split(files)
            unread = [path for path in files if path not in splits.values()]
            return {split: reader(path, image_folders(folder, path), unread, folder) for split, path in splits.items()}
    parts = {
        split: folder / name / ROBOFLOW for name, split in SPLIT_OF.items() if (folder / name / ROBOFLOW).is_file()
    }
    if parts:
        return {split: reader(path, [path.parent]) for split, path in parts.items()}
    files = sorted(folder.glob("*.json"))
    for path in [*(folder / name for name in SINGLE), *(files if len(files) == 1 else [])]:
        if path.is_file():
            unread = [other for other in files if other != path]
            return {"all": reader(path, image_folders(folder, path), unread, folder)}
    raise ValueError(
        f"{source}: expected COCO annotations (annotations/*.json, instances*.json, train/{ROBOFLOW}, result.json or a"
        f" single *.json), got a folder that contains {contents(folder)}; name a file elsewhere by --annotations FILE"
        " --images DIR"
    )


def find_file(annotations: Path, images: Path | None) -> Splits:
    """One COCO file, and the folder of its images; by default the folders next to it.

    Raises:
        FileNotFoundError: The file or the folder does not exist.
        ValueError: The file does not end in `.json`.
    """
    if annotations.suffix != ".json":
        raise ValueError(f"{annotations}: expected a folder, or a COCO file that ends in .json, got another file")
    if not annotations.is_file():
        raise FileNotFoundError(f"{annotations}: expected a COCO file, got no such file")
    folders = image_folders(root_of(annotations), annotations) if images is None else [expect_folder(images)]
    return {"all": reader(annotations, folders)}


def root_of(annotations: Path) -> Path:
    """The folder of the dataset that an annotation file belongs to."""
    parent = annotations.absolute().parent
    return parent.parent if parent.name in ("annotations", "labels") else parent


def reader(annotations: Path, images: Sequence[Path], unread: Iterable[Path] = (), folder: Path = Path()) -> Read:
    """A reader that calls `read_coco` for one file, and names the files of the folder that are not read."""

    def read(on_problem: OnProblem, _: Path) -> Iterator[Sample]:
        reading = Reading.of(on_problem)
        note_unread(reading, unread, folder)
        return read_coco(annotations, *images, on_problem=reading)

    return read


def image_folders(folder: Path, annotations: Path) -> list[Path]:
    """Folders to search for the images of an annotation file, such as `train2017` for `instances_train2017.json`."""
    name = annotations.stem.removeprefix("instances_")
    places = (f"images/{name}", name, "images", "JPEGImages", "data", ".")
    return existing([*(folder / place for place in places), annotations.parent])


def _by_split(files: list[Path]) -> dict[str, Path]:
    # The official archives also contain captions and keypoints.
    instances = [file for file in files if file.name.startswith("instances")] or files
    if len(instances) == 1:
        return {"all": instances[0]}
    names = [re.sub("[0-9_]+$", "", file.stem.removeprefix("instances_")) for file in instances]
    splits = [SPLIT_OF.get(name.lower(), name) for name in names]
    if len(set(splits)) != len(splits) or not {"train", "val"} <= set(splits):
        raise ValueError(
            f"{files[0].parent}: expected one annotation file, or one instances_train*.json and one"
            f" instances_val*.json, got {listed(file.name for file in instances)}; name one of them by --annotations"
            " FILE --images DIR"
        )
    return dict(zip(splits, instances, strict=True))
