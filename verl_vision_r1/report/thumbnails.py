"""Images small enough to travel within a page."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq
from PIL import Image

SIDES: Final = (640, 448, 320, 224, 160, 96)
"""Longest sides in pixels, of which an image gets the largest that fits its share of the page."""
QUALITY: Final = 70
FAST: Final = 2
"""Effort of the compression, of 0 to 6: half the time of Pillow's own for a few percent of the size."""
LARGEST: Final = 178_956_970
"""Pixels of an image that is opened: Pillow's own bound, above which it warns."""


def thumbnail(source: Path | bytes, budget: int) -> str:
    """An image as a `data:` address of WebP.

    Args:
        source: The file, or what is in it.
        budget: Letters that the address may have; the smallest of `SIDES` is taken where none fits.

    Returns:
        The address; empty where there is no such image or it cannot be read.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            if opened.width * opened.height > LARGEST:
                return ""
            opened.draft("RGB", (SIDES[0], SIDES[0]))  # JPEG can be read at half its size or less.
            image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ""
    address, sides = "", [*SIDES]
    while sides and (not address or len(address) > budget):
        side = sides.pop(0)
        address = _address(image, side)
        # An address grows with the area: sides that would be too long by far are not tried.
        sides = [other for other in sides if len(address) * (other / side) ** 2 < 1.3 * budget] or sides[-1:]
    return address


def _address(image: Image.Image, side: int) -> str:
    small = image.copy()
    small.thumbnail((side, side))
    held = io.BytesIO()
    small.save(held, "WEBP", quality=QUALITY, method=FAST)
    return "data:image/webp;base64," + base64.b64encode(held.getvalue()).decode("ascii")


def embedded_images(files: Iterable[Path], wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Images that rows hold themselves.

    Args:
        files: Files of rows; those that are not here are passed over.
        wanted: (data_source, image_id) of the images.

    Returns:
        The images that were found, as they are in their files.
    """
    missing, found = set(wanted), {}
    for file in files:
        if missing and file.is_file():
            for batch in pq.ParquetFile(file).iter_batches(64, columns=["data_source", "images", "extra_info"]):
                for row in batch.to_pylist():
                    key = (row["data_source"], str((row["extra_info"] or {}).get("image_id")))
                    held = next((image.get("bytes") for image in row["images"] or ()), None)
                    if key in missing and held:
                        found[key] = held
                        missing.discard(key)
    return found
