"""The lists of a Pascal VOC dataset: `ImageSets/Main/train.txt` and so on, one name per line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from verl_vision_r1.data.readers.folders import SPLIT_OF, existing
from verl_vision_r1.data.readers.problems import Reading
from verl_vision_r1.documents import read_text
from verl_vision_r1.shown import shown

CLASS_COLUMN: Final = re.compile(r"(.*\S)\s+(?:-1|0|1)")
"""A line of a list for one class: the name of an image, and whether it has the class."""

ENDINGS: Final = re.compile(r"\.(?:xml|jpe?g|png|bmp|webp)$", re.IGNORECASE)


def find_lists(folder: Path) -> dict[str, Path]:
    """The lists of `ImageSets/Main/` by split; "all" for `default.txt`, the only list that CVAT writes."""
    places = existing([folder / "ImageSets" / "Main", folder / "ImageSets"])
    for place in places:
        files = {split: place / f"{name}.txt" for name, split in SPLIT_OF.items() if (place / f"{name}.txt").is_file()}
        if files or (place / "default.txt").is_file():
            return files or {"all": place / "default.txt"}
    return {}


def listed_files(path: Path, files: Mapping[str, Path], reading: Reading | None = None) -> list[Path]:
    """The annotation files that a list names.

    Args:
        path: The list. A line is a name, which may contain blanks and have an extension or a folder.
        files: The annotation files by name without extension.
        reading: Called with the error of each line that names none of the files.

    Returns:
        The files in the order of the list, each once.

    Raises:
        ValueError: The list is not UTF-8.
    """
    found: dict[Path, None] = {}
    for number, line in enumerate(read_text(path, "names of images").splitlines(), 1):
        if not (name := line.strip()):
            continue
        stem = next((stem for stem in _stems(name) if stem in files), None)
        if stem is not None:
            found[files[stem]] = None
        elif reading is not None:
            reading(ValueError(f"{path} line {number}: expected the name of an annotation file, got {shown(name)}"))
    return list(found)


def _stems(name: str) -> Iterator[str]:
    column = CLASS_COLUMN.fullmatch(name)
    for whole in [name, *([column[1]] if column else [])]:
        base = whole.replace("\\", "/").rsplit("/", 1)[-1]
        for part in (whole, base):
            yield from (part, ENDINGS.sub("", part))


def without_lists(files: Sequence[Path], lists: Mapping[str, Path]) -> list[Path]:
    """The annotation files that no list names."""
    by_stem = {path.stem: path for path in files}
    named = {path for listing in lists.values() for path in listed_files(listing, by_stem)}
    return [path for path in files if path not in named]
