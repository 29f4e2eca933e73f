"""From data sets to `train.parquet` and `val.parquet`: read, select, ask, check, write."""

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from verl_vision_r1.data.category_lists import ask_existing
from verl_vision_r1.data.images import check_images
from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.parquet import Row, make_row, validate_row, write_rows
from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.questions import ask, negatives
from verl_vision_r1.data.readers import sources
from verl_vision_r1.data.readers.problems import Problems
from verl_vision_r1.data.readers.samples import Parts, Sample
from verl_vision_r1.data.selection import select
from verl_vision_r1.prompts import PLACEHOLDERS, Prompts
from verl_vision_r1.rewards.presets import load_prompts

Files = dict[str, list[Sample]]
"""Samples by the name of the file that they go to: "train", "val", or the part that was asked for."""


@dataclass(frozen=True)
class Account:
    """What came from one data set.

    Attributes:
        source: Its name, and where it was.
        images: Images that it holds.
        rows: Rows by file.
        boxes: Boxes in them.
        negatives: Rows whose answer is "nothing".
        left_out: Images and rows left out, by reason.
    """

    source: str
    images: int
    rows: dict[str, int]
    boxes: int
    negatives: int
    left_out: dict[str, int]


@dataclass(frozen=True)
class Prepared:
    """What `prepare` wrote.

    Attributes:
        rows: Rows by file.
        accounts: What came from each data set.
        defects: Bad boxes and images left out.
    """

    rows: dict[str, int]
    accounts: tuple[Account, ...]
    defects: int

    @property
    def boxes(self) -> int:
        """Boxes in all files."""
        return sum(account.boxes for account in self.accounts)


def prepare(wanted: Sequence[Source], out: Path, writing: Writing | None = None) -> Prepared:
    """Turn data sets into rows. No file is written before everything was checked.

    Args:
        wanted: The data sets. Their rows are mixed.
        out: The folder for the files, which are replaced. Defects are listed there in `defects.txt`.
        writing: How rows are made.

    Raises:
        FileNotFoundError: A folder or file does not exist.
        ValueError: An option, an annotation or an image is wrong, or a file would have no rows.
    """
    writing, out, problems = writing or Writing(), Path(out).absolute(), Problems()
    prompts = load_prompts(writing.prompt)
    read = [_read(source, problems, out / "images") for source in wanted]
    held_out = _held_out([files["all"] for files in read if "all" in files], writing)
    taken = [
        _take(source, _divided(files, held_out, writing), writing, prompts, out / "images", problems)
        for source, files in zip(wanted, read, strict=True)
    ]
    problems.settle(out / "defects.txt", strict=writing.strict)
    files: dict[str, list[tuple[str, Sample]]] = {}
    for source, (samples_by_file, _) in zip(wanted, taken, strict=True):
        for file, samples in samples_by_file.items():
            files.setdefault(file, []).extend((source.alias or source.name, sample) for sample in samples)
    accounts = tuple(account for _, account in taken)
    empty = [file for file, samples in files.items() if not samples]
    if empty or not files:
        raise ValueError(f"{out}: expected at least one row for {', '.join(empty) or 'a file'}, got {accounts}")
    if len(wanted) > 1:
        for mixed in files.values():
            random.Random(writing.seed).shuffle(mixed)
    _write(out, files, prompts, writing)
    rows = {file: len(samples) for file, samples in files.items()}
    return Prepared(rows, accounts, len(problems.messages))


def _take(
    source: Source, read: Files, writing: Writing, prompts: Prompts, images: Path, problems: Problems
) -> tuple[Files, Account]:
    """The questions of one data set by file, their words and images checked."""
    left_out = Counter[str]()
    files: Files = {}
    for file, samples in read.items():
        questions = _questions(source, samples, writing.seed, left_out)
        # Cut before the images are looked at, which takes the longest.
        most = source.max_samples if source.max_samples is not None and file != "val" else len(questions)
        left_out["above the number of rows"] += max(len(questions) - most, 0)
        said = [question for question in questions[:most] if _is_sayable(question, prompts, problems)]
        files[file] = check_images(said, images / "upright", problems, writing.image_check)
    questions = [question for questions in files.values() for question in questions]
    account = Account(
        source=f"{source.alias or source.name} ({source.source})",
        images=len({sample.image for samples in read.values() for sample in samples}),
        rows={file: len(questions) for file, questions in files.items()},
        boxes=sum(len(question.target.boxes) for question in questions),
        negatives=sum(_is_negative(question) for question in questions),
        left_out={reason: count for reason, count in left_out.items() if count},
    )
    return files, account


def _read(source: Source, problems: Problems, images: Path) -> Files:
    parts = sources.find_parts(source.name, source.source)
    return {
        file: list(progress(parts[part](problems, images), desc=f"{source.name} {part}", unit="sample"))
        for file, part in _choose(parts, source).items()
    }


def _choose(parts: Parts, source: Source) -> dict[str, str]:
    """File -> part."""
    if source.split is not None:
        if source.split not in parts:
            raise ValueError(f"split: expected one of {', '.join(parts)} of {source.source}, got {source.split!r}")
        return {source.split: source.split}
    if {"train", "val"} <= set(parts):
        return {"train": "train", "val": "val"}
    return {"all": "train" if "train" in parts else next(iter(parts))}


def _held_out(undivided: list[list[Sample]], writing: Writing) -> set[str]:
    """Names of the images for validation, of all data sets without such a part together.

    So no question about an image that is trained on is validated with, even where data sets share their images.
    """
    names = sorted({sample.image.name for samples in undivided for sample in samples})
    random.Random(writing.seed).shuffle(names)
    return set(names[: max(1, round(writing.val_fraction * len(names)))])


def _divided(files: Files, held_out: set[str], writing: Writing) -> Files:
    if "all" not in files:
        return files
    if writing.val_fraction == 1:
        return {"val": files["all"]}
    divided: Files = {"train": [], "val": []}
    for sample in files["all"]:
        divided["val" if sample.image.name in held_out else "train"].append(sample)
    return divided


def _questions(source: Source, samples: list[Sample], seed: int, left_out: Counter[str]) -> list[Sample]:
    if source.category_list is not None:
        questions = ask_existing(samples, source.category_list)
        asked = {question.image_id for question in questions}
        left_out["not on the existence list"] += sum(sample.image_id not in asked for sample in samples)
    else:
        questions = _chosen_questions(source, samples, seed, left_out)
    random.Random(seed).shuffle(questions)
    return questions


def _chosen_questions(source: Source, samples: list[Sample], seed: int, left_out: Counter[str]) -> list[Sample]:
    if source.keep_empty:
        samples = [replace(sample, uncertain=frozenset()) for sample in samples]
    held = [sample for sample in samples if source.keep_empty or not _holds_nothing(sample)]
    empty = [sample for sample in samples if not source.keep_empty and _holds_nothing(sample)]
    selected, reasons = select(held, source.selection, seed)
    left_out.update(reasons)
    questions = ask(selected, source.ask)
    nothing = negatives(selected + empty, source.ask, round(source.negatives * len(questions)), random.Random(seed))
    left_out["no boxes"] += len(empty) - sum(question.question == "categories" for question in nothing)
    return questions + nothing


def _holds_nothing(sample: Sample) -> bool:
    return sample.question == "categories" and not len(sample.target.boxes)


def _is_negative(sample: Sample) -> bool:
    if sample.target.task == "counting":
        return sample.target.instances == 0
    return sample.target.task != "classification" and not len(sample.target.boxes)


def _write(out: Path, files: dict[str, list[tuple[str, Sample]]], prompts: Prompts, writing: Writing) -> None:
    out.mkdir(parents=True, exist_ok=True)
    # All files are finished before any of them appears.
    with TemporaryDirectory(dir=out, prefix=".prepare-") as staging:
        for file, samples in files.items():
            rows = _rows(samples, file, prompts, writing)
            seen = progress(rows, total=len(samples), desc=f"{file}.parquet", unit="row")
            write_rows(Path(staging, f"{file}.parquet"), seen, embedded=writing.embed)
        for file in files:
            os.replace(Path(staging, f"{file}.parquet"), out / f"{file}.parquet")


def _rows(samples: list[tuple[str, Sample]], split: str, prompts: Prompts, writing: Writing) -> Iterator[Row]:
    for index, (name, sample) in enumerate(samples):
        row = make_row(
            data_source="/".join(filter(None, (name, sample.collection, sample.target.task))),
            image=sample.image,
            target=sample.target,
            prompt=_words(sample, prompts),
            image_id=sample.image_id,
            split=split,
            index=index,
            question=sample.question,
            subject=sample.subject,
            embed=writing.embed,
            min_pixels=writing.min_pixels,
            max_pixels=writing.max_pixels,
        )
        validate_row(row, str(sample.image))
        yield row


def _is_sayable(question: Sample, prompts: Prompts, problems: Problems) -> bool:
    """Whether the words of a question hold no mark that verl would replace by an image."""
    words = _words(question, prompts)
    marks = [mark for mark in PLACEHOLDERS if mark in words]
    if marks:
        where = f"{question.image} ({question.image_id})"
        problems(ValueError(f"{where}: prompt: expected words without {marks[0]}, got {words!r:.160}"))
    return not marks


def _words(sample: Sample, prompts: Prompts) -> str:
    return prompts.text(sample.question, sample.target, sample.subject) if sample.prompt is None else sample.prompt
