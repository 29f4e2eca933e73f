"""Verify the images of a dataset against their annotations: each is decoded once, as verl's workers will."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.readers.image_size import ROTATED_BY_90, Size, read_size
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.documents import replaced

LARGEST_RATIO: Final = 200
"""Aspect ratio above which `qwen_vl_utils` rejects an image."""

CHECKS: Final = ("decode", "header", "none")
"""How images are verified: decode every pixel, read only the size from the header, or not at all."""


def check_images(
    samples: Sequence[Sample], upright: Path, on_problem: OnProblem = fail, check: str = "decode"
) -> list[Sample]:
    """Verify every image and compare its size with the annotation. Progress goes to stderr.

    verl shows the model the pixels as stored and ignores the EXIF orientation. If an image is stored rotated but was
    annotated upright, an upright copy replaces it.

    Args:
        samples: The samples to check; several may share an image.
        upright: Folder for the upright copies.
        on_problem: Called with the error of each invalid image.
        check: One of `CHECKS`.

    Returns:
        The samples with a valid image, in the given order.

    Raises:
        What `on_problem` raises.
    """
    if check == "none":
        return list(samples)
    first = {sample.image: sample for sample in samples}
    found: dict[Path, Path] = {}
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda sample: _verify(sample, upright, check == "decode"), first.values())
        for image, result in zip(first, progress(results, total=len(first), desc="images", unit="image"), strict=True):
            if isinstance(result, Path):
                found[image] = result
            else:
                on_problem(result)
    return [replace(sample, image=found[sample.image]) for sample in samples if sample.image in found]


def _verify(sample: Sample, upright: Path, decode: bool) -> Path | Exception:
    try:
        return upright_image(sample, upright, decode)
    except (ValueError, OSError) as problem:
        return problem


def upright_image(sample: Sample, upright: Path, decode: bool = True) -> Path:
    """The image file to show to the model: the original, or an upright copy.

    Raises:
        ValueError: The image does not decode, has more pixels than Pillow considers safe, has another size than its
            annotation, or is too narrow for the model.
    """
    size, orientation = read_size(sample.image, decode)
    expected = (sample.target.width, sample.target.height)
    _check_orientation(sample.image, size, expected, orientation)
    if max(size) > LARGEST_RATIO * min(size):
        raise ValueError(f"{sample.image}: expected sides of at most {LARGEST_RATIO}:1, got {size[0]}x{size[1]}")
    return sample.image if size == expected else _upright_copy(sample.image, upright)


def _check_orientation(path: Path, size: Size, expected: Size, orientation: int) -> None:
    if size != expected and not (orientation in ROTATED_BY_90 and size[::-1] == expected):
        raise ValueError(
            f"{path}: expected {expected[0]}x{expected[1]} pixels as annotated, got {size[0]}x{size[1]}"
            f" (EXIF orientation {orientation})"
        )
    if size == expected and (orientation not in (1, *ROTATED_BY_90) or _is_square_and_rotated(size, orientation)):
        raise ValueError(
            f"{path}: expected an image without EXIF orientation, got orientation {orientation}; its size does not"
            " show whether it was annotated as stored or as displayed; rotate the pixels and remove the tag"
        )


def _is_square_and_rotated(size: Size, orientation: int) -> bool:
    return size[0] == size[1] and orientation in ROTATED_BY_90


def _upright_copy(image: Path, folder: Path) -> Path:
    """Write an upright copy, once. A hash of the path in its name keeps copies of different images apart."""
    name = hashlib.sha256(str(image).encode()).hexdigest()[:16]
    copy = folder / f"{image.stem}-{name}.png"
    if not copy.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with replaced(copy) as unfinished, Image.open(image) as opened:
            ImageOps.exif_transpose(opened).save(unfinished, format="PNG")
    return copy
