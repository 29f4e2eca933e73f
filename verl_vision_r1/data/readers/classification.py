"""Image folders: one folder per class, with or without a folder per split.

    flowers/train/21/image_06734.jpg
    flowers/valid/21/image_06738.jpg
    flowers/cat_to_name.json            {"21": "fire lily", "3": "canterbury bells", ...}

The label is the verbatim name of the folder, unless `labels.json` or `cat_to_name.json` has another name for it.
torchvision's `ImageFolder` reads the same layout, but it numbers the classes and opens no image before training.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from verl_vision_r1.boxes import NO_BOXES
from verl_vision_r1.data.readers.entries import load_json
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading
from verl_vision_r1.data.readers.samples import ImageNames, Read, Sample, Splits
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

ENDINGS: Final = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
SPLITS: Final = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
NAMES: Final = ("labels.json", "cat_to_name.json")

Labelled = tuple[Path, str]
"""An image and its label."""


def find(source: str, subject: str = "object", *, or_else: str = "") -> Splits:
    """Class folders in `train/`, `val/` (or `valid/`, `validation/`) and `test/`, or else in the folder itself.

    Args:
        source: The folder.
        subject: The kind of object to classify, such as "plant".
        or_else: Another layout that the caller also accepts, for the message.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has fewer than two classes, or class names are missing.
    """
    folder = expect_folder(source)
    roots = {split: folder / name for name, split in SPLITS.items() if (folder / name).is_dir()} or {"all": folder}
    classes = {split: found for split, root in roots.items() if (found := _class_folders(root))}
    folders = {path.name for found in classes.values() for path in found}
    if len(folders) < 2:
        raise ValueError(
            f"{source}: expected {or_else and or_else + ', or '}one folder of images per class, at least two"
            f" (train/CLASS/*.jpg and val/CLASS/*.jpg, or CLASS/*.jpg), got a folder that contains {contents(folder)}"
        )
    labels = _labels(folder, folders)
    if subject != "object" and all(label.isdecimal() for label in labels.values()):
        raise nameless(folder, min(labels.values()))
    return {split: _reader(found, labels, folder, subject) for split, found in classes.items()}


def _class_folders(root: Path) -> list[Path]:
    return [path for path in sorted(root.iterdir()) if path.is_dir() and path.name[0] != "." and any(_images(path))]


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("[!.]*") if path.suffix.lower() in ENDINGS and path.is_file())


def _labels(folder: Path, folders: Iterable[str]) -> dict[str, str]:
    """Labels by folder name."""
    names = load_names(folder)
    if names is None:
        return {name: name for name in folders}
    if missing := sorted(set(folders) - names.keys()):
        raise ValueError(f"{folder}: expected a name for the folder {missing[0]!r}, got only {shown(sorted(names))}")
    return {name: names[name] for name in folders}


def load_names(folder: Path) -> dict[str, str] | None:
    """The class names of `labels.json` or `cat_to_name.json`; None if neither exists.

    Raises:
        ValueError: The file does not contain names by folder or number.
    """
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None:
        return None
    names = load_json(path)
    if not isinstance(names, dict) or not all(isinstance(name, str) and name.strip() for name in names.values()):
        raise ValueError(f'{path}: expected {{"folder or number": "name"}}, got {shown(names)}')
    return names


def nameless(folder: Path, number: str) -> ValueError:
    """The error for classes that have numbers only."""
    return ValueError(f"{folder}: expected the class names in {' or '.join(NAMES)}, got only numbers: {number}")


def _reader(folders: list[Path], labels: dict[str, str], source: Path, subject: str) -> Read:
    def read(on_problem: OnProblem, _: Path) -> Iterator[Sample]:
        images = ((image, labels[folder.name]) for folder in folders for image in sorted(_images(folder)))
        return read_labelled(images, sorted(set(labels.values())), source, subject, on_problem)

    return read


def read_labelled(
    images: Iterable[Labelled], categories: Sequence[str], source: Path, subject: str, on_problem: OnProblem
) -> Iterator[Sample]:
    """Make samples of labelled images.

    Args:
        images: The images, all in `source`, with their labels.
        categories: All classes.
        source: Folder of the dataset.
        subject: The kind of object to classify.
        on_problem: Called with the error of each image that does not open.

    Yields:
        Samples without boxes. `image_id` is the path within the folder, without extension, or with it if two images
        differ in it only.
    """
    reading, names = Reading.of(on_problem), ImageNames()
    for image, label in images:
        try:
            target = Target(NO_BOXES, (label,), *shown_size(image), tuple(categories), "classification")
            path = image.relative_to(source)
            image_id = names.add(image, path.with_suffix("").as_posix(), path.as_posix(), str(image))
        except (ValueError, OSError) as problem:
            reading.defect(problem, "image missing or defective")
        else:
            yield Sample(image, image_id, target, "class", subject, annotations=1)
