"""The size of an image file in pixels, and its EXIF orientation."""

from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image

Size = tuple[int, int]
"""(width, height) in pixels."""

ORIENTATION: Final = 0x0112
ROTATED_BY_90: Final = (5, 6, 7, 8)


def read_size(image: Path | BinaryIO, decode: bool = True) -> tuple[Size, int]:
    """The (width, height) of an image as stored, in pixels, and its EXIF orientation.

    Args:
        image: A path, or an open file.
        decode: Whether to decode every pixel.

    Raises:
        ValueError: The image does not decode, or has more pixels than Pillow considers safe.
    """
    try:
        with Image.open(image) as opened:
            _check_pixels(opened.size, image)
            if decode:
                opened.load()
            # Without the check of `info`, Pillow decodes a whole PNG to search for a tag.
            return opened.size, _valid(opened.getexif().get(ORIENTATION)) if "exif" in opened.info else 1
    except _TooManyPixelsError:
        raise
    except Exception as error:  # Pillow's decoders raise many types besides OSError on a damaged file.
        raise ValueError(f"{image}: expected an image, got a file that does not decode: {error}") from error


def _valid(orientation: object) -> int:
    """A value that EXIF does not define, such as 0 or 65537, counts as upright: viewers ignore it."""
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


class _TooManyPixelsError(ValueError):
    """A decompression bomb: a small file of a huge image."""


def _check_pixels(size: Size, path: Path | BinaryIO) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > limit:
        raise _TooManyPixelsError(f"{path}: expected at most {limit} pixels, got {size[0]}x{size[1]}")


def shown_size(image: Path) -> Size:
    """Width and height in pixels from the header, as displayed: the EXIF orientation is applied.

    Raises:
        ValueError: The file is not an image.
    """
    (width, height), orientation = read_size(image, decode=False)
    return (height, width) if orientation in ROTATED_BY_90 else (width, height)
