"""The datasets that `vision-r1 prepare` reads, by name. `readers.DATASETS` lists the same names by kind."""

from collections.abc import Callable
from typing import Final

from verl_vision_r1.data.readers import (
    classification,
    classification_sets,
    coco,
    counting,
    jsonl,
    lisa,
    lvis,
    odinw,
    refcoco,
    v3det,
    virft,
    vision_r1_data,
    visual_genome,
    voc,
    yolo,
)
from verl_vision_r1.data.readers.samples import Splits

Find = Callable[[str], Splits]
"""(folder, or name on the Hugging Face Hub) -> splits of the dataset."""

SOURCES: Final[dict[str, Find]] = {
    "coco": coco.find,
    "lvis": lvis.find,
    "odinw13": odinw.find_13,
    "odinw35": odinw.find_35,
    "voc": voc.find,
    "yolo": yolo.find,
    "v3det": v3det.find,
    "refcoco": refcoco.find,
    "refcoco+": refcoco.find,
    "refcocog": refcoco.find,
    "visual_genome": visual_genome.find,
    "clevr": counting.find,
    "pixmo_count": counting.find,
    "imagefolder": classification.find,
    "flowers": classification_sets.find_flowers,
    "pets": classification_sets.find_pets,
    "cars": classification_sets.find_cars,
    "aircraft": classification_sets.find_aircraft,
    "lisa": lisa.find,
    "vision_r1_data": vision_r1_data.find,
    "virft": virft.find,
    "jsonl": jsonl.find,
}


def guess(folder: str) -> str:
    """Tell whether a folder is COCO or Pascal VOC.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder is neither.
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


def find_splits(name: str, source: str) -> Splits:
    """The splits of a dataset.

    Raises:
        ValueError: No reader has that name, or the folder has another layout.
        FileNotFoundError: The folder does not exist.
    """
    if name not in SOURCES:
        raise ValueError(f"dataset: expected one of {', '.join(SOURCES)}, got {name!r}")
    return SOURCES[name](source)
