"""The parts of an LVIS file that COCO files lack: frequencies of the categories, and which of them were looked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from verl_vision_r1.data.readers.entries import Entry, Key, value_of
from verl_vision_r1.evaluation.predictions.arrays import Looked
from verl_vision_r1.shown import shown

LETTERS: Final = ("r", "c", "f")


def frequencies_of(entries: Sequence[Entry], names: Mapping[Key, str], path: Path) -> tuple[str, ...]:
    """The frequency of each category, `r`, `c` or `f`, in the order of their names; empty if none has one.

    Raises:
        ValueError: Only some categories have a frequency, or it is another one.
    """
    found = {names[entry["id"]]: entry.get("frequency") for entry in entries if entry["id"] in names}
    if all(letter is None for letter in found.values()):
        return ()
    for name, letter in found.items():
        if letter not in LETTERS:
            raise ValueError(
                f"{path} category {shown(name)}: expected 'frequency' to be one of r, c and f, as in all other"
                f" categories, got {shown(letter)}"
            )
    return tuple(str(letter) for letter in found.values())


def looked_for(images: Mapping[Key, Entry], numbers: Mapping[Key, int], path: Path) -> Looked | None:
    """The categories without objects and those without all objects, of each image; None if no image names any.

    Args:
        images: The images by id, in the order of the ground truth.
        numbers: Category indices by id.
        path: The file, for error messages.

    Raises:
        ValueError: Only one of the two lists is there, or it contains an id that is no category.
    """
    if not any("neg_category_ids" in entry for entry in images.values()):
        return None
    absent, incomplete = (
        tuple(_indices(entry, key, numbers, f"{path} image {shown(image)}") for image, entry in images.items())
        for key in ("neg_category_ids", "not_exhaustive_category_ids")
    )
    return Looked(absent, incomplete)


def _indices(entry: Entry, key: str, numbers: Mapping[Key, int], where: str) -> tuple[int, ...]:
    listed: list[Any] = value_of(entry, key, list, where)
    if unknown := [item for item in listed if not isinstance(item, int | str) or item not in numbers]:
        raise ValueError(f"{where}: expected the ids of categories in {key!r}, got {shown(unknown[0])}")
    return tuple(numbers[item] for item in listed)


def with_file_names(entries: list[Entry]) -> list[Entry]:
    """The images of an LVIS file, which have `coco_url` instead of `file_name`, named as `prepare` names them."""
    for entry in entries:
        if "file_name" not in entry and isinstance(entry.get("coco_url"), str):
            entry["file_name"] = PurePosixPath(entry["coco_url"]).name
    return entries
