"""ScreenSpot and ScreenSpot-v2: instructions for screenshots, and the box of the element to click. Format: SeeClick's.

https://github.com/njucckevin/SeeClick and https://huggingface.co/datasets/OS-Copilot/ScreenSpot-v2 have one file for
each platform, `screenspot_web.json`, `screenspot_mobile_v2.json`; a box is `[x, y, width, height]` in pixels:

    [{"img_filename": "web_3b0ad239.png", "bbox": [42, 1102, 197, 70], "instruction": "view the details of the item",
      "data_type": "text", "data_source": "shop"}]

The images are next to the files, in `images/`, or in the folders of the publications. Each platform is a collection.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.entries import corners, expect_object, load_json, text_of
from verl_vision_r1.data.readers.folders import contents, existing, expect_folder
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Sample, Splits, find_image, fit_box
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

IMAGES: Final = ("images", "screenspot_imgs", "screenspotv2_image", ".")


def find(source: str) -> Splits:
    """The files `screenspot_*.json` of a folder, all of them as the split "test".

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has no such file.
    """
    folder = expect_folder(source)
    files = sorted(folder.glob("screenspot_*.json"))
    if not files:
        raise ValueError(
            f"{source}: expected ScreenSpot (screenspot_web.json and so on), got a folder that contains"
            f" {contents(folder)}"
        )
    return {
        "test": lambda on_problem, _: (
            sample for path in files for sample in read_screenspot(path, on_problem=on_problem)
        )
    }


def read_screenspot(path: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read the instructions of one platform, in the order of the file.

    Args:
        path: The JSON file.
        on_problem: Called with the error of each invalid entry.

    Yields:
        One sample of the task pointing for each instruction. `image_id` is the file name without extension.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is no JSON list, or an entry is invalid.
    """
    reading, size = Reading.of(on_problem), functools.lru_cache(shown_size)
    folders = existing([path.parent / name for name in IMAGES])
    platform = path.stem.removeprefix("screenspot_").removesuffix("_v2")
    for index, entry in enumerate(_entries(path)):
        where = f"{path} entry {index}"
        try:
            image = find_image(folders, [text_of(expect_object(entry, where), "img_filename", where)], where)
            instruction = text_of(entry, "instruction", where)
            box = fit_box(corners(entry.get("bbox"), where), size(image), where, reading)
            target = Target(as_boxes([box]), (instruction,), *size(image), task="pointing")
        except (ValueError, OSError) as problem:
            reading.defect(problem, "entry missing its image, or defective")
        else:
            yield Sample(image, image.stem, target, "point", instruction, collection=platform)


def _entries(path: Path) -> list[Any]:
    entries = load_json(path, "ScreenSpot JSON")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: expected a non-empty list of instructions, got {shown(entries)}")
    return entries
