"""The data sets that `vision-r1 prepare` knows, by name."""

from collections.abc import Callable
from typing import Final

from verl_vision_r1.data import coco, voc
from verl_vision_r1.data.samples import Parts

Find = Callable[[str], Parts]
"""(folder or name on the hub) -> the parts of the data set."""

SOURCES: Final[dict[str, Find]] = {
    "coco": coco.find,
    "voc": voc.find,
}


def guess(folder: str) -> str:
    """Whether a folder is COCO or Pascal VOC.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It is neither.
    """
    reasons = []
    for name in ("coco", "voc"):
        try:
            SOURCES[name](folder)
        except ValueError as error:
            reasons.append(str(error))
        else:
            return name
    raise ValueError("; ".join(reasons))


def find_parts(name: str, source: str) -> Parts:
    """The parts of a data set.

    Raises:
        ValueError: There is no reader of that name, or the folder has another layout.
        FileNotFoundError: There is no such folder.
    """
    if name not in SOURCES:
        raise ValueError(f"data set: expected one of {', '.join(SOURCES)}, got {name!r}")
    return SOURCES[name](source)
