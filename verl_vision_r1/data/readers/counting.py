"""Sets whose questions are "how many": CLEVR and PixMo-Count.

CLEVR v1.0 (https://cs.stanford.edu/people/jcjohns/clevr/, CC BY 4.0), `questions/CLEVR_train_questions.json`, with the
images in `images/train/`. Its other questions are left out. The words are its own:

    {"questions": [{"image_filename": "CLEVR_train_000000.png", "question": "How many red cubes are there?",
                    "answer": "3", "split": "train", "program": [...], ...}, ...]}

PixMo-Count (https://huggingface.co/datasets/allenai/pixmo-count, ODC-BY), `train-00000-of-00001.parquet`, or the like
as JSON lines. It is published without the images, which are expected in `images/` by the name in their address or by
`image_sha256`; own files may have the path of an image, `image`, instead:

    {"image_url": "https://example.com/crowd.jpg", "image_sha256": "5d41...", "label": "people", "count": 4, ...}
"""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from verl_vision_r1.boxes import NO_BOXES
from verl_vision_r1.data.readers.classification import ENDINGS
from verl_vision_r1.data.readers.entries import Entry, json_lines, words_of
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Parts, Read, Sample, find_image
from verl_vision_r1.rewards.presets import load_prompts
from verl_vision_r1.targets import Target

CLEVR_KEYS: Final = ("questions", "image_filename", "question", "answer")
PIXMO_KEYS: Final = ("image", "image_url", "image_sha256", "label", "count")
HOW_MANY: Final = re.compile(r"\b(how many|what number of)\b", re.IGNORECASE)
"""CLEVR asks in both words."""


def find(source: str) -> Parts:
    """CLEVR, `questions/CLEVR_*_questions.json`, or PixMo-Count, `*.parquet` or `*.jsonl` there or in `data/`.

    A table whose name begins with "train", "val", "validation" or "test" is of that part, all others are "all".

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds neither.
    """
    folder = expect_folder(source)
    files = {name: folder / "questions" / f"CLEVR_{name}_questions.json" for name in ("train", "val")}
    parts = {name: _clevr_reader(path, folder / "images" / name) for name, path in files.items() if path.is_file()}
    if not parts:
        tables = [path for place in (folder, folder / "data") for path in sorted(place.glob("[!.]*"))]
        parts = _pixmo_parts(folder, [path for path in tables if path.suffix in READERS])
    if not parts:
        raise ValueError(
            f"{source}: expected CLEVR (questions/CLEVR_train_questions.json) or PixMo-Count (*.parquet or *.jsonl),"
            f" got a folder that holds {contents(folder)}"
        )
    return parts


def _clevr_reader(path: Path, images: Path) -> Read:
    return lambda on_problem, _: read_clevr(path, images, on_problem=on_problem)


def read_clevr(path: Path, images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read the questions of CLEVR that ask for a number.

    Args:
        path: The JSON file.
        images: The folder of the images.
        on_problem: Told about each question that is incomplete or lacks its image.

    Yields:
        Samples without boxes, in the order of the file. `image_id` is the file name without its ending.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is not CLEVR JSON, or a question is wrong.
    """
    size, answer_format = functools.lru_cache(shown_size), _answer_format()
    for index, entry in enumerate(_load(path)):
        where = f"{path} question {index}"
        try:
            name, question, answer = (
                words_of(_object(entry, where), key, where) for key in ("image_filename", "question", "answer")
            )
            if not HOW_MANY.search(question) or not re.fullmatch("[0-9]{1,9}", answer):
                continue
            image = find_image([images], [name], where)
            target = Target(NO_BOXES, (), *size(image), task="counting", count=int(answer))
        except (ValueError, OSError) as problem:
            on_problem(problem)
        else:
            image_id = image.relative_to(images).with_suffix("").as_posix()
            yield Sample(image, image_id, target, "own", prompt=f"{question}\n{answer_format}")


def _answer_format() -> str:
    """How an answer is to be given: the question "count" without its first line, which is CLEVR's own here."""
    words = load_prompts("vision_r1").text("count", Target(NO_BOXES, (), 1, 1), "object")
    return words.split("\n", 1)[1]


def _load(path: Path) -> list[Any]:
    def used(entry: Entry) -> Entry:
        # Most of the file are the programs of its 700 000 questions.
        return {key: entry[key] for key in CLEVR_KEYS if key in entry}

    try:
        document = json.loads(path.read_bytes(), object_hook=used)
    except ValueError as error:
        raise ValueError(f"{path}: expected CLEVR JSON, got a file that is not JSON: {error}") from error
    questions = document.get("questions") if isinstance(document, dict) else None
    if not isinstance(questions, list):
        raise ValueError(f"{path}: expected CLEVR JSON with a list 'questions', got {document!r:.160}")
    return questions


def _object(entry: Any, where: str) -> Entry:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object, got {entry!r:.160}")
    return entry


def _pixmo_parts(folder: Path, tables: list[Path]) -> Parts:
    files: dict[str, list[Path]] = {}
    for path in tables:
        named = re.match("(train|val|test)(idation)?(?![a-z])", path.name)
        files.setdefault(named[1] if named else "all", []).append(path)
    return {part: _pixmo_reader(paths, folder) for part, paths in files.items()}


def _pixmo_reader(paths: list[Path], folder: Path) -> Read:
    return lambda on_problem, _: (
        sample for path in paths for sample in read_pixmo(path, folder, on_problem=on_problem)
    )


def read_pixmo(path: Path, folder: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read one table of PixMo-Count.

    Args:
        path: A `.parquet` or `.jsonl` file.
        folder: The folder of the data set, with the images in it or in `images/`.
        on_problem: Told about each row that is wrong or lacks its image.

    Yields:
        Samples without boxes, in the order of the file. `image_id` is the image's path within the folder.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file has another format, or a row is wrong.
    """
    for where, row in READERS[path.suffix](path, on_problem):
        try:
            label, count = words_of(row, "label", where), row.get("count")
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise ValueError(f"{where}: expected 'count' to be a whole number, got {count!r:.80}")
            image = find_image([folder / "images", folder], _image_names(row, where), where)
            target = Target(NO_BOXES, (), *shown_size(image), task="counting", count=count)
        except (ValueError, OSError) as problem:
            on_problem(problem)
        else:
            yield Sample(image, image.relative_to(folder).as_posix(), target, "count", label)


def _image_names(row: Entry, where: str) -> list[str]:
    if isinstance(row.get("image"), str):
        return [row["image"]]
    address, digest = row.get("image_url"), row.get("image_sha256")
    if not isinstance(address, str):
        raise ValueError(f"{where}: expected the path 'image' or the address 'image_url', got {row!r:.160}")
    # Many addresses end in the same name.
    named = [digest, *(digest + ending for ending in ENDINGS)] if isinstance(digest, str) and digest else []
    base = re.split("[?#]", address)[0].rsplit("/", 1)[-1]
    return [*named, *dict.fromkeys(name for name in (base, unquote(base)) if name)]


def _read_parquet(path: Path, on_problem: OnProblem) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = [name for name in PIXMO_KEYS if name in file.schema_arrow.names]
        if not {"label", "count"} <= set(columns):
            raise ValueError(f"{path}: expected the columns 'label' and 'count', got {file.schema_arrow.names}")
        rows = (row for batch in file.iter_batches(1024, columns=columns) for row in batch.to_pylist())
        for index, row in enumerate(rows):
            yield f"{path} row {index}", row
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: expected a parquet file, got one that cannot be read: {error}") from error


READERS: Final = {".parquet": _read_parquet, ".jsonl": json_lines}
