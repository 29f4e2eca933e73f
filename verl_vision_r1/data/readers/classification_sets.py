"""Four sets of fine classes as they are published; each may also come as folders of classes (see `classification`).

Oxford-IIIT Pets (https://www.robots.ox.ac.uk/~vgg/data/pets/, CC BY-SA 4.0), `annotations/trainval.txt`:

    Abyssinian_100 1 1 1

FGVC-Aircraft (https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/, for research only), `images_variant_train.txt`:

    1025794 707-320

Stanford Cars: `devkit/cars_train_annos.mat` holds `annotations`, with the fields `class` and `fname` among others, and
`devkit/cars_meta.mat` the `class_names`. Oxford Flowers (https://www.robots.ox.ac.uk/~vgg/data/flowers/102/):
`imagelabels.mat` holds the number of each image's class, `setid.mat` which images are in which part. The names of the
numbers are not published with it; `cat_to_name.json`, which goes round with copies of the set, has them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from verl_vision_r1.data.readers.classification import Labelled, find, load_names, nameless, read_labelled
from verl_vision_r1.data.readers.folders import expect_folder
from verl_vision_r1.data.readers.problems import OnProblem
from verl_vision_r1.data.readers.samples import Parts, Read, Sample, find_image

Listed = Iterator[tuple[str, str, str]]
"""What a list holds: where an entry stands, the image's path in the folder, the class."""

Listing = Callable[[OnProblem], Listed]
"""Reads one list."""

Parse = Callable[[Any], tuple[str, str]]
"""Makes of an entry of a list the image's path and the class, or raises ValueError."""


def find_pets(source: str) -> Parts:
    """Oxford-IIIT Pets, or folders of classes. `trainval.txt` is "train".

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It has neither layout.
    """
    folder = expect_folder(source)
    lists = {part: folder / "annotations" / f"{name}.txt" for part, name in (("train", "trainval"), ("test", "test"))}
    listings = {part: partial(_read_lines, path, _pet) for part, path in lists.items() if path.is_file()}
    return _parts(listings, folder, "pet") or find(source, "pet", or_else="annotations/trainval.txt and images/")


def find_aircraft(source: str) -> Parts:
    """FGVC-Aircraft by variant, or folders of classes.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It has neither layout.
    """
    folder = expect_folder(source)
    base = folder / "data" if (folder / "data").is_dir() else folder
    lists = {part: base / f"images_variant_{part}.txt" for part in ("train", "val", "test")}
    listings = {part: partial(_read_lines, path, _aircraft) for part, path in lists.items() if path.is_file()}
    return _parts(listings, base, "aircraft") or find(
        source, "aircraft", or_else="images_variant_train.txt and images/"
    )


def find_cars(source: str) -> Parts:
    """Stanford Cars, or folders of classes. The list of "test" is `cars_test_annos_withlabels.mat`.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It has neither layout.
    """
    folder = expect_folder(source)
    meta = folder / "devkit" / "cars_meta.mat"
    tests = [place / "cars_test_annos_withlabels.mat" for place in (folder, meta.parent)]
    lists = [("train", meta.with_name("cars_train_annos.mat")), *(("test", path) for path in tests)]
    listings = {part: partial(_read_cars, path, meta, f"cars_{part}") for part, path in lists if path.is_file()}
    return _parts(listings, folder, "car") or find(
        source, "car", or_else="devkit/cars_train_annos.mat and cars_train/"
    )


def find_flowers(source: str) -> Parts:
    """Oxford Flowers, or folders of classes.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It has neither layout, or the names of the classes are missing.
    """
    folder = expect_folder(source)
    if not all((folder / name).is_file() for name in ("imagelabels.mat", "setid.mat")):
        return find(source, "plant", or_else="imagelabels.mat, setid.mat and jpg/")
    names = load_names(folder)
    if names is None:
        raise nameless(folder, "those of imagelabels.mat")
    keys = {"train": "trnid", "val": "valid", "test": "tstid"}
    return _parts({part: partial(_read_flowers, folder, names, key) for part, key in keys.items()}, folder, "plant")


def _parts(listings: Mapping[str, Listing], folder: Path, subject: str) -> Parts:
    return {part: _reader(part, listings, folder, subject) for part in listings}


def _reader(part: str, listings: Mapping[str, Listing], folder: Path, subject: str) -> Read:
    def read(on_problem: OnProblem, _: Path) -> Iterator[Sample]:
        # The classes are those of all parts; each part's defects are told when that part is read.
        labels = {label for listing in listings.values() for _, _, label in listing(lambda problem: None)}
        images = _found(listings[part](on_problem), folder, on_problem)
        return read_labelled(images, sorted(labels), folder, subject, on_problem)

    return read


def _found(listed: Listed, folder: Path, on_problem: OnProblem) -> Iterator[Labelled]:
    for where, name, label in listed:
        try:
            image = find_image([folder], [name], where)
        except (ValueError, OSError) as problem:
            on_problem(problem)
        else:
            yield image, label


def _each(entries: Iterable[tuple[str, Any]], parse: Parse, on_problem: OnProblem) -> Listed:
    for where, entry in entries:
        try:
            name, label = parse(entry)
        except ValueError as problem:
            on_problem(ValueError(f"{where}: {problem}"))
        else:
            yield where, name, label


def _read_lines(path: Path, parse: Parse, on_problem: OnProblem) -> Listed:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected lines of text, got a file that is not UTF-8: {error}") from error
    entries = [(f"{path} line {number}", line.strip()) for number, line in enumerate(lines, start=1)]
    return _each([(where, line) for where, line in entries if line and line[0] != "#"], parse, on_problem)


def _pet(line: str) -> tuple[str, str]:
    name = line.split()[0]
    label, _, number = name.rpartition("_")
    if not label or not number.isdecimal():
        raise ValueError(f"expected a line as 'Abyssinian_100 1 1 1', got {line!r:.80}")
    return f"images/{name}.jpg", label


def _aircraft(line: str) -> tuple[str, str]:
    name, _, label = line.partition(" ")
    if not label.strip():
        raise ValueError(f"expected a line as '1025794 707-320', got {line!r:.80}")
    return f"images/{name}.jpg", label.strip()


def _read_cars(path: Path, meta: Path, images: str, on_problem: OnProblem) -> Listed:
    names = [str(name) for name in _load(meta, "class_names")]
    entries = [(f"{path} entry {number}", entry) for number, entry in enumerate(_load(path, "annotations"), start=1)]

    def parse(entry: Any) -> tuple[str, str]:
        fields = entry if isinstance(entry, dict) else {}
        number, name = fields.get("class"), fields.get("fname")
        if not isinstance(name, str) or not isinstance(number, int | np.integer) or not 0 < number <= len(names):
            raise ValueError(f"expected 'fname' and 'class' from 1 to {len(names)}, got {entry!r:.160}")
        return f"{images}/{name}", names[int(number) - 1]

    return _each(entries, parse, on_problem)


def _read_flowers(folder: Path, names: dict[str, str], key: str, on_problem: OnProblem) -> Listed:
    labels, path = _load(folder / "imagelabels.mat", "labels"), folder / "setid.mat"
    entries = [(f"{path} {key} entry {number}", entry) for number, entry in enumerate(_load(path, key), start=1)]

    def parse(number: Any) -> tuple[str, str]:
        if not isinstance(number, int) or not 0 < number <= len(labels):
            raise ValueError(f"expected the number of an image from 1 to {len(labels)}, got {number!r:.80}")
        label = str(labels[number - 1])
        if label not in names:
            raise ValueError(f"expected a class that has a name, one of {sorted(names)!r:.80}, got {label}")
        return f"jpg/image_{number:05d}.jpg", names[label]

    return _each(entries, parse, on_problem)


def _load(path: Path, key: str) -> list[Any]:
    from scipy.io import loadmat

    try:
        held = loadmat(path, simplify_cells=True)
    except Exception as error:  # SciPy raises far more kinds than its own on a damaged file.
        raise ValueError(f"{path}: expected a MATLAB file, got one that cannot be read: {error}") from error
    if key not in held:
        raise ValueError(f"{path}: expected the variable {key!r}, got {[name for name in held if name[0] != '_']}")
    entries: list[Any] = np.atleast_1d(held[key]).tolist()
    return entries
