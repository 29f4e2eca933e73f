"""Opens image files of any origin: regular files in common formats only, reduced while they are decoded."""

import io
import threading
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from PIL import Image

from verl_vision_r1.documents import is_regular_file

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Formats that are decoded: none of them runs another program, as EPS does."""
MAX_PIXELS: Final = 64_000_000
"""Maximum number of pixels to decode; a JPEG file is decoded at an eighth of its size or more."""
LARGE: Final = 4_000_000
"""Images of more pixels are decoded one at a time, whatever the number of threads."""
ONE_AT_A_TIME: Final = threading.Lock()

warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # The limits here are lower.


class NoImageError(ValueError):
    """An image that cannot be shown.

    Attributes:
        note: The reason in a few words.
    """

    def __init__(self, note: str, message: str) -> None:
        """Store the reason."""
        super().__init__(message)
        self.note = note


def open_reduced(source: Path | bytes, side: int) -> tuple[Image.Image, tuple[int, int]]:
    """Open an image, reduced to a maximum size.

    Args:
        source: The file, or its content.
        side: Maximum length of the longer side in pixels; a smaller image is not enlarged.

    Returns:
        The RGB image, and its original (width, height).

    Raises:
        NoImageError: The file is missing or not a regular file, does not decode, or is too large.
    """
    name = "image" if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes) and not is_regular_file(source):
        raise NoImageError("image not found", f"{name}: expected an image file, got no such regular file")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as opened:
            size = opened.size
            scale = side / max(size)
            opened.draft("RGB", (round(size[0] * scale), round(size[1] * scale)))
            pixels = opened.width * opened.height
            if pixels > MAX_PIXELS:
                raise NoImageError(
                    "image too large", f"{name}: expected at most {MAX_PIXELS:,} pixels, got {size[0]}x{size[1]}"
                )
            with ONE_AT_A_TIME if pixels > LARGE else nullcontext():
                return _reduced(opened, side), size
    except NoImageError:
        raise
    except Image.DecompressionBombError as error:
        raise NoImageError(
            "image too large", f"{name}: expected at most {MAX_PIXELS:,} pixels, got more: {error}"
        ) from error
    except Exception as error:  # Pillow's decoders raise many types besides OSError on a damaged file.
        raise NoImageError(
            "image cannot be read", f"{name}: expected an image, got a file that does not decode: {error}"
        ) from error


def _reduced(opened: Image.Image, side: int) -> Image.Image:
    image = opened if opened.mode in ("RGB", "L") else opened.convert("RGB")
    image.thumbnail((side, side))
    return image.convert("RGB")
