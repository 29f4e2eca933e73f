"""Opens an image as it is displayed."""

from pathlib import Path

from PIL import Image, ImageOps

from verl_vision_r1.data.images import LARGEST_RATIO
from verl_vision_r1.data.readers.image_size import Size, read_size

ImageLike = Image.Image | Path | str


def open_upright(path: Path, annotated: Size | None = None) -> Image.Image:
    """Open an image as it is displayed: its EXIF orientation is applied.

    Args:
        path: The image file.
        annotated: (width, height) in pixels that the annotations state, if there are any: an image that was annotated
            as stored stays as stored, as `vision-r1 prepare` treats it.

    Raises:
        ValueError: The image does not decode, has another size than annotated, or is too narrow for the model.
    """
    size, _ = read_size(path)
    if max(size) > LARGEST_RATIO * min(size):
        raise ValueError(f"{path}: expected sides of at most {LARGEST_RATIO}:1, got {size[0]}x{size[1]}")
    with Image.open(path) as opened:
        image = opened.copy() if annotated == size else ImageOps.exif_transpose(opened)
    if annotated not in (None, image.size):
        raise ValueError(f"{path}: expected {annotated} pixels as annotated, got {image.size}")
    return image


def opened(image: ImageLike) -> Image.Image:
    """An image, or that of a file as `open_upright` opens it."""
    return image if isinstance(image, Image.Image) else open_upright(Path(image))
