"""Custom datasets as JSON Lines: one question about one image per line.

Boxes are `[x1, y1, x2, y2]` in pixels of the image, from 0. Images are next to the file or in `images/` there.

    {"image": "a.jpg", "boxes": [[10, 20, 110, 220]], "labels": ["cat"]}
    {"image": "a.jpg", "boxes": [], "labels": [], "categories": ["dog", "bird"]}
    {"image": "a.jpg", "task": "grounding", "expression": "the cat on the left", "boxes": [[10, 20, 110, 220]]}
    {"image": "a.jpg", "task": "classification", "label": "siamese"}
    {"image": "a.jpg", "task": "counting", "label": "cat", "count": 3}
    {"image": "a.jpg", "task": "pointing", "label": "cat", "boxes": [[10, 20, 110, 220]]}

"task" is "detection" by default. For detection, "categories" are the names that were annotated, by default all labels
of the folder's files. For pointing, "outlines" has a list of polygons for each box, as COCO's `segmentation`; a point
must then lie inside them. Any line may have "prompt" (used verbatim instead of a template), "image_id" (by default the
path of the image), and "width" and "height" (by default those of the image's header).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from verl_vision_r1.boxes import NO_BOXES, as_boxes
from verl_vision_r1.data.readers.entries import Entry, is_name, json_lines, size_of, text_of, value_of
from verl_vision_r1.data.readers.folders import contents, expect_folder, listed
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, find_image, read_box
from verl_vision_r1.prompts import PLACEHOLDERS
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

SPLITS: Final = ("train", "val", "test")
KEYS: Final = ("image", "task", "prompt", "image_id", "width", "height")
KEYS_OF_TASK: Final = {
    "detection": ("boxes", "labels", "categories"),
    "grounding": ("boxes", "expression"),
    "classification": ("label", "categories"),
    "counting": ("label", "count"),
    "pointing": ("boxes", "label", "outlines"),
}
QUESTIONS: Final = {
    "detection": "categories",
    "grounding": "expression",
    "classification": "class",
    "counting": "count",
    "pointing": "points",
}


def find(source: str) -> Splits:
    """A file `*.jsonl`, or a folder of them: `train.jsonl`, `val.jsonl` and `test.jsonl`, or one with another name.

    Raises:
        FileNotFoundError: The file or folder does not exist.
        ValueError: The folder has no such file, or several whose names do not tell the splits apart.
    """
    file = Path(source).expanduser().absolute()
    if file.is_file():
        if file.suffix != ".jsonl":
            raise ValueError(f"{source}: expected a folder, or a file that ends in .jsonl, got {file.suffix!r}")
        return {"all": _reader(file)}
    folder = expect_folder(source)
    files = {file.stem: file for file in sorted(folder.glob("[!.]*.jsonl"))}
    if files and files.keys() <= set(SPLITS):
        # A label may occur in one split only, but all splits get the same categories.
        return {split: _reader(files[split], *files.values()) for split in SPLITS if split in files}
    if len(files) == 1:
        return {"all": _reader(*files.values())}
    raise ValueError(
        f"{source}: expected train.jsonl, val.jsonl and test.jsonl, or one other *.jsonl, got a folder that contains"
        f" {contents(folder)}"
    )


def find_file(annotations: Path, images: Path | None) -> Splits:
    """One file, and the folder of its images; by default the folder of the file.

    Raises:
        FileNotFoundError: The file or the folder does not exist.
        ValueError: The file does not end in `.jsonl`.
    """
    if images is None:
        return find(str(annotations))
    if annotations.suffix != ".jsonl" or not annotations.is_file():
        raise ValueError(f"{annotations}: expected a file that ends in .jsonl, got another or none")
    folder = expect_folder(images)
    return {"all": lambda on_problem, _: read_own(annotations, on_problem, images=folder)}


def _reader(path: Path, *others: Path) -> Read:
    return lambda on_problem, _: read_own(path, on_problem, others=others)


@dataclass
class _File:
    folder: Path
    labels: tuple[str, ...]
    images: dict[str, Path] = field(default_factory=dict)
    names: dict[Path, str] = field(default_factory=dict)
    asked: set[tuple[str, ...]] = field(default_factory=set)


def read_own(
    path: Path, on_problem: OnProblem = fail, *, others: Sequence[Path] = (), images: Path | None = None
) -> Iterator[Sample]:
    """Read a file, line by line. Blank lines are skipped.

    Args:
        path: The file.
        on_problem: Called with the error of each invalid line, and of each invalid box of a question about all
            categories. Any other question with an invalid box is skipped.
        others: Files whose labels are categories here too, if a line has no categories.
        images: Folder of the images; by default that of the file.

    Yields:
        Samples with the question of their task, or "own" if the line has a prompt.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: No line is a JSON object; or a line is invalid, and `on_problem` raises.
    """
    reading, labels = Reading.of(on_problem), {label for file in {path, *others} for label in _labels(file)}
    file = _File(images or path.parent, tuple(sorted(labels)))
    for where, entry in json_lines(path, reading):
        skipped: list[ValueError] = []
        try:
            sample = _sample(entry, where, file, reading, skipped)
        except (ValueError, OSError) as problem:
            located = problem if str(problem).startswith(where) else ValueError(f"{where}: {problem}")
            reading.defect(located, "line missing its image, or defective", _annotations(entry))
        else:
            for defect in skipped:
                reading.defect(defect)
            yield sample


def _annotations(entry: Entry) -> int:
    """Number of annotations of a line: its boxes, or the line itself."""
    boxes = entry.get("boxes")
    return len(boxes) if isinstance(boxes, list) else int(entry.get("task") in ("classification", "counting"))


def _labels(path: Path) -> tuple[str, ...]:
    # The file is read twice to save memory: the question about the first image lists the labels of the last.
    found, entries = set[str](), 0
    for _, entry in json_lines(path, lambda problem: None):
        entries += 1
        labels = entry.get("labels")
        if entry.get("task", "detection") == "detection" and isinstance(labels, list):
            found.update(label for label in labels if isinstance(label, str) and is_name(label))
    if not entries:
        raise ValueError(f"{path}: expected JSON Lines, one object per line, got a file without any")
    return tuple(sorted(found))


def _sample(entry: Entry, where: str, file: _File, reading: Reading, skipped: list[ValueError]) -> Sample:
    task = _task(entry, where)
    image = find_image([file.folder, file.folder / "images"], [text_of(entry, "image", where)], where)
    image_id, size = _image_id(entry, image, where, file), _size(entry, image, where)
    question, prompt = QUESTIONS[task], None
    if "prompt" in entry:
        question, prompt = "own", text_of(entry, "prompt", where)
        if any(placeholder in prompt for placeholder in PLACEHOLDERS):
            raise ValueError(f"{where}: expected a prompt without {', '.join(PLACEHOLDERS)}, got {shown(prompt)}")
    subject, uncertain = "", frozenset[str]()
    if task == "detection":
        report = skipped.append if prompt is None else fail
        target, uncertain = _detection(entry, size, where, file.labels, reading, report)
    else:
        subject, target = _about_one(entry, task, size, where, reading)
    once = (image_id, question, subject, prompt or "", *target.categories)
    if once in file.asked:
        raise ValueError(f"{where}: expected one line for each question about an image, got the same question again")
    file.asked.add(once)
    annotations = 1 if task in ("classification", "counting") else None
    return Sample(image, image_id, target, question, subject, prompt, uncertain, annotations=annotations)


def _task(entry: Entry, where: str) -> str:
    task = entry.get("task", "detection")
    if not isinstance(task, str) or task not in KEYS_OF_TASK:
        raise ValueError(f"{where}: expected 'task' to be one of {', '.join(KEYS_OF_TASK)}, got {shown(task)}")
    known = (*KEYS, *KEYS_OF_TASK[task])
    if unknown := sorted(set(entry).difference(known)):
        raise ValueError(f"{where}: expected only the keys {', '.join(known)} for {task}, got also {listed(unknown)}")
    return task


def _image_id(entry: Entry, image: Path, where: str, file: _File) -> str:
    given = entry.get("image_id", file.names.get(image, image.relative_to(file.folder).as_posix()))
    if isinstance(given, bool) or not isinstance(given, str | int) or not str(given).strip():
        raise ValueError(f"{where}: expected 'image_id' to be text or a whole number, got {shown(given)}")
    name = str(given)
    if file.images.setdefault(name, image) != image or file.names.setdefault(image, name) != name:
        raise ValueError(f"{where}: expected one image_id for each image, got {shown(name)} for {image} and another")
    return name


def _size(entry: Entry, image: Path, where: str) -> tuple[int, int]:
    if not {"width", "height"} & entry.keys():
        return shown_size(image)
    return size_of(entry, where)


def _detection(
    entry: Entry,
    size: tuple[int, int],
    where: str,
    names: tuple[str, ...],
    reading: Reading,
    report: Callable[[ValueError], None],
) -> tuple[Target, frozenset[str]]:
    boxes, labels = value_of(entry, "boxes", list, where), _names(entry, "labels", where)
    if len(boxes) != len(labels):
        raise ValueError(f"{where}: expected one label for each box, got {len(boxes)} boxes and {len(labels)} labels")
    categories = tuple(dict.fromkeys(_names(entry, "categories", where))) if "categories" in entry else names
    if not categories:
        raise ValueError(f"{where}: expected categories, or labels in at least one line of the file, got neither")
    kept, uncertain = [], set()
    for place, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        at = f"{where} boxes[{place}]"
        try:
            if label not in categories:
                raise ValueError(f"{at}: expected one of the categories {shown(list(categories))}, got {shown(label)}")
            kept.append((read_box(box, size, at, reading), label))
        except ValueError as problem:
            uncertain.add(label if label in categories else "")
            report(problem)
    target = Target(as_boxes([box for box, _ in kept]), tuple(label for _, label in kept), *size, categories)
    return target, frozenset(uncertain)


def _about_one(entry: Entry, task: str, size: tuple[int, int], where: str, reading: Reading) -> tuple[str, Target]:
    """Subject and target of a question of any other task."""
    if task == "grounding":
        expression, boxes = text_of(entry, "expression", where), value_of(entry, "boxes", list, where)
        found = [read_box(box, size, f"{where} boxes[{place}]", reading) for place, box in enumerate(boxes)]
        return expression, Target(as_boxes(found), (expression,) * len(found), *size, task=task)
    label = text_of(entry, "label", where)
    if task == "pointing":
        boxes = value_of(entry, "boxes", list, where)
        found = [read_box(box, size, f"{where} boxes[{place}]", reading) for place, box in enumerate(boxes)]
        labels, outlines = (label,) * len(found), entry.get("outlines", ())
        return label, Target(as_boxes(found), labels, *size, (label,), task, outlines=outlines)
    if task == "counting":
        return label, Target(NO_BOXES, (), *size, task=task, count=entry.get("count"))
    categories = _names(entry, "categories", where) if "categories" in entry else ()
    return "object", Target(NO_BOXES, (label,), *size, tuple(categories), task)


def _names(entry: Entry, key: str, where: str) -> list[str]:
    names = value_of(entry, key, list, where)
    if not all(isinstance(name, str) and is_name(name) for name in names):
        raise ValueError(f"{where}: expected {key!r} to be a list of names, got {shown(names)}")
    return names
