"""Thumbnails that are embedded in a page."""

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from verl_vision_r1.documents import is_regular_file
from verl_vision_r1.evaluation.presentation.image_files import NoImageError, open_reduced
from verl_vision_r1.shown import shown

SIDES: Final = (1600, 1120, 800, 640, 448, 320, 224, 160, 96)
"""Candidates for the longer side in pixels; a thumbnail has the largest that fits its budget."""
LEAST_CHARACTERS: Final = 0.05
"""Characters per pixel of a photograph, at the least: sides above 640 that need more than the budget are not tried."""
QUALITY: Final = 70
EFFORT: Final = 2
"""WebP compression effort, 0 to 6: half the time of Pillow's default for a few percent of the size."""


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail.

    Attributes:
        url: The image as a WebP `data:` URL; empty if there is none.
        note: Why there is none.
    """

    url: str
    note: str = ""


def thumbnail(source: Path | bytes, budget: int) -> Thumbnail:
    """Encode an image as a WebP `data:` URL.

    Args:
        source: The file, or its content.
        budget: Maximum length of the URL in characters; if no size fits, the smallest of `SIDES` is used.
    """
    try:
        image, _ = open_reduced(source, max(side for side in SIDES if _may_fit(side, budget)))
    except NoImageError as error:
        return Thumbnail("", error.note)
    longer = max(image.size)
    url, sides = "", [longer, *(side for side in SIDES if side < longer)]
    while sides and (not url or len(url) > budget):
        side = sides.pop(0)
        url = _data_url(image, side)
        # The length grows with the area: sizes that are clearly too large are skipped.
        sides = [other for other in sides if len(url) * (other / side) ** 2 < 1.3 * budget] or sides[-1:]
    return Thumbnail(url)


def _may_fit(side: int, budget: int) -> bool:
    return side <= 640 or side * side * LEAST_CHARACTERS < budget


def _data_url(image: Image.Image, side: int) -> str:
    small = image.copy()
    small.thumbnail((side, side))
    encoded = io.BytesIO()
    small.save(encoded, "WEBP", quality=QUALITY, method=EFFORT)
    return "data:image/webp;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")


def embedded_images(files: Iterable[Path], wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Read images that are embedded in samples.

    Args:
        files: Parquet files of samples; missing ones are skipped.
        wanted: (data_source, image_id) of the images.

    Returns:
        The encoded images that were found.

    Raises:
        ValueError: A file has another format.
    """
    missing, found = set(wanted), {}
    for file in files:
        if missing and is_regular_file(file):
            for row in _rows(file):
                key = (row["data_source"], str((row["extra_info"] or {}).get("image_id")))
                content = next((image.get("bytes") for image in row["images"] or ()), None)
                if key in missing and isinstance(content, bytes):
                    found[key] = content
                    missing.discard(key)
    return found


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a parquet file, with the columns that identify its images."""
    kinds = {"data_source": str, "images": list | None, "extra_info": dict | None}
    try:
        for batch in pq.ParquetFile(file).iter_batches(64, columns=list(kinds)):
            for row in batch.to_pylist():
                wrong = [key for key, kind in kinds.items() if key not in row or not isinstance(row[key], kind)]
                wrong += [] if wrong or all(isinstance(image, dict) for image in row["images"] or ()) else ["images"]
                if wrong:
                    raise ValueError(f"other values in {', '.join(wrong)}: {shown(row)}")
                yield row
    except (ValueError, OSError, pa.ArrowException) as error:
        got = " ".join(str(error).split())[:300]
        raise ValueError(f"{file}: expected a parquet file of samples, got {got}") from error
