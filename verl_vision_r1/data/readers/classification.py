"""Images sorted into one folder for each class, with or without a folder for each part.

    flowers/train/21/image_06734.jpg
    flowers/valid/21/image_06738.jpg
    flowers/cat_to_name.json            {"21": "fire lily", "3": "canterbury bells", ...}

A folder's name is the label as it stands, underscores too, unless `labels.json` or `cat_to_name.json` gives another.
torchvision's `ImageFolder` reads the same layout, but numbers the classes, and opens no file before training does.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from verl_vision_r1.boxes import NO_BOXES
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem
from verl_vision_r1.data.readers.samples import Parts, Read, Sample
from verl_vision_r1.targets import Target

ENDINGS: Final = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
PARTS: Final = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
NAMES: Final = ("labels.json", "cat_to_name.json")

Labelled = tuple[Path, str]
"""An image and its class."""


def find(source: str, subject: str = "object", *, or_else: str = "") -> Parts:
    """The folders of classes in `train/`, `val/` (`valid/`, `validation/`) and `test/`, or else in the folder itself.

    Args:
        source: The folder.
        subject: The kind of thing to be classified, such as "plant".
        or_else: Another layout that the caller looked for in vain, for the message.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds no two classes, or their names are missing.
    """
    folder = expect_folder(source)
    roots = {part: folder / name for name, part in PARTS.items() if (folder / name).is_dir()} or {"all": folder}
    classes = {part: held for part, root in roots.items() if (held := _class_folders(root))}
    folders = {path.name for held in classes.values() for path in held}
    if len(folders) < 2:
        raise ValueError(
            f"{source}: expected {or_else and or_else + ', or '}a folder of images for each of two classes or more"
            f" (train/CLASS/*.jpg and val/CLASS/*.jpg, or CLASS/*.jpg), got a folder that holds {contents(folder)}"
        )
    labels = _labels(folder, folders)
    if subject != "object" and all(label.isdecimal() for label in labels.values()):
        raise nameless(folder, min(labels.values()))
    return {part: _reader(held, labels, folder, subject) for part, held in classes.items()}


def _class_folders(root: Path) -> list[Path]:
    return [path for path in sorted(root.iterdir()) if path.is_dir() and path.name[0] != "." and any(_images(path))]


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("[!.]*") if path.suffix.lower() in ENDINGS and path.is_file())


def _labels(folder: Path, folders: Iterable[str]) -> dict[str, str]:
    """Label by folder name."""
    names = load_names(folder)
    if names is None:
        return {name: name for name in folders}
    if missing := sorted(set(folders) - names.keys()):
        raise ValueError(f"{folder}: expected a name for the folder {missing[0]!r}, got only {sorted(names)!r:.160}")
    return {name: names[name] for name in folders}


def load_names(folder: Path) -> dict[str, str] | None:
    """What `labels.json` or `cat_to_name.json` calls the classes; None where there is no such file.

    Raises:
        ValueError: It holds something else than names by folder or number.
    """
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        names = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, got a file that is not: {error}") from error
    if not isinstance(names, dict) or not all(isinstance(name, str) and name.strip() for name in names.values()):
        raise ValueError(f'{path}: expected {{"folder or number": "name"}}, got {names!r:.160}')
    return names


def nameless(folder: Path, number: str) -> ValueError:
    """What is wrong with classes that have numbers only."""
    return ValueError(f"{folder}: expected the names of the classes in {' or '.join(NAMES)}, got numbers: {number}")


def _reader(folders: list[Path], labels: dict[str, str], source: Path, subject: str) -> Read:
    def read(on_problem: OnProblem, _: Path) -> Iterator[Sample]:
        images = ((image, labels[folder.name]) for folder in folders for image in sorted(_images(folder)))
        return read_labelled(images, sorted(set(labels.values())), source, subject, on_problem)

    return read


def read_labelled(
    images: Iterable[Labelled], categories: Sequence[str], source: Path, subject: str, on_problem: OnProblem
) -> Iterator[Sample]:
    """Make the samples of images whose class is known.

    Args:
        images: The images, all in `source`.
        categories: All classes.
        source: The folder of the data set.
        subject: The kind of thing to be classified.
        on_problem: Told about each image that cannot be opened, or has the name of another but for the ending.

    Yields:
        Samples without boxes. `image_id` is the path within the folder without its ending.
    """
    owners: dict[str, Path] = {}
    for image, label in images:
        image_id = image.relative_to(source).with_suffix("").as_posix()
        try:
            if image_id in owners:
                raise ValueError(
                    f"{image}: expected a name of its own but for the ending, got that of {owners[image_id]}"
                )
            width, height = shown_size(image)
            target = Target(NO_BOXES, (label,), width, height, tuple(categories), "classification")
        except ValueError as problem:
            on_problem(problem)
        else:
            owners[image_id] = image
            yield Sample(image, image_id, target, "class", subject)
