"""Thumbnails that are embedded in a page."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq
from PIL import Image

SIDES: Final = (640, 448, 320, 224, 160, 96)
"""Candidates for the longer side in pixels; a thumbnail has the largest that fits its budget."""
QUALITY: Final = 70
EFFORT: Final = 2
"""WebP compression effort, 0 to 6: half the time of Pillow's default for a few percent of the size."""
MAX_PIXELS: Final = 178_956_970
"""Larger images are not opened: Pillow's limit, above which it warns."""


def thumbnail(source: Path | bytes, budget: int) -> str:
    """Encode an image as a WebP `data:` URL.

    Args:
        source: The file, or its content.
        budget: Maximum length of the URL in characters; if no size fits, the smallest of `SIDES` is used.

    Returns:
        The URL; empty if the image does not exist or cannot be read.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return ""
            opened.draft("RGB", (SIDES[0], SIDES[0]))  # JPEG can be decoded at half its size or less.
            image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ""
    url, sides = "", [*SIDES]
    while sides and (not url or len(url) > budget):
        side = sides.pop(0)
        url = _data_url(image, side)
        # The length grows with the area: sizes that are clearly too large are skipped.
        sides = [other for other in sides if len(url) * (other / side) ** 2 < 1.3 * budget] or sides[-1:]
    return url


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
    """
    missing, found = set(wanted), {}
    for file in files:
        if missing and file.is_file():
            for batch in pq.ParquetFile(file).iter_batches(64, columns=["data_source", "images", "extra_info"]):
                for row in batch.to_pylist():
                    key = (row["data_source"], str((row["extra_info"] or {}).get("image_id")))
                    content = next((image.get("bytes") for image in row["images"] or ()), None)
                    if key in missing and content:
                        found[key] = content
                        missing.discard(key)
    return found
