"""What a folder of annotated images looks like, recognised from what it holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from verl_vision_r1.data.coco import read_coco
from verl_vision_r1.data.problems import OnProblem
from verl_vision_r1.data.samples import Sample
from verl_vision_r1.data.voc import read_voc

READERS = {"coco": read_coco, "voc": read_voc}

EXPECTED = (
    "COCO (annotations/*.json: one file, or instances_train*.json and instances_val*.json; or instances*.json)"
    " or VOC (annotations/*.xml or Annotations/*.xml), with the images in images/ or JPEGImages/"
)


@dataclass(frozen=True)
class Layout:
    """Where the parts of a data set lie.

    Attributes:
        kind: "coco" or "voc".
        source: The folder of the data set.
        annotations: What to read: one file or folder, or two of them, for training and validation.
    """

    kind: str
    source: Path
    annotations: tuple[Path, ...]

    def read(self, annotations: Path, on_problem: OnProblem) -> Iterator[Sample]:
        """Read one of the `annotations`."""
        return READERS[self.kind](annotations, *self._image_folders(annotations), on_problem=on_problem)

    def _image_folders(self, annotations: Path) -> list[Path]:
        # COCO names the folder after the annotations: instances_train2017.json goes with train2017.
        part = annotations.stem.removeprefix("instances_")
        names = (f"images/{part}", part, "images", "JPEGImages", ".")
        return [folder for name in names if (folder := self.source / name).is_dir()]


def find_layout(source: Path) -> Layout:
    """Recognise the layout of a folder.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It has none of the known layouts, or more than one annotation file.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: expected the folder of a data set, got no such folder")
    for folder, pattern in ((source / "annotations", "[!.]*.json"), (source, "instances*.json")):
        if files := sorted(folder.glob(pattern)):
            return Layout("coco", source, _coco_files(files))
    for folder in (source / "annotations", source / "Annotations"):
        if any(folder.glob("[!.]*.xml")):
            return Layout("voc", source, (folder,))
    held = sorted(path.name + "/" * path.is_dir() for path in source.iterdir())
    raise ValueError(f"{source}: expected {EXPECTED}, got a folder that holds {', '.join(held[:20]) or 'nothing'}")


def _coco_files(files: list[Path]) -> tuple[Path, ...]:
    # The official archives hold captions and keypoints beside the instances.
    instances = [file for file in files if file.name.startswith("instances")] or files
    train = [file for file in instances if file.name.startswith("instances_train")]
    validation = [file for file in instances if file.name.startswith("instances_val")]
    if len(train) == len(validation) == 1:
        return (*train, *validation)
    if len(instances) == 1:
        return tuple(instances)
    raise ValueError(
        f"{files[0].parent}: expected one annotation file, or one instances_train*.json and one instances_val*.json,"
        f" got {', '.join(file.name for file in instances)}"
    )
