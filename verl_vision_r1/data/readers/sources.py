"""The datasets that `vision-r1 prepare` reads, by name: the functions that `readers.DATASETS` lists."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from verl_vision_r1.data.readers import DATASETS, coco_layouts
from verl_vision_r1.data.readers.folders import check_name
from verl_vision_r1.data.readers.samples import Splits
from verl_vision_r1.shown import shown

Find = Callable[[str], Splits]
"""(folder, or name on the Hugging Face Hub) -> splits of the dataset."""
FindFile = Callable[[Path, Path | None], Splits]
"""(annotation file, folder of its images or None) -> splits of the dataset."""


def _functions() -> Iterator[tuple[str, Find, FindFile | None]]:
    """Each dataset with its reader, and with the one of an annotation file if it has one."""
    for name, place in (item for kind in DATASETS.values() for item in kind.items()):
        module, function = place.split(":")
        reader = import_module(f"{__package__}.{module}")
        yield name, getattr(reader, function), getattr(reader, f"{function}_file", None)


SOURCES: Final[dict[str, Find]] = {name: find for name, find, _ in _functions()}
FILES: Final[dict[str, FindFile]] = {name: find_file for name, _, find_file in _functions() if find_file}
"""The datasets whose annotations may be in one file (for VOC, in one folder) away from the images."""

PARENTS: Final = ("refcoco", "refcoco+", "refcocog", "grefcoco")
"""The datasets whose images are published next to the folder of the dataset."""


def guess(folder: str) -> str:
    """Tell whether a folder is COCO or Pascal VOC.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder is neither.
    """
    reasons = []
    for name in ("coco", "voc"):
        try:
            SOURCES[name](folder)
        except ValueError as error:
            reasons.append(str(error))
        else:
            return name
    raise ValueError("; ".join(reasons))


def find(name: str, source: str, annotations: Path | None = None, images: Path | None = None) -> Splits:
    """The splits of a dataset.

    Args:
        name: One of `SOURCES`.
        source: Folder, annotation file, or name on the Hub; ignored if `annotations` is given.
        annotations: Annotation file elsewhere.
        images: Folder of the images of an annotation file.

    Raises:
        ValueError: No reader has that name, the folder has another layout, or a split is named like a path.
        FileNotFoundError: A folder or file does not exist.
    """
    if name not in SOURCES:
        raise ValueError(f"dataset: expected one of {', '.join(SOURCES)}, got {shown(name)}")
    file = _file(source, annotations, images)
    if file is None:
        splits = SOURCES[name](source)
    elif name in FILES:
        splits = FILES[name](file, images)
    else:
        raise ValueError(f"annotations: expected one of the datasets {', '.join(FILES)}, got {name}")
    for split in splits:
        check_name(split, f"{annotations or source}: splits")
    return splits


def _file(source: str, annotations: Path | None, images: Path | None) -> Path | None:
    """The annotation file to read; None to search for it in a folder."""
    if annotations is not None:
        return annotations.expanduser().absolute()
    file = Path(source).expanduser().absolute()
    if images is not None and not file.is_file():
        raise ValueError(f"images: expected --annotations FILE, or a file as --source, got the folder {source}")
    return None if images is None else file


def roots(name: str, source: str, annotations: Path | None = None, images: Path | None = None) -> list[Path]:
    """The folders that a dataset's images may be in; arguments as for `find`."""
    if images is not None:
        return [images.expanduser().absolute()]
    place = (annotations or Path(source)).expanduser().absolute()
    folder = coco_layouts.root_of(place) if place.is_file() else place
    return [folder, folder.parent] if name in PARENTS else [folder]
