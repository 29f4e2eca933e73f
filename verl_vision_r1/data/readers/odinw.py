"""Object Detection in the Wild (ODinW): 13 or 35 small detection sets, each with its own categories.

Introduced by GLIP (https://github.com/microsoft/GLIP, where the archives are), later a part of ELEVATER
(https://arxiv.org/abs/2204.08790). The sets come from different makers, each under a licence of its own. Every set is
COCO, one file for each of its parts, which lies with the images or above them:

    pothole/valid/annotations_without_background.json
    pistols/export/val_annotations_without_background.json

The file that Roboflow exports, `_annotations.coco.json`, is read where GLIP's is not there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from verl_vision_r1.data.readers.coco import read_coco
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem
from verl_vision_r1.data.readers.samples import Parts, Read, Sample

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
"""The folder of each set."""

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
"""The folder of each set."""

FOLDERS: Final = {"train": "train", "val": "valid", "test": "test"}
"""What the folder of each part is called."""


@dataclass(frozen=True)
class _Held:
    name: str
    annotations: Path
    images: Path


def find_13(source: str) -> Parts:
    """Those of the 13 sets that a folder holds; or the one set whose folder it is.

    Sets that are not there are not read, and not every set has a "test".

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds none of them.
    """
    return _find(source, SETS_13)


def find_35(source: str) -> Parts:
    """Those of the 35 sets that a folder holds; otherwise as `find_13`."""
    return _find(source, SETS_35)


def _find(source: str, sets: Mapping[str, str]) -> Parts:
    folder = expect_folder(source)
    held = {
        part: [found for name, path in sets.items() if (found := _held(name, _folders(folder, Path(path)), part))]
        for part in FOLDERS
    }
    if not any(held.values()):
        raise ValueError(
            f"{source}: expected sets of ODinW (pothole/valid/annotations_without_background.json for example), got"
            f" a folder that holds {contents(folder)}"
        )
    return {part: _reader(found) for part, found in held.items() if found}


def _folders(source: Path, path: Path) -> list[Path]:
    """Where a set may be: below the source, or the source is its folder or one within its path."""
    ends = range(len(path.parts) + 1)
    return [source.joinpath(*path.parts[end:]) for end in ends if source.parts[-end:] == path.parts[:end] or not end]


def _held(name: str, folders: list[Path], part: str) -> _Held | None:
    for folder in folders:
        images = folder / FOLDERS[part]
        for annotations in (
            images / "annotations_without_background.json",
            folder / f"{part}_annotations_without_background.json",
            images / "_annotations.coco.json",
        ):
            if annotations.is_file():
                return _Held(name, annotations, annotations.parent)
    return None


def _reader(held: list[_Held]) -> Read:
    return lambda on_problem, _: _read(held, on_problem)


def _read(held: list[_Held], on_problem: OnProblem) -> Iterator[Sample]:
    for found in held:
        try:
            for sample in read_coco(found.annotations, found.images, on_problem=on_problem):
                yield replace(sample, collection=found.name)
        except ValueError as problem:
            # One set that cannot be read is an entry of this list of sets.
            on_problem(problem)
