"""Four fine-grained classification datasets as published. Each may also be a folder of classes (`classification`).

Oxford-IIIT Pets (https://www.robots.ox.ac.uk/~vgg/data/pets/, CC BY-SA 4.0), `annotations/trainval.txt`:

    Abyssinian_100 1 1 1

FGVC-Aircraft (https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/, for research only), `images_variant_train.txt`:

    1025794 707-320

Stanford Cars: `devkit/cars_train_annos.mat` has `annotations`, with the fields `class` and `fname` among others, and
`devkit/cars_meta.mat` the `class_names`. Oxford Flowers (https://www.robots.ox.ac.uk/~vgg/data/flowers/102/):
`imagelabels.mat` has the class number of each image, `setid.mat` the images of each split. The class names are not
published with it; `cat_to_name.json`, which many copies of the dataset include, has them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from verl_vision_r1.data.readers.classification import Labelled, find, load_names, nameless, read_labelled
from verl_vision_r1.data.readers.folders import expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, Reading
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, find_image
from verl_vision_r1.documents import read_text
from verl_vision_r1.shown import shown

Listed = Iterator[tuple[str, str, str]]
"""The entries of a list: location for error messages, path of the image in the folder, label."""

Listing = Callable[[OnProblem], Listed]
"""Reads one list."""

Parse = Callable[[Any], tuple[str, str]]
"""Converts an entry of a list to the path of the image and the label, or raises ValueError."""


def find_pets(source: str) -> Splits:
    """Oxford-IIIT Pets, or class folders. `trainval.txt` is "train".

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has neither layout.
    """
    folder = expect_folder(source)
    names = {"train": "trainval", "test": "test"}
    lists = {split: folder / "annotations" / f"{name}.txt" for split, name in names.items()}
    listings = {split: partial(_read_lines, path, _pet) for split, path in lists.items() if path.is_file()}
    return _splits(listings, folder, "pet") or find(source, "pet", or_else="annotations/trainval.txt and images/")


def find_aircraft(source: str) -> Splits:
    """FGVC-Aircraft by variant, or class folders.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has neither layout.
    """
    folder = expect_folder(source)
    base = folder / "data" if (folder / "data").is_dir() else folder
    lists = {split: base / f"images_variant_{split}.txt" for split in ("train", "val", "test")}
    listings = {split: partial(_read_lines, path, _aircraft) for split, path in lists.items() if path.is_file()}
    return _splits(listings, base, "aircraft") or find(
        source, "aircraft", or_else="images_variant_train.txt and images/"
    )


def find_cars(source: str) -> Splits:
    """Stanford Cars, or class folders. The list of "test" is `cars_test_annos_withlabels.mat`.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has neither layout.
    """
    folder = expect_folder(source)
    meta = folder / "devkit" / "cars_meta.mat"
    tests = [place / "cars_test_annos_withlabels.mat" for place in (folder, meta.parent)]
    lists = [("train", meta.with_name("cars_train_annos.mat")), *(("test", path) for path in tests)]
    listings = {split: partial(_read_cars, path, meta, f"cars_{split}") for split, path in lists if path.is_file()}
    return _splits(listings, folder, "car") or find(
        source, "car", or_else="devkit/cars_train_annos.mat and cars_train/"
    )


def find_flowers(source: str) -> Splits:
    """Oxford Flowers, or class folders.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has neither layout, or the class names are missing.
    """
    folder = expect_folder(source)
    if not all((folder / name).is_file() for name in ("imagelabels.mat", "setid.mat")):
        return find(source, "plant", or_else="imagelabels.mat, setid.mat and jpg/")
    names = load_names(folder)
    if names is None:
        raise nameless(folder, "those of imagelabels.mat")
    keys = {"train": "trnid", "val": "valid", "test": "tstid"}
    return _splits({split: partial(_read_flowers, folder, names, key) for split, key in keys.items()}, folder, "plant")


def _splits(listings: Mapping[str, Listing], folder: Path, subject: str) -> Splits:
    return {split: _reader(split, listings, folder, subject) for split in listings}


def _reader(split: str, listings: Mapping[str, Listing], folder: Path, subject: str) -> Read:
    def read(on_problem: OnProblem, _: Path) -> Iterator[Sample]:
        # The classes are those of all splits. The defects of a split are reported when that split is read.
        labels = {label for listing in listings.values() for _, _, label in listing(lambda problem: None)}
        reading = Reading.of(on_problem)
        images = _found(listings[split](reading), folder, reading)
        return read_labelled(images, sorted(labels), folder, subject, reading)

    return read


def _found(listed: Listed, folder: Path, reading: Reading) -> Iterator[Labelled]:
    for where, name, label in listed:
        try:
            image = find_image([folder], [name], where)
        except (ValueError, OSError) as problem:
            reading.defect(problem, "image missing or defective")
        else:
            yield image, label


def _each(entries: Iterable[tuple[str, Any]], parse: Parse, on_problem: OnProblem) -> Listed:
    for where, entry in entries:
        try:
            name, label = parse(entry)
        except ValueError as problem:
            Reading.of(on_problem).defect(ValueError(f"{where}: {problem}"))
        else:
            yield where, name, label


def _read_lines(path: Path, parse: Parse, on_problem: OnProblem) -> Listed:
    lines = read_text(path).splitlines()
    entries = [(f"{path} line {number}", line.strip()) for number, line in enumerate(lines, start=1)]
    return _each([(where, line) for where, line in entries if line and line[0] != "#"], parse, on_problem)


def _pet(line: str) -> tuple[str, str]:
    name = line.split()[0]
    label, _, number = name.rpartition("_")
    if not label or not number.isdecimal():
        raise ValueError(f"expected a line such as 'Abyssinian_100 1 1 1', got {shown(line)}")
    return f"images/{name}.jpg", label


def _aircraft(line: str) -> tuple[str, str]:
    name, _, label = line.partition(" ")
    if not label.strip():
        raise ValueError(f"expected a line such as '1025794 707-320', got {shown(line)}")
    return f"images/{name}.jpg", label.strip()


def _read_cars(path: Path, meta: Path, images: str, on_problem: OnProblem) -> Listed:
    names = [str(name) for name in _load(meta, "class_names")]
    entries = [(f"{path} entry {number}", entry) for number, entry in enumerate(_load(path, "annotations"), start=1)]

    def parse(entry: Any) -> tuple[str, str]:
        fields = entry if isinstance(entry, dict) else {}
        number, name = fields.get("class"), fields.get("fname")
        if not isinstance(name, str) or not isinstance(number, int | np.integer) or not 0 < number <= len(names):
            raise ValueError(f"expected 'fname' and 'class' from 1 to {len(names)}, got {shown(entry)}")
        return f"{images}/{name}", names[int(number) - 1]

    return _each(entries, parse, on_problem)


def _read_flowers(folder: Path, names: dict[str, str], key: str, on_problem: OnProblem) -> Listed:
    labels, path = _load(folder / "imagelabels.mat", "labels"), folder / "setid.mat"
    entries = [(f"{path} {key} entry {number}", entry) for number, entry in enumerate(_load(path, key), start=1)]

    def parse(number: Any) -> tuple[str, str]:
        if not isinstance(number, int) or not 0 < number <= len(labels):
            raise ValueError(f"expected the number of an image from 1 to {len(labels)}, got {shown(number)}")
        label = str(labels[number - 1])
        if label not in names:
            raise ValueError(f"expected a class with a name, one of {shown(sorted(names))}, got {label}")
        return f"jpg/image_{number:05d}.jpg", names[label]

    return _each(entries, parse, on_problem)


def _load(path: Path, key: str) -> list[Any]:
    from scipy.io import loadmat

    try:
        variables = loadmat(path, simplify_cells=True)
    except Exception as error:  # SciPy raises many types besides its own on a damaged file.
        raise ValueError(f"{path}: expected a MATLAB file, got one that cannot be read: {error}") from error
    if key not in variables:
        names = [name for name in variables if name[0] != "_"]
        raise ValueError(f"{path}: expected the variable {key!r}, got {names}")
    entries: list[Any] = np.atleast_1d(variables[key]).tolist()
    return entries
