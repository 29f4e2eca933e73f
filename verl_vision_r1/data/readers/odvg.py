"""ODVG, the JSON Lines of Open-GroundingDino and MM-Grounding-DINO: objects of an image, or phrases of its caption.

Format: https://github.com/longzw1997/Open-GroundingDino/blob/main/data_format.md. Boxes are `[x1, y1, x2, y2]` in
pixels; in MMDetection a region may have a list of them:

    {"filename": "1.jpg", "height": 693, "width": 1024,
     "detection": {"instances": [{"bbox": [262, 210, 323, 338], "label": 0, "category": "dog"}]}}
    {"filename": "2.jpg", "height": 693, "width": 1024,
     "grounding": {"caption": "a wire hanger with a paper cover",
                   "regions": [{"bbox": [20, 215, 985, 665], "phrase": "a paper cover"}]}}

`*label_map*.json`, `{"0": "dog", ...}`, lists the categories of a detection dataset; without it, they are those that
occur. Regions with the same phrase become one expression with several boxes.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers import peer_files
from verl_vision_r1.data.readers.entries import Entry, is_name, load_json, size_of, text_of, value_of
from verl_vision_r1.data.readers.peer_files import Images, records
from verl_vision_r1.data.readers.problems import Reading
from verl_vision_r1.data.readers.samples import Sample, Splits, expression_sample, read_box
from verl_vision_r1.data.readers.visual_genome import tidy
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

WHAT: Final = "ODVG samples"


def find(source: str) -> Splits:
    """The files of a folder, or one file, with the label map next to them.

    Raises:
        FileNotFoundError: The file or folder does not exist.
        ValueError: The folder has no such file, or the label map is invalid.
    """
    return peer_files.find(source, read_odvg, WHAT)


def find_file(annotations: Path, images: Path | None) -> Splits:
    """One file, and the folder of its images. Raises as `find`."""
    return peer_files.find_file(annotations, images, read_odvg, WHAT)


def read_odvg(path: Path, images: Images, reading: Reading) -> Iterator[Sample]:
    """Read one file.

    Args:
        path: The file.
        images: Finds the images.
        reading: Called with the error of each invalid line and box.

    Yields:
        For each line, a sample with the boxes of all categories, and one for each phrase.
    """
    names = _label_map(path)
    categories = tuple(names.values()) or tuple(sorted(_categories(path)))
    for index, (where, entry) in enumerate(records(path, reading)):
        try:
            size = size_of(entry, where)
            file, image_id = images.find(text_of(entry, "filename", where), index, where)
        except (ValueError, OSError) as problem:
            items = [*_items(entry, "detection", "instances"), *_items(entry, "grounding", "regions")]
            reading.defect(problem, "image missing or defective", len(items))
            continue
        if "detection" in entry:
            instances = _items(entry, "detection", "instances")
            label = partial(_name, names=names)
            boxes, labels, uncertain = _read(instances, label, size, f"{where} instance", reading)
            target = Target(as_boxes(boxes), tuple(labels), *size, categories)
            yield Sample(file, image_id, target, uncertain=frozenset(uncertain))
        regions = _items(entry, "grounding", "regions")
        boxes, phrases, skipped = _read(regions, _phrase, size, f"{where} region", reading)
        for phrase in dict.fromkeys(phrases):
            kept = [box for box, other in zip(boxes, phrases, strict=True) if other == phrase]
            if phrase in skipped or "" in skipped:
                reading.leave_out("phrase with a skipped box", len(kept))
            else:
                yield expression_sample(file, image_id, phrase, kept, size)


def _items(entry: Entry, key: str, inner: str) -> list[Any]:
    part = entry.get(key)
    items = part.get(inner) if isinstance(part, dict) else None
    return items if isinstance(items, list) else []


def _read(
    items: list[Any], label: Callable[[Entry, str], str], size: tuple[int, int], where: str, reading: Reading
) -> tuple[list[list[float]], list[str], set[str]]:
    """Boxes, labels, and the labels of boxes that are skipped."""
    boxes, labels, skipped = [], [], set()
    for place, item in enumerate(items):
        at, name = f"{where} {place}", ""
        found = item.get("bbox") if isinstance(item, dict) else None
        several = found if isinstance(found, list) and found and isinstance(found[0], list) else [found]
        try:
            if not isinstance(item, dict):
                raise ValueError(f"{at}: expected an object with a bbox, got {shown(item)}")
            name = label(item, at)
            read = [read_box(box, size, at, reading) for box in several]
            boxes += read
            labels += [name] * len(read)
        except ValueError as problem:
            skipped.add(name)
            reading.defect(problem, annotations=len(several))
    return boxes, labels, skipped


def _name(item: Entry, where: str, names: dict[str, str]) -> str:
    name = names.get(str(item.get("label"))) if names else item.get("category")
    if not isinstance(name, str) or not is_name(name):
        known = "a label of the label map" if names else "a 'category'"
        raise ValueError(f"{where}: expected {known}, got {shown(item)}")
    return name


def _phrase(item: Entry, where: str) -> str:
    phrase = item.get("phrase")
    if isinstance(phrase, list):  # Objects of one phrase that occurs several times.
        phrase = phrase[0] if phrase else ""
    return text_of({"phrase": tidy(value_of({"phrase": phrase}, "phrase", str, where))}, "phrase", where)


def _label_map(path: Path) -> dict[str, str]:
    maps = sorted(path.parent.glob("[!.]*label_map*.json"))
    if not maps:
        return {}
    names = load_json(maps[0])
    if (
        len(maps) > 1
        or not isinstance(names, dict)
        or not all(isinstance(name, str) and is_name(name) for name in names.values())
    ):
        raise ValueError(f'{maps[0]}: expected one label map {{"0": "name", ...}}, got {shown(names)}')
    return names


def _categories(path: Path) -> set[str]:
    """The categories of a file without a label map."""
    found = set()
    for _, entry in records(path, Reading(lambda problem: None)):
        items = [item for item in _items(entry, "detection", "instances") if isinstance(item, dict)]
        found |= {name for item in items if isinstance(name := item.get("category"), str) and is_name(name)}
    return found
