"""Whether the images of a data set are what their annotations say: each is decoded once, as verl's workers will."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image
from tqdm import tqdm

from verl_vision_r1.data.problems import OnProblem, fail
from verl_vision_r1.data.samples import Sample

LARGEST_RATIO = 200
"""The ratio of the sides above which `qwen_vl_utils` refuses an image."""


def check_images(samples: Sequence[Sample], on_problem: OnProblem = fail) -> list[Sample]:
    """Decode every image and compare its size with the annotation's. Progress goes to stderr.

    Args:
        samples: What to check.
        on_problem: Told about each image that is wrong.

    Returns:
        The samples whose image is right, in their order.

    Raises:
        ValueError: An image does not decode, has another size, or is too narrow for the model.
    """
    good = []
    pool = ThreadPoolExecutor()
    try:
        problems = tqdm(pool.map(find_problem, samples), total=len(samples), desc="images", unit="image")
        for sample, problem in zip(samples, problems, strict=True):
            if problem:
                on_problem(problem)
            else:
                good.append(sample)
    finally:
        # Where a problem raises, the images that nobody has begun with are not waited for.
        pool.shutdown(cancel_futures=True)
    return good


def find_problem(sample: Sample) -> ValueError | None:
    """Decode one image and say what is wrong with it, if anything is."""
    try:
        with Image.open(sample.image) as image:
            image.load()
            size, orientation = image.size, image.getexif().get(0x0112, 1)
    except Exception as error:  # Pillow's decoders raise far more kinds than OSError on a damaged file.
        return ValueError(f"{sample.image}: expected an image, got a file that does not decode: {error}")
    expected = (sample.target.width, sample.target.height)
    if size != expected:
        return ValueError(
            f"{sample.image}: expected {expected[0]}x{expected[1]} pixels as annotated, got {size[0]}x{size[1]}"
            f" (EXIF orientation {orientation}; the usual cause is a tool that applied it, which verl does not)"
        )
    if max(size) > LARGEST_RATIO * min(size):
        return ValueError(f"{sample.image}: expected sides of at most {LARGEST_RATIO}:1, got {size[0]}x{size[1]}")
    return None
