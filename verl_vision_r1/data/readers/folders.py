"""What the readers share about folders."""

from collections.abc import Iterable
from pathlib import Path


def expect_folder(source: str | Path) -> Path:
    """The folder of a data set, as an absolute path.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    folder = Path(source).expanduser().absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"{source}: expected the folder of a data set, got no such folder")
    return folder


def existing(folders: Iterable[Path]) -> list[Path]:
    """Those of the folders that exist, in their order, each once."""
    return list(dict.fromkeys(folder for folder in folders if folder.is_dir()))


def contents(folder: Path, most: int = 20) -> str:
    """What a folder holds, for a message."""
    held = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    return ", ".join(held[:most]) + ", ..." * (len(held) > most) or "nothing"
