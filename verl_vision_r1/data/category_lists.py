"""Category lists: the categories that each image is asked about, taken from the predictions of a baseline model.

Visual-RFT (arXiv 2503.01785) evaluates with such an existence list: an image is asked only about categories that the
baseline model predicted there, correct or not. The list is part of the evaluation protocol: another list gives other
numbers.
"""

import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any, Final

from verl_vision_r1.data.questions import about_category
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.documents import expect_regular
from verl_vision_r1.shown import shown

ENDINGS: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Extensions of image files, which an `image_id` does not have."""

EXPECTED: Final = "expected JSON {image: [category, ...]}"


def read_category_list(path: Path) -> dict[str, list[str]]:
    """Read a category list: JSON {image: [category, ...]}.

    Args:
        path: The file. It names an image by the `image_id` of our samples, or by its file name.

    Returns:
        Category names by `image_id`; the list of an image may be empty.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file has another format, or repeats an image, or a category of one image.
    """
    expect_regular(path)
    try:
        items: Any = json.loads(path.read_bytes(), object_pairs_hook=_Items)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {EXPECTED}, got a file that is not JSON: {error}") from error
    if not isinstance(items, _Items) or not items:
        raise ValueError(f"{path}: {EXPECTED}, got {_shown(items)}")
    found: dict[str, list[str]] = {}
    for image, names in items:
        key = _without_ending(image)
        if key in found:
            raise ValueError(f"{path}: expected each image once, got {shown(key)} again")
        found[key] = _checked(names, f"{shown(image)}", path)
    return found


class _Items(list[tuple[str, Any]]):
    """The items of a JSON object. A dictionary would drop repeated keys."""


def _checked(names: Any, image: str, path: Path) -> list[str]:
    if type(names) is not list or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: {EXPECTED}, got {_shown(names)} for {image}")
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{path}: expected each category once for {image}, got {shown(repeated[0])} again")
    return names


def _shown(value: Any) -> str:
    return shown(dict(value) if isinstance(value, _Items) else value)


def _without_ending(image: str) -> str:
    path = PurePosixPath(image)
    return path.with_suffix("").as_posix() if path.suffix.lower() in ENDINGS else image


def ask_existing(samples: list[Sample], path: Path) -> list[Sample]:
    """One question per entry of a category list, whether or not the category is in the image.

    Args:
        samples: All annotated images of one split, with the categories that were annotated.
        path: The category list.

    Returns:
        The questions, in the order of the list. Images that the list lacks get none.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: As in `read_category_list`; or the split lacks an image of the list, or the image a category.
    """
    by_id = {sample.image_id: sample for sample in samples}
    questions = []
    for image, names in read_category_list(path).items():
        if image not in by_id:
            raise ValueError(f"{path}: expected one of the {len(by_id)} images of the split, got {shown(image)}")
        categories = set(by_id[image].target.categories)
        for name in names:
            if name not in categories:
                raise ValueError(
                    f"{path}: expected one of the {len(categories)} categories of {shown(image)}, got {shown(name)}"
                )
            questions.append(about_category(by_id[image], name))
    return questions
