"""The size of an image file in pixels, and its EXIF orientation."""

from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image

Size = tuple[int, int]
"""(width, height) in pixels."""

ORIENTATION: Final = 0x0112
TURNED_BY_A_QUARTER: Final = (5, 6, 7, 8)


def read_size(image: Path | BinaryIO, decode: bool = True) -> tuple[Size, int]:
    """The (width, height) of an image as it is stored, and its EXIF orientation.

    Args:
        image: A file, or an open one.
        decode: Whether to read every pixel.

    Raises:
        ValueError: It does not decode, or has more pixels than Pillow thinks safe.
    """
    try:
        with Image.open(image) as opened:
            _check_pixels(opened.size, image)
            if decode:
                opened.load()
            # Without a look at `info`, Pillow decodes a whole PNG in search of a tag.
            return opened.size, opened.getexif().get(ORIENTATION, 1) if "exif" in opened.info else 1
    except _TooManyPixelsError:
        raise
    except Exception as error:  # Pillow's decoders raise far more kinds than OSError on a damaged file.
        raise ValueError(f"{image}: expected an image, got a file that does not decode: {error}") from error


class _TooManyPixelsError(ValueError):
    """A decompression bomb: a small file of a huge image."""


def _check_pixels(size: Size, path: Path | BinaryIO) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > limit:
        raise _TooManyPixelsError(f"{path}: expected at most {limit} pixels, got {size[0]}x{size[1]}")


def shown_size(image: Path) -> Size:
    """Width and height of an image from its header, as it is shown to those who annotate it.

    Raises:
        ValueError: It is no image.
    """
    (width, height), orientation = read_size(image, decode=False)
    return (height, width) if orientation in TURNED_BY_A_QUARTER else (width, height)
