"""Object Detection in the Wild (ODinW): 13 or 35 small detection datasets, each with its own categories.

Introduced by GLIP (https://github.com/microsoft/GLIP, where the archives are), later a part of ELEVATER
(https://arxiv.org/abs/2204.08790). The datasets have different authors and licences. Each is in COCO format, with one
file per split, next to the images or in their parent folder:

    pothole/valid/annotations_without_background.json
    pistols/export/val_annotations_without_background.json

If GLIP's file is missing, the file of a Roboflow export, `_annotations.coco.json`, is read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from verl_vision_r1.data.readers.coco import read_coco
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, Reading
from verl_vision_r1.data.readers.samples import Read, Sample, Splits

SETS_13: Final = {
    "AerialMaritimeDrone": "AerialMaritimeDrone/large",
    "Aquarium": "Aquarium/Aquarium Combined.v2-raw-1024.coco",
    "CottontailRabbits": "CottontailRabbits",
    "EgoHands": "EgoHands/generic",
    "NorthAmericaMushrooms": "NorthAmericaMushrooms/North American Mushrooms.v1-416x416.coco",
    "Packages": "Packages/Raw",
    "PascalVOC": "PascalVOC",
    "pistols": "pistols/export",
    "pothole": "pothole",
    "Raccoon": "Raccoon/Raccoon.v2-raw.coco",
    "ShellfishOpenImages": "ShellfishOpenImages/raw",
    "thermalDogsAndPeople": "thermalDogsAndPeople",
    "VehiclesOpenImages": "VehiclesOpenImages/416x416",
}
"""Folder by dataset."""

SETS_35: Final = {
    "AerialMaritimeDrone_large": "AerialMaritimeDrone/large",
    "AerialMaritimeDrone_tiled": "AerialMaritimeDrone/tiled",
    "AmericanSignLanguageLetters": "AmericanSignLanguageLetters/American Sign Language Letters.v1-v1.coco",
    "Aquarium": "Aquarium/Aquarium Combined.v2-raw-1024.coco",
    "BCCD": "BCCD/BCCD.v3-raw.coco",
    "boggleBoards": "boggleBoards/416x416AutoOrient/export",
    "brackishUnderwater": "brackishUnderwater/960x540",
    "ChessPieces": "ChessPieces/Chess Pieces.v23-raw.coco",
    "CottontailRabbits": "CottontailRabbits",
    "dice": "dice/mediumColor/export",
    "DroneControl": "DroneControl/Drone Control.v3-raw.coco",
    "EgoHands_generic": "EgoHands/generic",
    "EgoHands_specific": "EgoHands/specific",
    "HardHatWorkers": "HardHatWorkers/raw",
    "MaskWearing": "MaskWearing/raw",
    "MountainDewCommercial": "MountainDewCommercial",
    "NorthAmericaMushrooms": "NorthAmericaMushrooms/North American Mushrooms.v1-416x416.coco",
    "openPoetryVision": "openPoetryVision/512x512",
    "OxfordPets_by-breed": "OxfordPets/by-breed",
    "OxfordPets_by-species": "OxfordPets/by-species",
    "Packages": "Packages/Raw",
    "PascalVOC": "PascalVOC",
    "pistols": "pistols/export",
    "PKLot": "PKLot/640",
    "plantdoc": "plantdoc/416x416",
    "pothole": "pothole",
    "Raccoon": "Raccoon/Raccoon.v2-raw.coco",
    "selfdrivingCar": "selfdrivingCar/fixedLarge/export",
    "ShellfishOpenImages": "ShellfishOpenImages/raw",
    "ThermalCheetah": "ThermalCheetah",
    "thermalDogsAndPeople": "thermalDogsAndPeople",
    "UnoCards": "UnoCards/raw",
    "VehiclesOpenImages": "VehiclesOpenImages/416x416",
    "websiteScreenshots": "websiteScreenshots",
    "WildfireSmoke": "WildfireSmoke",
}
"""Folder by dataset."""

FOLDERS: Final = {"train": "train", "val": "valid", "test": "test"}
"""Folder name by split."""


@dataclass(frozen=True)
class _Found:
    name: str
    annotations: Path
    images: Path


def find_13(source: str) -> Splits:
    """The datasets of ODinW-13 in a folder; or the one dataset whose folder it is.

    Missing datasets are skipped, and not every dataset has a "test" split.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has none of the datasets.
    """
    return _find(source, SETS_13)


def find_35(source: str) -> Splits:
    """The datasets of ODinW-35 in a folder; otherwise as `find_13`."""
    return _find(source, SETS_35)


def _find(source: str, sets: Mapping[str, str]) -> Splits:
    folder = expect_folder(source)
    datasets = {
        split: [found for name, path in sets.items() if (found := _search(name, _folders(folder, Path(path)), split))]
        for split in FOLDERS
    }
    if not any(datasets.values()):
        raise ValueError(
            f"{source}: expected datasets of ODinW (pothole/valid/annotations_without_background.json for example),"
            f" got a folder that contains {contents(folder)}"
        )
    return {split: _reader(found) for split, found in datasets.items() if found}


def _folders(source: Path, path: Path) -> list[Path]:
    """Folders to search for a dataset: below the source, or the source itself if it is a folder of its path."""
    ends = range(len(path.parts) + 1)
    return [source.joinpath(*path.parts[end:]) for end in ends if source.parts[-end:] == path.parts[:end] or not end]


def _search(name: str, folders: list[Path], split: str) -> _Found | None:
    for folder in folders:
        images = folder / FOLDERS[split]
        for annotations in (
            images / "annotations_without_background.json",
            folder / f"{split}_annotations_without_background.json",
            images / "_annotations.coco.json",
        ):
            if annotations.is_file():
                return _Found(name, annotations, annotations.parent)
    return None


def _reader(datasets: list[_Found]) -> Read:
    return lambda on_problem, _: _read(datasets, on_problem)


def _read(datasets: list[_Found], on_problem: OnProblem) -> Iterator[Sample]:
    reading = Reading.of(on_problem)
    for found in datasets:
        try:
            for sample in read_coco(found.annotations, found.images, on_problem=reading):
                yield replace(sample, collection=found.name)
        except ValueError as problem:
            # An unreadable dataset is one defect; the others are still read.
            reading(problem)
