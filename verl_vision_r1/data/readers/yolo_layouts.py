"""The folders in which YOLO files come.

Ultralytics and Roboflow write `data.yaml`, Darknet and CVAT `obj.data`, Label Studio only `classes.txt`.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.data.readers.entries import WHOLE, is_name
from verl_vision_r1.data.readers.folders import SPLIT_OF, contents, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem
from verl_vision_r1.data.readers.samples import Read, Sample, Splits
from verl_vision_r1.data.readers.yolo import Names, read_yolo
from verl_vision_r1.documents import is_regular_file, parse_yaml, read_text
from verl_vision_r1.shown import shown

YAML: Final = (".yaml", ".yml")


def find(source: str) -> Splits:
    """The splits of `data.yaml`, of another single `*.yaml`, or of `obj.data`; "all" for `images/` with `classes.txt`.

    If "train" and "val" are the same images, as in COCO128, they are "all".

    Args:
        source: The folder, or the YAML file in it.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has none of these files, or one of them has no names, or a split is not in the folder.
    """
    file = Path(source).expanduser().absolute()
    if file.is_file() and file.suffix in YAML:
        return _configured(file.resolve())
    folder = expect_folder(source).resolve()
    configured = [folder / "data.yaml", folder / "data.yml"]
    others = [path for path in folder.glob("[!.]*") if path.suffix in YAML]
    for path in [*configured, *(others if len(others) == 1 else [])]:
        if path.is_file():
            return _configured(path)
    if (darknet := folder / "obj.data").is_file():
        return _darknet(darknet)
    for path in (folder / "classes.txt", folder / "labels" / "classes.txt"):
        if path.is_file() and (folder / "images").is_dir() and (folder / "labels").is_dir():
            return {"all": _reader([folder / "images"], folder, _names(_lines(path), path))}
    raise ValueError(
        f"{source}: expected YOLO files (data.yaml, obj.data, or classes.txt with images/ and labels/), got a folder"
        f" that contains {contents(folder)}"
    )


def _reader(places: Sequence[Path], folder: Path, names: Names) -> Read:
    return lambda on_problem, _: read_yolo(*places, folder=folder, names=names, on_problem=on_problem)


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in read_text(file).splitlines() if line.strip()]


def _configured(file: Path) -> Splits:
    document = parse_yaml(read_text(file, "YAML"), str(file))
    if not isinstance(document, dict):
        raise ValueError(f"{file}: expected a YAML mapping with 'names' and 'train', got {shown(document)}")
    names = _names(document.get("names"), file)
    if document.get("kpt_shape") is not None:
        raise ValueError(
            f"{file}: expected boxes or polygons, got keypoints (kpt_shape {shown(document['kpt_shape'])})"
        )
    found = {split: _places(document, split, file) for split in ("train", "val", "test")}
    if found["train"] == found["val"]:
        found = {"all": found["train"], "test": found["test"]}
    splits = {split: _reader(places, file.parent, names) for split, places in found.items() if places}
    if not splits:
        raise ValueError(
            f"{file}: expected images of 'train', 'val' or 'test', got none (the keys are {shown(list(document))})"
        )
    return splits


def _names(value: Any, file: Path) -> Names:
    names = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(names, dict) or not names:
        raise ValueError(f"{file}: expected 'names' to be a list of classes, or names by number, got {shown(value)}")
    for key, name in names.items():
        # YAML reads an unquoted 3 as a number, which is a valid name, and an unquoted `no` as false, which is not.
        if not WHOLE.fullmatch(str(key)) or int(key) < 0 or type(name) not in (str, int) or not is_name(str(name)):
            raise ValueError(f"{file}: expected a whole number and a class name, got {shown(key)}: {shown(name)}")
    found: Names = {int(key): str(name) for key, name in names.items()}
    if not len(set(found.values())) == len(found) == len(names):
        raise ValueError(f"{file}: expected unique numbers and class names, got {shown(names)}")
    return found


def _places(document: dict[Any, Any], split: str, file: Path) -> list[Path]:
    """The image folders of one split, or the files that list its images. A missing test split is no error."""
    root, value = document.get("path") or ".", document.get(split) or []
    entries = value if isinstance(value, list) else [value]
    if not isinstance(root, str) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"{file}: expected 'path' and {split!r} to be folders, got {shown(root)} and {shown(value)}")
    places = [place for entry in entries if (place := _place(entry, (file.parent / root, file.parent), file))]
    if len(places) < len(entries) and split != "test":
        raise ValueError(
            f"{file}: expected {split!r} to be in {file.parent}, got {shown(value)}: no such folder or list"
        )
    return places


def _place(entry: str, roots: Sequence[Path], file: Path) -> Path | None:
    inner = entry
    while inner.startswith("../"):
        # Roboflow writes paths relative to one of the image folders.
        inner = inner.removeprefix("../")
    places = [Path(os.path.normpath(root / name)) for name in (entry, inner) for root in roots]
    existing = [place for place in places if os.path.isdir(place) or _is_list(place)]
    inside = [place for place in existing if place.is_relative_to(file.parent)]
    if existing and not inside:
        raise ValueError(f"{file}: expected folders within {file.parent}, got {shown(entry)}, which is {existing[0]}")
    return inside[0] if inside else None


def _is_list(place: Path) -> bool:
    return place.suffix == ".txt" and is_regular_file(place)


def _darknet(file: Path) -> Splits:
    """The lists that `obj.data` names, and the classes of its `names`. Label files are next to the images."""
    pairs = [line.partition("=") for line in _lines(file)]
    values = {key.strip(): value.strip() for key, _, value in pairs}
    listing = _darknet_file(values.get("names", "obj.names"), file)
    names = _names(_lines(listing), listing)
    lists = {SPLIT_OF[key]: _darknet_file(value, file) for key, value in values.items() if key in SPLIT_OF and value}
    if not lists:
        raise ValueError(f"{file}: expected lines such as 'train = data/train.txt', got {shown(list(values.items()))}")

    def reader(path: Path) -> Read:
        def read(on_problem: OnProblem, _: Path) -> Iterator[Sample]:
            return read_yolo(path, folder=file.parent, names=names, on_problem=on_problem)

        return read

    return {split: reader(path) for split, path in lists.items()}


def _darknet_file(name: str, file: Path) -> Path:
    """A file that `obj.data` names: paths in it start at Darknet's own folder, so only the name is certain."""
    inner = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    for start in range(len(inner)):
        if (path := file.parent.joinpath(*inner[start:])).is_file():
            return path
    raise ValueError(f"{file}: expected the name of a file in {file.parent}, got {shown(name)}")
