"""Counting datasets: CLEVR and PixMo-Count.

CLEVR v1.0 (https://cs.stanford.edu/people/jcjohns/clevr/, CC BY 4.0), `questions/CLEVR_train_questions.json`, with the
images in `images/train/`. Only questions for a number are read, and their text is kept:

    {"questions": [{"image_filename": "CLEVR_train_000000.png", "question": "How many red cubes are there?",
                    "answer": "3", "split": "train", "program": [...], ...}, ...]}

PixMo-Count (https://huggingface.co/datasets/allenai/pixmo-count, ODC-BY), `train-00000-of-00001.parquet`, or the same
as JSON Lines. It is published without images, which are expected in `images/`, named as in their URL or by
`image_sha256`. Custom files may have the path of an image, `image`, instead:

    {"image_url": "https://example.com/crowd.jpg", "image_sha256": "5d41...", "label": "people", "count": 4, ...}
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.boxes import NO_BOXES
from verl_vision_r1.data.readers import pixmo
from verl_vision_r1.data.readers.entries import Entry, expect_object, load_json, text_of
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, find_image
from verl_vision_r1.rewards.presets import load_prompts
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

CLEVR_KEYS: Final = ("questions", "image_filename", "question", "answer")
HOW_MANY: Final = re.compile(r"\b(how many|what number of)\b", re.IGNORECASE)
"""CLEVR uses both phrases."""


def find(source: str) -> Splits:
    """CLEVR, `questions/CLEVR_*_questions.json`; or PixMo-Count, `*.parquet` or `*.jsonl` in the folder or in `data/`.

    A file whose name starts with "train", "val", "validation" or "test" belongs to that split, any other to "all".

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder contains neither.
    """
    folder = expect_folder(source)
    files = {name: folder / "questions" / f"CLEVR_{name}_questions.json" for name in ("train", "val")}
    splits = {name: _clevr_reader(path, folder / "images" / name) for name, path in files.items() if path.is_file()}
    if not splits:
        splits = pixmo.splits_of(folder, read_pixmo)
    if not splits:
        raise ValueError(
            f"{source}: expected CLEVR (questions/CLEVR_train_questions.json) or PixMo-Count (*.parquet or *.jsonl),"
            f" got a folder that contains {contents(folder)}"
        )
    return splits


def _clevr_reader(path: Path, images: Path) -> Read:
    return lambda on_problem, _: read_clevr(path, images, on_problem=on_problem)


def read_clevr(path: Path, images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read the questions of CLEVR that ask for a number.

    Args:
        path: The JSON file.
        images: Folder of the images.
        on_problem: Called with the error of each invalid question.

    Yields:
        Samples without boxes, in the order of the file. `image_id` is the file name without extension.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is not CLEVR JSON, or a question is invalid.
    """
    reading, size, answer_format = Reading.of(on_problem), functools.lru_cache(shown_size), _answer_format()
    for index, entry in enumerate(_load(path)):
        where = f"{path} question {index}"
        try:
            name, question, answer = (
                text_of(expect_object(entry, where), key, where) for key in ("image_filename", "question", "answer")
            )
            if not HOW_MANY.search(question) or not re.fullmatch("[0-9]{1,9}", answer):
                reading.leave_out("question for something else than a number")
                continue
            image = find_image([images], [name], where)
            target = Target(NO_BOXES, (), *size(image), task="counting", count=int(answer))
        except (ValueError, OSError) as problem:
            reading.defect(problem, "question missing its image, or defective")
        else:
            image_id = image.relative_to(images).with_suffix("").as_posix()
            yield Sample(image, image_id, target, "own", prompt=f"{question}\n{answer_format}", annotations=1)


def _answer_format() -> str:
    """The answer format of the template "count": all of it but the first line, which CLEVR's question replaces."""
    prompt = load_prompts("vision_r1").text("count", Target(NO_BOXES, (), 1, 1), "object")
    return prompt.split("\n", 1)[1]


def _load(path: Path) -> list[Any]:
    def used(entry: Entry) -> Entry:
        # Most of the file is the programs of its 700,000 questions.
        return {key: entry[key] for key in CLEVR_KEYS if key in entry}

    document = load_json(path, "CLEVR JSON", used)
    questions = document.get("questions") if isinstance(document, dict) else None
    if not isinstance(questions, list):
        raise ValueError(f"{path}: expected CLEVR JSON with a list 'questions', got {shown(document)}")
    return questions


def read_pixmo(path: Path, folder: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read one file of PixMo-Count.

    Args:
        path: A `.parquet` or `.jsonl` file.
        folder: Folder of the dataset, with the images in it or in `images/`.
        on_problem: Called with the error of each invalid row.

    Yields:
        Samples without boxes, in the order of the file. `image_id` is the path of the image within the folder.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file has another format, or a row is invalid.
    """
    reading = Reading.of(on_problem)
    for where, row in pixmo.rows_of(path, "count", reading):
        try:
            label, count = text_of(row, "label", where), row.get("count")
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise ValueError(f"{where}: expected 'count' to be a whole number, got {shown(count)}")
            image = pixmo.image_of(row, folder, where)
            target = Target(NO_BOXES, (), *shown_size(image), task="counting", count=count)
        except (ValueError, OSError) as problem:
            reading.defect(problem, "row missing its image, or defective")
        else:
            yield Sample(image, image.relative_to(folder).as_posix(), target, "count", label, annotations=1)
