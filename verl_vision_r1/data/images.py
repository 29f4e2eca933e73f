"""Whether the images of a data set are what their annotations say: each is decoded once, as verl's workers will."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.readers.image_size import TURNED_BY_A_QUARTER, Size, read_size
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Sample

LARGEST_RATIO: Final = 200
"""The ratio of the sides above which `qwen_vl_utils` refuses an image."""

CHECKS: Final = ("decode", "header", "none")
"""How closely images are looked at: every pixel, the size only, or not at all."""


def check_images(
    samples: Sequence[Sample], upright: Path, on_problem: OnProblem = fail, check: str = "decode"
) -> list[Sample]:
    """Look at every image and compare its size with the annotation's. Progress goes to stderr.

    verl shows a model the pixels as they are stored, whatever an EXIF orientation says. Where an image that is stored
    lying down was annotated upright, an upright copy takes its place.

    Args:
        samples: What to check; several may be of the same image.
        upright: The folder for such copies.
        on_problem: Told about each image that is wrong.
        check: One of `CHECKS`.

    Returns:
        The samples whose image is right, in their order.

    Raises:
        What `on_problem` raises.
    """
    if check == "none":
        return list(samples)
    first = {sample.image: sample for sample in samples}
    found: dict[Path, Path] = {}
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda sample: _look(sample, upright, check == "decode"), first.values())
        for image, result in zip(first, progress(results, total=len(first), desc="images", unit="image"), strict=True):
            if isinstance(result, Path):
                found[image] = result
            else:
                on_problem(result)
    return [replace(sample, image=found[sample.image]) for sample in samples if sample.image in found]


def _look(sample: Sample, upright: Path, decode: bool) -> Path | Exception:
    try:
        return right_image(sample, upright, decode)
    except (ValueError, OSError) as problem:
        return problem


def right_image(sample: Sample, upright: Path, decode: bool = True) -> Path:
    """The image as it can be shown to a model: its own file, or an upright copy.

    Raises:
        ValueError: It does not decode, has more pixels than Pillow thinks safe, another size than its annotation, or
            is too narrow for the model.
    """
    size, orientation = read_size(sample.image, decode)
    expected = (sample.target.width, sample.target.height)
    _check_orientation(sample.image, size, expected, orientation)
    if max(size) > LARGEST_RATIO * min(size):
        raise ValueError(f"{sample.image}: expected sides of at most {LARGEST_RATIO}:1, got {size[0]}x{size[1]}")
    return sample.image if size == expected else _turned(sample.image, upright)


def _check_orientation(path: Path, size: Size, expected: Size, orientation: int) -> None:
    if size != expected and not (orientation in TURNED_BY_A_QUARTER and size[::-1] == expected):
        raise ValueError(
            f"{path}: expected {expected[0]}x{expected[1]} pixels as annotated, got {size[0]}x{size[1]}"
            f" (EXIF orientation {orientation})"
        )
    if size == expected and (
        orientation not in (0, 1, *TURNED_BY_A_QUARTER) or _is_square_and_turned(size, orientation)
    ):
        raise ValueError(
            f"{path}: expected an image without EXIF orientation, got orientation {orientation}, and the size does not"
            " tell whether it was annotated as stored or as shown; turn the pixels and remove the tag"
        )


def _is_square_and_turned(size: Size, orientation: int) -> bool:
    return size[0] == size[1] and orientation in TURNED_BY_A_QUARTER


def _turned(image: Path, folder: Path) -> Path:
    """An upright copy, written once; named by where the image lies, so that no two share a copy."""
    name = hashlib.sha256(str(image).encode()).hexdigest()[:16]
    copy = folder / f"{image.stem}-{name}.png"
    if not copy.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = copy.with_name(f".{copy.name}.{os.getpid()}")
        with Image.open(image) as opened:
            ImageOps.exif_transpose(opened).save(unfinished, format="PNG")
        os.replace(unfinished, copy)
    return copy
