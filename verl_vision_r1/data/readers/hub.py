"""Data sets of the Hugging Face `datasets` library: where their rows come from, and the images inside them.

A data set is a folder that `save_to_disk` wrote, a folder of parquet files as the hub serves them, or a name on the
hub. Parquet files and what comes from the hub are kept once more in the cache of `datasets` (`HF_HOME`), from where
rows are read as they are needed.
"""

import glob
import hashlib
import os
import re
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image

from verl_vision_r1.data.readers.folders import contents

Dataset = Any
"""`datasets.Dataset`, which comes without types."""

PART_NAMES: Final = {"validation": "val", "valid": "val", "dev": "val"}
HUB_NAME: Final = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
ENDINGS: Final = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp"}
"""By Pillow's name of the format; MPO is a JPEG with a second picture behind it, as some cameras write it."""


def load(source: str) -> dict[str, Dataset]:
    """The parts of a data set by name, the column "image" undecoded: `{"bytes": ..., "path": ...}`.

    Args:
        source: A folder written by `Dataset.save_to_disk` or `DatasetDict.save_to_disk`; a folder of parquet files
            (`*.parquet`, or `data/*.parquet`), whose part is their name up to the first "-"; or a name on the hub.

    Returns:
        Parts as they are named there, "validation" as "val"; of a data set without parts, "all".

    Raises:
        FileNotFoundError: There is no such folder, and no such data set could be had from the hub.
        ValueError: The folder holds something else, or the library cannot read it.
    """
    folder = Path(source).expanduser().absolute()
    loaded = _from_folder(folder, source) if folder.is_dir() else _from_hub(source)
    try:
        return {PART_NAMES.get(str(part), str(part)): _undecoded(dataset) for part, dataset in loaded.items()}
    except (ValueError, TypeError, NotImplementedError) as error:  # What pyarrow's casts raise.
        raise ValueError(f"{source}: expected images in the column 'image', got {error}") from error


def _from_folder(folder: Path, source: str) -> dict[str, Dataset]:
    import datasets

    saved = any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
    files = sorted(folder.glob("[!.]*.parquet")) or sorted(folder.glob("data/[!.]*.parquet"))
    if not saved and not files:
        raise ValueError(
            f"{source}: expected what `save_to_disk` of `datasets` writes, or parquet files (*.parquet or"
            f" data/*.parquet), got a folder that holds {contents(folder)}"
        )
    try:
        if not saved:
            return {part: datasets.Dataset.from_parquet(names) for part, names in _by_part(files).items()}
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # On a damaged file, the library raises far more kinds than it documents.
        raise ValueError(f"{source}: expected files that `datasets` can read, got: {error}") from error
    return dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"all": loaded}


def _by_part(files: list[Path]) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    for file in files:
        name = file.stem.split("-")[0]
        # The hub numbers the files that it converts itself: 0000.parquet. The library takes each path for a pattern.
        parts.setdefault("all" if name.isdigit() else name, []).append(glob.escape(str(file)))
    return parts


def _from_hub(source: str) -> dict[str, Dataset]:
    import datasets

    if not HUB_NAME.fullmatch(source):
        raise FileNotFoundError(f"{source}: expected the folder of a data set, or its name on the hub, got neither")
    try:
        return dict(datasets.load_dataset(source))
    except Exception as error:  # Whatever the network, the hub and the library raise.
        raise FileNotFoundError(
            f"{source}: expected the folder of a data set, or its name on the hub, got no such folder, and from the"
            f" hub: {error} ({type(error).__name__}). Without a connection, fetch it elsewhere"
            f" (hf download --repo-type dataset {source} --local-dir FOLDER) and name the folder"
        ) from error


def _undecoded(dataset: Dataset) -> Dataset:
    import datasets

    plain = dataset.with_format(None)
    return plain.cast_column("image", datasets.Image(decode=False)) if "image" in plain.column_names else plain


def expect_columns(source: str, parts: dict[str, Dataset], what: str, columns: Collection[str]) -> None:
    """Check what the parts of a data set hold, without a look at their rows.

    Raises:
        ValueError: A part lacks one of the columns.
    """
    for part, dataset in parts.items():
        if not set(columns) <= set(dataset.column_names):
            held = ", ".join(dataset.column_names)
            raise ValueError(
                f"{source}: expected {what} with the columns {', '.join(columns)}, got {held} in {part!r}"
            )


class ImageStore:
    """The images of one part as files: each once, and by one name, however many rows hold it.

    Rows that ask about the same image must not be divided between "train" and "val", and only the bytes tell.
    """

    def __init__(self, folder: Path, source: str, part: str) -> None:
        """Nothing is written yet.

        Args:
            folder: For the images of all data sets; those of `source` get a folder of their own in it.
            source: As `load` took it.
            part: The part of the data set, which is the first half of every name.
        """
        local = Path(source).expanduser().absolute()
        origin = str(local) if local.is_dir() else source
        self._folder = folder / f"{local.name}-{hashlib.sha256(origin.encode()).hexdigest()[:8]}"
        self._part = part
        self._held: dict[bytes, tuple[Path, str]] = {}
        self._taken: set[str] = set()

    def add(self, entry: Any, index: int, where: str, image_id: str = "") -> tuple[Path, str]:
        """Store the image of a row, unless an earlier row held the same.

        Args:
            entry: What the row has under "image".
            index: The row's number.
            where: What a message begins with: the data set and the row.
            image_id: Its name in the data set; by default made of the part and the row's number.

        Returns:
            The file, and the image's name. Of two images with the same name, the second has the row's added.

        Raises:
            ValueError: There is no image.
        """
        name, digest = f"{self._part}-{index:06d}", hashlib.sha256(_embedded(entry, where)).digest()
        if digest not in self._held:
            path, chosen = store_image(entry, self._folder, name, where), image_id or name
            unique = f"{chosen}-{name}" if chosen in self._taken else chosen
            self._taken.add(unique)
            self._held[digest] = path, unique
        return self._held[digest]


def store_image(entry: Any, folder: Path, name: str, where: str = "image") -> Path:
    """Write an image of a row to a file, byte by byte as it is; one that is there already is left alone.

    Args:
        entry: `{"bytes": ..., "path": ...}`.
        folder: Is made if need be.
        name: Of the file, without its ending.
        where: What a message begins with.

    Raises:
        ValueError: There are no bytes, or they are not a JPEG, PNG or WebP image.
    """
    held = _embedded(entry, where)
    path = folder / f"{name}{_ending(held, where)}"
    if path.is_file() and path.stat().st_size == len(held) and path.read_bytes() == held:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(held)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _embedded(entry: Any, where: str) -> bytes:
    held = entry.get("bytes") if isinstance(entry, dict) else None
    if not isinstance(held, bytes) or not held:
        raise ValueError(f"{where}: expected the bytes of an image, got {entry!r:.80}")
    return held


def _ending(held: bytes, where: str) -> str:
    try:
        with Image.open(BytesIO(held)) as image:
            form = image.format or ""
    except Exception as error:  # Pillow's decoders raise far more kinds than OSError on damaged bytes.
        raise ValueError(f"{where}: expected an image, got {len(held)} bytes that are none: {error}") from error
    if form not in ENDINGS:
        raise ValueError(f"{where}: expected an image in one of the formats {', '.join(ENDINGS)}, got {form}")
    return ENDINGS[form]
