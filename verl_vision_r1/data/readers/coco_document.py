"""The parts of a COCO file: images, annotations and categories, with their ids."""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

from verl_vision_r1.data.readers.coco_outlines import compacted
from verl_vision_r1.data.readers.entries import Entry, Key, id_of, is_name, load_json, size_of, value_of
from verl_vision_r1.data.readers.folders import listed
from verl_vision_r1.data.readers.problems import Reading, short
from verl_vision_r1.shown import shown

Document = dict[str, list[Entry]]


def load(path: Path, *, outlines: bool = False) -> Document:
    """Load a file in COCO format, without its `segmentation`s: they are most of the file, and only pointing uses them.

    Args:
        path: The JSON file.
        outlines: Whether to keep the polygons, as `coco_outlines.compacted` does.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not JSON, or lacks `images`, `annotations` or `categories`.
    """
    # Plain `json.loads` takes 8.2 GB for a file of 1.3 GB with as many entries as the train file, nearly all for
    # segmentations. Dropping these one by one leaves 2.6 GB: the text, twice during decoding. The result takes 0.9 GB.
    document: Any = load_json(path, "COCO JSON", compacted if outlines else _without_segmentation)
    for key in ("images", "annotations", "categories"):
        entries = document.get(key) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            kind = f"keys {shown(sorted(document))}" if isinstance(document, dict) else type(document).__name__
            got = f"{shown(entries, 80)} in JSON with {kind}"
            raise ValueError(f"{path}: expected {key!r} to be a non-empty list of objects, got {got}")
    return dict(document)


def _without_segmentation(entry: Entry) -> Entry:
    entry.pop("segmentation", None)
    return entry


def names_of(entries: list[Entry], where: str, *, unique: bool = True) -> dict[Key, str]:
    """Category names by id.

    Args:
        entries: The `categories` of a file.
        where: Location for error messages; the id is appended.
        unique: Whether two categories with one name are an error.

    Raises:
        ValueError: An id or a name is missing or repeated.
    """
    names: dict[Key, str] = {}
    taken: set[str] = set()
    for entry in entries:
        at = f"{where} {short(entry.get('id'))}"
        key, name = id_of(entry, "id", at), _name_of(entry, at)
        if key in names or (unique and name in taken) or not is_name(name):
            raise ValueError(f"{at}: expected a unique id and a {'unique ' * unique}name, got {shown(name)}")
        names[key] = name
        taken.add(name)
    return names


def _name_of(entry: Entry, where: str) -> str:
    """The name of a category. Some tools write the name 3 as a number."""
    name = entry.get("name")
    return str(name) if type(name) is int else value_of(entry, "name", str, where)


def categories_of(document: Document, path: Path, reading: Reading) -> dict[Key, str]:
    """Category names by id, without those that are only the heading of others.

    Roboflow adds a category for the project, the supercategory of all classes, without annotations. It is dropped. A
    heading and a class below it with the same name are one category.

    Raises:
        ValueError: An id or a name is missing or repeated.
    """
    entries, where = document["categories"], f"{path} category"
    names, below = names_of(entries, where, unique=False), _by_supercategory(entries, where)
    headings = {key for key, name in names.items() if below.get(name, set()) - {key}}
    # A class with the name of its heading is below it.
    headings = {key for key in headings if key not in below[names[key]] or names[key] not in _others(names, key)}
    for key in sorted(headings - _annotated(document["annotations"]), key=str) if headings else ():
        reading.note(
            f"{path.name}: category {shown(names.pop(key))} is only the supercategory of others: not asked for"
        )
    first: dict[str, Key] = {}
    for key, name in names.items():
        other = first.setdefault(name, key)
        if other != key and not {key, other} & below.get(name, set()):
            raise ValueError(f"{where} {key}: expected a unique id and a unique name, got {shown(name)}")
    return names


def _others(names: dict[Key, str], key: Key) -> set[str]:
    return {name for other, name in names.items() if other != key}


def _by_supercategory(entries: list[Entry], where: str) -> dict[str, set[Key]]:
    below: dict[str, set[Key]] = {}
    for entry in entries:
        if isinstance(parent := entry.get("supercategory"), str):
            below.setdefault(parent, set()).add(id_of(entry, "id", where))
    return below


def _annotated(annotations: list[Entry]) -> set[Key]:
    found: set[Key] = set()
    for annotation in annotations:
        try:
            found.add(id_of(annotation, "category_id", ""))
        except ValueError:
            continue
    return found


def images_of(entries: list[Entry], path: Path, *, lenient: bool = False) -> dict[Key, Entry]:
    """Images by id. `width` and `height` become whole numbers.

    Args:
        entries: The `images` of a file.
        path: The file, for error messages.
        lenient: Whether sizes may be missing, and names may differ in their extension only.

    Raises:
        ValueError: An id, a file name or a size is missing or invalid, or an id or name is repeated.
    """
    images: dict[Key, Entry] = {}
    taken: set[str] = set()
    for entry in entries:
        where = f"{path} image {short(entry.get('id'))}"
        key, name = id_of(entry, "id", where), value_of(entry, "file_name", str, where)
        if not PurePosixPath(name).name:
            raise ValueError(f"{where}: expected 'file_name' to be the name of a file, got {shown(name)}")
        unique = name if lenient else stem_of(name)
        if key in images or unique in taken:
            raise ValueError(f"{where}: expected a unique id and a unique file name, got {shown(unique)}")
        if not lenient or entry.get("width") is not None or entry.get("height") is not None:
            entry["width"], entry["height"] = size_of(entry, where)
        images[key] = entry
        taken.add(unique)
    return images


def stem_of(file_name: str) -> str:
    """The `image_id` of a file in our samples: its path without extension."""
    return PurePosixPath(file_name).with_suffix("").as_posix()


def image_ids(entries: dict[Key, Entry]) -> dict[Key, str]:
    """Names of the images: without extension, unless another image then has the same name."""
    stems = {key: stem_of(entry["file_name"]) for key, entry in entries.items()}
    shared = {stem for stem, count in Counter(stems.values()).items() if count > 1}
    return {key: entries[key]["file_name"] if stem in shared else stem for key, stem in stems.items()}


def is_crowd(annotation: Entry, where: str) -> bool:
    """Whether an annotation is a crowd. Some tools write 0 and 1 as text.

    Raises:
        ValueError: `iscrowd` is something else.
    """
    value = annotation.get("iscrowd", 0)
    if value in (0, None, "0", "false", ""):
        return False
    if value in (1, "1", "true"):
        return True
    raise ValueError(f"{where}: expected 'iscrowd' to be 0 or 1, got {shown(value)}")


def expect_single_objects(document: Document, names: dict[Key, str], path: Path) -> None:
    """Refuse a file whose annotations are all crowds.

    Raises:
        ValueError: They are.
    """
    crowds: Counter[str] = Counter()
    for annotation in document["annotations"]:
        try:
            if not is_crowd(annotation, ""):
                return
            crowds[names.get(id_of(annotation, "category_id", ""), "unknown")] += 1
        except ValueError:
            return
    counts = listed((f"{name} {count}" for name, count in crowds.most_common()), 5)
    raise ValueError(
        f"{path}: expected boxes of single objects, got {crowds.total()} annotations, all of them crowds (iscrowd 1):"
        f" {counts}. CVAT writes brush and SAM masks of single objects so; --crowd-as-box reads them as boxes"
    )
