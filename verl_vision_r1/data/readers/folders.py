"""Folders of datasets."""

from collections.abc import Iterable
from pathlib import Path


def expect_folder(source: str | Path) -> Path:
    """The absolute path of a dataset's folder.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    folder = Path(source).expanduser().absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"{source}: expected the folder of a dataset, got no such folder")
    return folder


def existing(folders: Iterable[Path]) -> list[Path]:
    """The folders that exist, in the given order, without repeats."""
    return list(dict.fromkeys(folder for folder in folders if folder.is_dir()))


def contents(folder: Path, most: int = 20) -> str:
    """The names in a folder, for a message."""
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    return ", ".join(names[:most]) + ", ..." * (len(names) > most) or "no files"
