"""The sample files of other trainers: JSON Lines, JSON lists or parquet, and the images that they name or embed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.data.readers.entries import Entry, json_array, json_lines
from verl_vision_r1.data.readers.folders import contents, existing, expect_folder, split_of
from verl_vision_r1.data.readers.hub import ImageStore
from verl_vision_r1.data.readers.problems import OnProblem, Reading
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, find_image
from verl_vision_r1.shown import shown

ENDINGS: Final = (".jsonl", ".json", ".parquet")

Records = Iterator[tuple[str, Entry]]
"""Location for error messages, and the fields of a sample."""

ReadFile = Callable[[Path, "Images", Reading], Iterator[Sample]]
"""Reads one file."""


class Images:
    """The images that the files of one split name or embed."""

    def __init__(self, folders: Sequence[Path], store: ImageStore) -> None:
        """Start without images.

        Args:
            folders: Folders to search.
            store: Where embedded images are written to.
        """
        self.folders, self._store = folders, store
        self._names: dict[Path, str] = {}

    def find(self, value: Any, index: int, where: str) -> tuple[Path, str]:
        """The file of the one image of a sample, and its name.

        Args:
            value: A path, `{"bytes": ..., "path": ...}`, or a list with one of these. A path of another machine is not
                followed: its last parts are searched for in the folders.
            index: Number of the sample.
            where: Location for error messages.

        Raises:
            ValueError: It is something else or several images, or two paths mean the same file.
            FileNotFoundError: The image does not exist.
        """
        given = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(given, dict) and given.get("bytes"):
            return self._store.add(given, index, where)
        name = given.get("path") if isinstance(given, dict) else given
        if not isinstance(name, str):
            raise ValueError(f"{where}: expected the path or the bytes of one image, got {shown(value)}")
        path = find_image(self.folders, [name], where, foreign=True)
        if self._names.setdefault(path, name) != name:
            other = shown(self._names[path])
            raise ValueError(f"{where}: expected one path for each image, got {shown(name)} and {other} for {path}")
        inside = next((folder for folder in self.folders if path.is_relative_to(folder)), path.parent)
        return path, path.relative_to(inside).as_posix()


def find(source: str, read: ReadFile, what: str) -> Splits:
    """The splits of a folder, or one file, whose images are next to it or in `images/`.

    Args:
        source: The folder or file. A file with "train", "val", "test" and so on in its name belongs to that split, any
            other to "all".
        read: Reads one file.
        what: The format, for messages.

    Raises:
        FileNotFoundError: The file or folder does not exist.
        ValueError: The folder has no such file.
    """
    file = Path(source).expanduser().absolute()
    if file.is_file():
        return find_file(file, None, read, what)
    folder = expect_folder(source)
    files = [path for place in (folder, folder / "data") for path in sorted(place.glob("[!.]*"))]
    splits: dict[str, list[Path]] = {}
    for path in files:
        if path.suffix in ENDINGS and "label_map" not in path.name:
            splits.setdefault(split_of(path.stem), []).append(path)
    if not splits:
        raise ValueError(
            f"{source}: expected {what} ({', '.join('*' + ending for ending in ENDINGS)}), got a folder that contains"
            f" {contents(folder)}"
        )
    places = existing([folder, folder / "images"])
    return {split: _reader(paths, places, source, split, read) for split, paths in splits.items()}


def find_file(file: Path, images: Path | None, read: ReadFile, what: str) -> Splits:
    """One file, and the folder of its images; by default that of the file.

    Raises:
        FileNotFoundError: The file or the folder does not exist.
        ValueError: The file has another extension.
    """
    if file.suffix not in ENDINGS:
        raise ValueError(f"{file}: expected {what} in a file that ends in {' or '.join(ENDINGS)}, got {file.suffix!r}")
    if not file.is_file():
        raise FileNotFoundError(f"{file}: expected {what}, got no such file")
    folders = [expect_folder(images)] if images else existing([file.parent, file.parent / "images"])
    return {"all": _reader([file], folders, str(file), "all", read)}


def _reader(files: Sequence[Path], folders: Sequence[Path], source: str, split: str, read: ReadFile) -> Read:
    def samples(on_problem: OnProblem, stored: Path) -> Iterator[Sample]:
        images, reading = Images(folders, ImageStore(stored, source, split)), Reading.of(on_problem)
        for file in files:
            yield from read(file, images, reading)

    return samples


def records(path: Path, reading: Reading) -> Records:
    """The samples of a file. A line or entry that is not an object is a defect.

    Raises:
        ValueError: The file is not in the format of its extension, or has no samples.
    """
    if path.suffix == ".parquet":
        yield from _rows(path)
    else:
        yield from (json_lines if path.suffix == ".jsonl" else json_array)(path, reading)


def _rows(path: Path) -> Records:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        batches = pq.ParquetFile(path).iter_batches(64)
        rows = (row for batch in batches for row in batch.to_pylist())
        for index, row in enumerate(rows):
            yield f"{path} row {index}", row
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: expected a parquet file, got one that cannot be read: {error}") from error
