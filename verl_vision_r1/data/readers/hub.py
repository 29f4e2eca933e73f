"""Datasets of the Hugging Face `datasets` library, and the images embedded in them.

A dataset is a folder written by `save_to_disk`, a folder of parquet files as the Hugging Face Hub serves them, or a
name on the Hub. The cache of `datasets` (`HF_HOME`) stores a copy of parquet files and downloads; rows are read from
it as needed.
"""

import glob
import hashlib
import re
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image

from verl_vision_r1.data.readers.entries import Entry, load_json, value_of
from verl_vision_r1.data.readers.folders import check_name, contents
from verl_vision_r1.documents import replaced
from verl_vision_r1.shown import shown

Dataset = Any
"""`datasets.Dataset`, which has no type hints."""

SPLIT_NAMES: Final = {"validation": "val", "valid": "val", "dev": "val"}
HUB_NAME: Final = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
ENDINGS: Final = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp"}
"""File extensions by Pillow's format name. MPO is a JPEG with a second image appended, as some cameras write."""


def load(source: str) -> dict[str, Dataset]:
    """The splits of a dataset by name, the column "image" undecoded: `{"bytes": ..., "path": ...}`.

    Args:
        source: A folder written by `Dataset.save_to_disk` or `DatasetDict.save_to_disk`; a folder of parquet files
            (`*.parquet`, or `data/*.parquet`), whose split is their name up to the first "-"; or a name on the Hub.

    Returns:
        The splits by their own names, except "val" for "validation"; "all" for a dataset without splits.

    Raises:
        FileNotFoundError: The folder does not exist, and the Hub has no such dataset or is unreachable.
        ValueError: The folder contains something else, or `datasets` cannot read it.
    """
    folder = Path(source).expanduser().absolute()
    loaded = _from_folder(folder, source) if folder.is_dir() else _from_hub(source)
    try:
        return {SPLIT_NAMES.get(str(split), str(split)): _plain(dataset) for split, dataset in loaded.items()}
    except (ValueError, TypeError, NotImplementedError) as error:  # The errors of pyarrow's casts.
        raise ValueError(f"{source}: expected images in the column 'image', got {error}") from error


def _from_folder(folder: Path, source: str) -> dict[str, Dataset]:
    import datasets

    saved = any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
    files = sorted(folder.glob("[!.]*.parquet")) or sorted(folder.glob("data/[!.]*.parquet"))
    if not saved and not files:
        raise ValueError(
            f"{source}: expected a dataset saved by `save_to_disk` of `datasets`, or parquet files (*.parquet or"
            f" data/*.parquet), got a folder that contains {contents(folder)}"
        )
    try:
        if not saved:
            return {split: datasets.Dataset.from_parquet(names) for split, names in _by_split(files).items()}
        _check_names(folder)
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # On a damaged file, the library raises many undocumented types.
        raise ValueError(f"{source}: expected files that `datasets` can read, got: {error}") from error
    return dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"all": loaded}


def _check_names(folder: Path) -> None:
    """Refuse a saved dataset whose files name parts or data files outside its folder: the library follows them.

    Raises:
        ValueError: A name is not that of a folder or file in the folder.
    """
    if (listing := folder / "dataset_dict.json").is_file():
        splits = value_of(_object(listing), "splits", list, str(listing))
        for split in splits:
            check_name(split, f"{listing}: splits")
            _check_names(folder / split)
    elif (state := folder / "state.json").is_file():
        for entry in value_of(_object(state), "_data_files", list, str(state)):
            check_name(entry.get("filename") if isinstance(entry, dict) else entry, f"{state}: _data_files")


def _object(path: Path) -> Entry:
    entry = load_json(path)
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: expected a JSON object, got {shown(entry)}")
    return entry


def _by_split(files: list[Path]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for file in files:
        name = file.stem.split("-")[0]
        # The Hub numbers the files it converts itself: 0000.parquet. The library treats each path as a pattern.
        splits.setdefault("all" if name.isdigit() else name, []).append(glob.escape(str(file)))
    return splits


def _from_hub(source: str) -> dict[str, Dataset]:
    import datasets

    if not HUB_NAME.fullmatch(source):
        raise FileNotFoundError(f"{source}: expected the folder of a dataset, or its name on the Hub, got neither")
    try:
        return dict(datasets.load_dataset(source))
    except Exception as error:  # Any error of the network, the Hub or the library.
        raise FileNotFoundError(
            f"{source}: expected the folder of a dataset, or its name on the Hub, got no such folder, and from the"
            f" Hub: {error} ({type(error).__name__}). Without a connection, download it elsewhere"
            f" (hf download --repo-type dataset {source} --local-dir FOLDER) and use that folder"
        ) from error


def _plain(dataset: Dataset) -> Dataset:
    """Numbers, text, and the column "image" undecoded. Decoding any other image would open the path or URL in it."""
    import datasets

    columns = dataset.with_format(None).features
    others = [name for name, kind in columns.items() if name != "image" and not isinstance(kind, datasets.Value)]
    plain = dataset.with_format(None).remove_columns(others)
    return plain.cast_column("image", datasets.Image(decode=False)) if "image" in columns else plain


def expect_columns(source: str, splits: dict[str, Dataset], what: str, columns: Collection[str]) -> None:
    """Check the columns of every split, without reading rows.

    Raises:
        ValueError: A split lacks one of the columns.
    """
    for split, dataset in splits.items():
        if not set(columns) <= set(dataset.column_names):
            names = ", ".join(dataset.column_names)
            raise ValueError(
                f"{source}: expected {what} with the columns {', '.join(columns)}, got {names} in {split!r}"
            )


class ImageStore:
    """Writes the embedded images of one split to files: each once, under one name, even if many rows repeat it.

    Questions about the same image must not be divided between "train" and "val", and only its bytes identify it.
    """

    def __init__(self, folder: Path, source: str, split: str) -> None:
        """Prepare the store; nothing is written yet.

        Args:
            folder: Folder for the images of all datasets; those of `source` get their own subfolder.
            source: The argument of `load`.
            split: Name of the split, the first half of every image name.
        """
        local = Path(source).expanduser().absolute()
        origin = str(local) if local.is_dir() else source
        self._folder = folder / f"{local.name}-{hashlib.sha256(origin.encode()).hexdigest()[:8]}"
        self._split = split
        self._stored: dict[bytes, tuple[Path, str]] = {}
        self._names: set[str] = set()

    def add(self, entry: Any, index: int, where: str, image_id: str = "") -> tuple[Path, str]:
        """Store the image of a row, unless an earlier row had the same image.

        Args:
            entry: The value of the column "image".
            index: Index of the row.
            where: Location for error messages: the dataset and the row.
            image_id: Name of the image in the dataset; by default made of the split and the index.

        Returns:
            The file, and the name of the image. If two images have one name, the second gets the index appended.

        Raises:
            ValueError: The row has no image.
        """
        name, digest = f"{self._split}-{index:06d}", hashlib.sha256(_embedded(entry, where)).digest()
        if digest not in self._stored:
            path, chosen = store_image(entry, self._folder, name, where), image_id or name
            unique = f"{chosen}-{name}" if chosen in self._names else chosen
            self._names.add(unique)
            self._stored[digest] = path, unique
        return self._stored[digest]


def store_image(entry: Any, folder: Path, name: str, where: str = "image") -> Path:
    """Write an embedded image to a file, unchanged. An existing file with the same bytes is kept.

    Args:
        entry: `{"bytes": ..., "path": ...}`.
        folder: The folder; it is created if needed.
        name: Name of the file, without extension.
        where: Location for error messages.

    Raises:
        ValueError: There are no bytes, or they are not a JPEG, PNG or WebP image.
    """
    data = _embedded(entry, where)
    path = folder / f"{name}{_ending(data, where)}"
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with replaced(path) as unfinished:
        unfinished.write_bytes(data)
    return path


def _embedded(entry: Any, where: str) -> bytes:
    data = entry.get("bytes") if isinstance(entry, dict) else None
    if not isinstance(data, bytes) or not data:
        raise ValueError(f"{where}: expected the bytes of an image, got {shown(entry)}")
    return data


def _ending(data: bytes, where: str) -> str:
    try:
        with Image.open(BytesIO(data)) as image:
            form = image.format or ""
    except Exception as error:  # Pillow's decoders raise many types besides OSError on damaged bytes.
        raise ValueError(f"{where}: expected an image, got {len(data)} other bytes: {error}") from error
    if form not in ENDINGS:
        raise ValueError(f"{where}: expected an image in one of the formats {', '.join(ENDINGS)}, got {form}")
    return ENDINGS[form]
