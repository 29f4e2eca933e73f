"""Folders and files of datasets."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from verl_vision_r1.data.readers.problems import Reading
from verl_vision_r1.shown import shown

SPLIT_OF: Final = {
    **{"train": "train", "training": "train", "trainval": "trainval"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"},
}
"""The split that the name of a folder or file stands for."""


def expect_folder(source: str | Path) -> Path:
    """The absolute path of a dataset's folder.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: It is a file.
    """
    folder = Path(source).expanduser().absolute()
    if folder.is_file():
        raise ValueError(f"{source}: expected the folder of a dataset, got a file")
    if not folder.is_dir():
        raise FileNotFoundError(f"{source}: expected the folder of a dataset, got no such folder")
    return folder


def existing(folders: Iterable[Path]) -> list[Path]:
    """The folders that exist, in the given order, without repeats."""
    return list(dict.fromkeys(folder for folder in folders if folder.is_dir()))


def contents(folder: Path, most: int = 20) -> str:
    """The names in a folder, for a message."""
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    return listed(names, most) or "no files"


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names for a message, the first ones of many.

    Example:
        >>> listed("abcd", most=2)
        'a, b, ...'
    """
    every = list(names)
    return ", ".join(every[:most]) + ", ..." * (len(every) > most)


def split_of(name: str) -> str:
    """The split that a file name tells: one of the values of `SPLIT_OF`, or "all".

    Example:
        >>> [split_of(name) for name in ("refcoco_train", "train2017", "instances_val", "set_valid_0321", "latest")]
        ['train', 'train', 'val', 'val', 'all']
    """
    words = re.split("[^a-z]+", name.lower())
    return next((SPLIT_OF[word] for word in words if word in SPLIT_OF), "all")


NAME: Final = re.compile(r"\w[\w .+@()-]*")
"""The name of a split or of a file: it leads into no other folder."""


def check_name(name: object, where: str) -> None:
    """Refuse a name that is a path.

    Raises:
        ValueError: It is not text of letters, digits, blanks and `. + @ ( ) - _`, or does not start with one of the
            first two.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"{where}: expected a plain name, got {shown(name)}")


def note_unread(reading: Reading, paths: Iterable[Path], folder: Path) -> None:
    """Tell the user which files of a folder are not read, if any."""
    if names := sorted(path.relative_to(folder).as_posix() for path in paths):
        reading.note(f"not read: {listed(names, 5)} ({len(names)} of {folder})")
