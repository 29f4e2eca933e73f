"""Samples of VLM-R1 and EasyR1: a question about an image, and a reference answer.

VLM-R1 (https://github.com/om-ai-lab/VLM-R1) reads JSON Lines; the image is relative to a folder:

    {"id": 1, "image": "train2014/1.jpg", "conversations": [
        {"from": "human", "value": "<image>Please provide the bounding box coordinate of the region this sentence
            describes: the red car."},
        {"from": "gpt", "value": "[103.93, 299.99, 238.15, 477.41]"}]}

EasyR1 (https://github.com/hiyouga/EasyR1) reads parquet or JSON with the columns of its configuration, by default:

    {"images": ["1.jpg"], "problem": "<image>How many cats are there?", "answer": "2"}

The question is kept as the prompt of the sample. Boxes are `[x1, y1, x2, y2]` in pixels of the image.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from verl_vision_r1.data.readers import peer_files
from verl_vision_r1.data.readers.entries import Entry, value_of
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.peer_files import Images, records
from verl_vision_r1.data.readers.problems import Reading
from verl_vision_r1.data.readers.samples import Sample, Splits
from verl_vision_r1.data.readers.solutions import expression_of, question_of, target_of
from verl_vision_r1.shown import shown

Facts = tuple[Any, Any, Any]
"""Image, question and reference answer of a sample."""

VLM_R1, EASYR1 = "samples of VLM-R1", "samples of EasyR1"


def find(source: str) -> Splits:
    """The files of VLM-R1 in a folder, or one file.

    Raises:
        FileNotFoundError: The file or folder does not exist.
        ValueError: The folder has no such file.
    """
    return peer_files.find(source, _reader(_vlm_r1), VLM_R1)


def find_file(annotations: Path, images: Path | None) -> Splits:
    """One file of VLM-R1, and its `image_folder`. Raises as `find`."""
    return peer_files.find_file(annotations, images, _reader(_vlm_r1), VLM_R1)


def find_easyr1(source: str) -> Splits:
    """The files of EasyR1 in a folder, or one file. Raises as `find`."""
    return peer_files.find(source, _reader(_easyr1), EASYR1)


def find_easyr1_file(annotations: Path, images: Path | None) -> Splits:
    """One file of EasyR1, and its `image_dir`. Raises as `find`."""
    return peer_files.find_file(annotations, images, _reader(_easyr1), EASYR1)


def _vlm_r1(entry: Entry, where: str) -> Facts:
    turns = value_of(entry, "conversations", list, where)
    if len(turns) != 2 or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError(f"{where}: expected 'conversations' with a question and its answer, got {shown(turns)}")
    return entry.get("image"), turns[0].get("value"), turns[1].get("value")


def _easyr1(entry: Entry, where: str) -> Facts:
    if not {"images", "answer"} <= entry.keys() or not {"problem", "prompt"} & entry.keys():
        raise ValueError(f"{where}: expected the keys images, problem and answer, got {shown(sorted(entry))}")
    return entry["images"], entry.get("problem", entry.get("prompt")), entry["answer"]


def _reader(facts: Callable[[Entry, str], Facts]) -> peer_files.ReadFile:
    def read(path: Path, images: Images, reading: Reading) -> Iterator[Sample]:
        for index, (where, entry) in enumerate(records(path, reading)):
            try:
                image, text, solution = facts(entry, where)
                question = question_of(text, where)
                file, image_id = images.find(image, index, where)
                target = target_of(solution, question, shown_size(file), where, reading)
            except (ValueError, OSError) as problem:
                located = problem if str(problem).startswith(where) else ValueError(f"{where}: {problem}")
                reading.defect(located, "sample missing its image, or defective")
            else:
                subject = expression_of(question) if target.task == "grounding" else ""
                yield Sample(file, image_id, target, "own", subject, question, annotations=1)

    return read
