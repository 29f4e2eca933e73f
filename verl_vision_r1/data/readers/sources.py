"""The datasets that `vision-r1 prepare` reads, by name. `readers.DATASETS` lists the same names by kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from verl_vision_r1.data.readers import (
    classification,
    classification_sets,
    coco_layouts,
    counting,
    jsonl,
    lisa,
    lvis,
    odinw,
    odvg,
    refcoco,
    swift,
    v3det,
    virft,
    vision_r1_data,
    visual_genome,
    vlm_r1,
    voc,
    yolo_layouts,
)
from verl_vision_r1.data.readers.folders import check_name
from verl_vision_r1.data.readers.samples import Splits
from verl_vision_r1.shown import shown

Find = Callable[[str], Splits]
"""(folder, or name on the Hugging Face Hub) -> splits of the dataset."""

SOURCES: Final[dict[str, Find]] = {
    "coco": coco_layouts.find,
    "lvis": lvis.find,
    "odinw13": odinw.find_13,
    "odinw35": odinw.find_35,
    "voc": voc.find,
    "yolo": yolo_layouts.find,
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
    "vlm_r1": vlm_r1.find,
    "easyr1": vlm_r1.find_easyr1,
    "swift": swift.find,
    "odvg": odvg.find,
    "jsonl": jsonl.find,
}


FindFile = Callable[[Path, Path | None], Splits]
"""(annotation file, folder of its images or None) -> splits of the dataset."""

FILES: Final[dict[str, FindFile]] = {
    "coco": coco_layouts.find_file,
    "lvis": lvis.find_file,
    "v3det": v3det.find_file,
    "voc": voc.find_file,
    "vlm_r1": vlm_r1.find_file,
    "easyr1": vlm_r1.find_easyr1_file,
    "swift": swift.find_file,
    "odvg": odvg.find_file,
    "jsonl": jsonl.find_file,
}
"""The datasets whose annotations may be in one file (for VOC, in one folder) away from the images."""

PARENTS: Final = ("refcoco", "refcoco+", "refcocog")
"""The datasets whose images are published next to the folder of the dataset."""


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


def find(name: str, source: str, annotations: Path | None = None, images: Path | None = None) -> Splits:
    """The splits of a dataset.

    Args:
        name: One of `SOURCES`.
        source: Folder, annotation file, or name on the Hub; ignored if `annotations` is given.
        annotations: Annotation file elsewhere.
        images: Folder of the images of an annotation file.

    Raises:
        ValueError: No reader has that name, the folder has another layout, or a split is named like a path.
        FileNotFoundError: A folder or file does not exist.
    """
    if name not in SOURCES:
        raise ValueError(f"dataset: expected one of {', '.join(SOURCES)}, got {shown(name)}")
    file = _file(source, annotations, images)
    if file is None:
        splits = SOURCES[name](source)
    elif name in FILES:
        splits = FILES[name](file, images)
    else:
        raise ValueError(f"annotations: expected one of the datasets {', '.join(FILES)}, got {name}")
    for split in splits:
        check_name(split, f"{annotations or source}: splits")
    return splits


def _file(source: str, annotations: Path | None, images: Path | None) -> Path | None:
    """The annotation file to read; None to search for it in a folder."""
    if annotations is not None:
        return annotations.expanduser().absolute()
    file = Path(source).expanduser().absolute()
    if images is not None and not file.is_file():
        raise ValueError(f"images: expected --annotations FILE, or a file as --source, got the folder {source}")
    return None if images is None else file


def roots(name: str, source: str, annotations: Path | None = None, images: Path | None = None) -> list[Path]:
    """The folders that a dataset's images may be in; arguments as for `find`."""
    if images is not None:
        return [images.expanduser().absolute()]
    place = (annotations or Path(source)).expanduser().absolute()
    folder = coco_layouts.root_of(place) if place.is_file() else place
    return [folder, folder.parent] if name in PARENTS else [folder]
