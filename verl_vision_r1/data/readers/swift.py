"""Samples of ms-swift (https://github.com/modelscope/ms-swift): messages with the boxes of their objects.

Format: the section "Grounding" of its page on custom datasets. The k-th `<ref-object>` of the messages stands for the
k-th `ref`, the k-th `<bbox>` for the k-th `bbox`:

    {"messages": [{"role": "user", "content": "<image>Find the <ref-object> in the image"},
                  {"role": "assistant", "content": "<bbox><bbox>"}],
     "images": ["x.jpg"],
     "objects": {"ref": ["sheep"], "bbox": [[90.9, 160.8, 135, 212.8], [360.9, 480.8, 495, 532.8]]}}

`bbox_type` says whether boxes are in pixels ("real", the default) or fractions of the image ("norm1"). How the model
writes them is a setting of ms-swift (`norm_bbox`), not part of a sample. A sample without `objects` has a number or a
class name as its answer, in the assistant's message or in the column `solution`. A `solution` that `vision-r1 convert`
wrote is the whole ground truth.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers import peer_files
from verl_vision_r1.data.readers.entries import Entry, four_numbers, is_name, value_of
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.peer_files import Images, records
from verl_vision_r1.data.readers.problems import Reading
from verl_vision_r1.data.readers.samples import Sample, Splits, fit_box
from verl_vision_r1.data.readers.solutions import is_ours, question_of, target_of
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

WHAT: Final = "samples of ms-swift"
MARK: Final = re.compile(r"<ref-object>|<bbox>")
REF, BOX = "<ref-object>", "<bbox>"
SCALES: Final = {"norm1": 1.0, "norm1000": 1000.0}
"""The side of an image in the units of `bbox_type`."""


def find(source: str) -> Splits:
    """The files of a folder, or one file.

    Raises:
        FileNotFoundError: The file or folder does not exist.
        ValueError: The folder has no such file.
    """
    return peer_files.find(source, read_swift, WHAT)


def find_file(annotations: Path, images: Path | None) -> Splits:
    """One file, and the folder of its images. Raises as `find`."""
    return peer_files.find_file(annotations, images, read_swift, WHAT)


def read_swift(path: Path, images: Images, reading: Reading) -> Iterator[Sample]:
    """Read one file.

    Args:
        path: The file.
        images: Finds the images.
        reading: Called with the error of each invalid sample.

    Yields:
        Samples with their own question as the prompt; the messages before the answer are joined.
    """
    for index, (where, entry) in enumerate(records(path, reading)):
        try:
            sample = _sample(entry, images, index, where, reading)
        except (ValueError, OSError) as problem:
            located = problem if str(problem).startswith(where) else ValueError(f"{where}: {problem}")
            reading.defect(located, "sample missing its image, or defective")
        else:
            yield sample


def _sample(entry: Entry, images: Images, index: int, where: str, reading: Reading) -> Sample:
    asked, answer = _messages(entry, where)
    file, image_id = images.find(entry.get("images"), index, where)
    size, objects, solution = shown_size(file), entry.get("objects"), entry.get("solution")
    if is_ours(solution) or not isinstance(objects, dict) or not (objects.get("bbox") or objects.get("ref")):
        question = question_of(asked, where)
        target = target_of(answer if solution is None else solution, question, size, where, reading)
        return Sample(file, image_id, target, "own", "", question, annotations=1)
    refs, boxes = _refs(objects, where), _boxes(objects, size, where, reading)
    before = asked.count(REF)
    question = question_of(_filled(asked, refs, where), where)
    labels = _labels(answer, refs, before, len(boxes), where)
    grounding = len(refs) == 1 and before == 1
    task, subject = ("grounding", refs[0]) if grounding else ("detection", "")
    target = Target(as_boxes(boxes), labels, *size, task=task)
    return Sample(file, image_id, target, "own", subject, question, annotations=1)


def _messages(entry: Entry, where: str) -> tuple[str, str]:
    """The question, and the last answer of the assistant or an empty text."""
    texts: dict[str, list[str]] = {}
    for message in value_of(entry, "messages", list, where):
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, str):
            raise ValueError(f"{where}: expected messages with 'role' and 'content', got {shown(message)}")
        texts.setdefault(str(message.get("role")), []).append(content)
    if len(texts.get("user", [])) != 1 or len(texts.get("assistant", [])) > 1:
        raise ValueError(f"{where}: expected one question and at most one answer, got {shown(entry['messages'])}")
    return "\n".join([*texts.get("system", []), *texts["user"]]), "".join(texts.get("assistant", []))


def _refs(objects: Entry, where: str) -> list[str]:
    refs = objects.get("ref") or []
    if not isinstance(refs, list) or not all(isinstance(ref, str) and is_name(ref) for ref in refs):
        raise ValueError(f"{where}: expected 'ref' to be a list of names, got {shown(refs)}")
    return refs


def _boxes(objects: Entry, size: tuple[int, int], where: str, reading: Reading) -> list[list[float]]:
    kind, found = objects.get("bbox_type") or "real", []
    if kind not in ("real", *SCALES):
        raise ValueError(f"{where}: expected 'bbox_type' to be real, {' or '.join(SCALES)}, got {shown(kind)}")
    if any(number != 0 for number in value_of({"image_id": objects.get("image_id") or []}, "image_id", list, where)):
        raise ValueError(f"{where}: expected boxes in the first image, got image_id {shown(objects['image_id'])}")
    scale = SCALES.get(kind)
    for box in value_of({"bbox": objects.get("bbox") or []}, "bbox", list, where):
        sides = four_numbers(box, "[x1, y1, x2, y2]", where)
        pixels = (
            sides if scale is None else [side * length / scale for side, length in zip(sides, size * 2, strict=True)]
        )
        found.append(fit_box(pixels, size, where, reading))
    return found


def _labels(answer: str, refs: Sequence[str], before: int, boxes: int, where: str) -> tuple[str, ...]:
    """One label for each box."""
    marks, rest = MARK.findall(answer), list(refs[before:])
    if len(rest) == boxes:
        return tuple(rest)
    if len(refs) == 1:
        return (refs[0],) * boxes
    if rest and marks.count(BOX) == boxes and marks.count(REF) == len(rest) and marks[0] == REF:
        # A name stands before its boxes.
        places = [marks[: place + 1].count(REF) - 1 for place, mark in enumerate(marks) if mark == BOX]
        return tuple(rest[place] for place in places)
    raise ValueError(f"{where}: expected one name in 'ref', or one for each box, got {len(refs)} for {boxes} boxes")


def _filled(text: str, refs: Sequence[Any], where: str) -> str:
    if text.count(REF) > len(refs) or BOX in text:
        raise ValueError(f"{where}: expected a 'ref' for each {REF} and no {BOX} in the question, got {shown(text)}")
    for ref in refs:
        text = text.replace(REF, ref, 1)
    return text
