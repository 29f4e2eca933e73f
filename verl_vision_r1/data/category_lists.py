"""Which categories each image is asked about, where a model's own answers decided that: the existence list.

Visual-RFT (arXiv 2503.01785) asks an image about the categories alone that its baseline model said are there, right or
wrong. Such a list is a part of the protocol: another list gives other numbers.
"""

import json
import reprlib
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any, Final

from verl_vision_r1.data.questions import about_category
from verl_vision_r1.data.readers.samples import Sample

ENDINGS: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Endings of image files, which `image_id` is without."""

EXPECTED: Final = "expected JSON {image: [category, ...]}"


def read_category_list(path: Path) -> dict[str, list[str]]:
    """Read such a list: JSON {image: [category, ...]}.

    Args:
        path: The file. It names an image by its `image_id` in our rows, or by its file name.

    Returns:
        The names of categories by `image_id`; an image may have none.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is something else, names an image twice, or a category twice for one image.
    """
    try:
        pairs: Any = json.loads(path.read_bytes(), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {EXPECTED}, got a file that is not JSON: {error}") from error
    if not isinstance(pairs, _Pairs) or not pairs:
        raise ValueError(f"{path}: {EXPECTED}, got {_shown(pairs)}")
    found: dict[str, list[str]] = {}
    for image, names in pairs:
        key = _without_ending(image)
        if key in found:
            raise ValueError(f"{path}: expected each image once, got {key!r:.160} again")
        found[key] = _checked(names, f"{image!r:.160}", path)
    return found


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON, whose doubled keys a dictionary would lose."""


def _checked(names: Any, image: str, path: Path) -> list[str]:
    if type(names) is not list or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: {EXPECTED}, got {_shown(names)} for {image}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{path}: expected each category once for {image}, got {twice[0]!r:.160} again")
    return names


def _shown(value: Any) -> str:
    return reprlib.repr(dict(value) if isinstance(value, _Pairs) else value)


def _without_ending(image: str) -> str:
    path = PurePosixPath(image)
    return path.with_suffix("").as_posix() if path.suffix.lower() in ENDINGS else image


def ask_existing(samples: list[Sample], path: Path) -> list[Sample]:
    """One question for each pair of an existence list, whether or not the category is in the image.

    Args:
        samples: All annotated images of one part of a data set, with the categories that were looked for.
        path: The list.

    Returns:
        The questions, in the order of the list. Images that it does not have are not asked about.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: As `read_category_list`; or an image, or a category that was looked for in it, is unknown.
    """
    by_id = {sample.image_id: sample for sample in samples}
    questions = []
    for image, names in read_category_list(path).items():
        if image not in by_id:
            raise ValueError(
                f"{path}: expected one of the {len(by_id)} images of the part (split), got {image!r:.160}"
            )
        looked_for = set(by_id[image].target.categories)
        for name in names:
            if name not in looked_for:
                raise ValueError(
                    f"{path}: expected one of the {len(looked_for)} categories of {image!r:.160}, got {name!r:.160}"
                )
            questions.append(about_category(by_id[image], name))
    return questions
