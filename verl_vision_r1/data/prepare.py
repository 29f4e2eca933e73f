"""From datasets to `train.parquet` and `val.parquet`: read, select, ask, verify, write."""

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
from verl_vision_r1.data.readers.samples import Sample, Splits
from verl_vision_r1.data.selection import select
from verl_vision_r1.prompts import PLACEHOLDERS, Prompts
from verl_vision_r1.rewards.presets import load_prompts

Files = dict[str, list[Sample]]
"""Samples by file: "train", "val", or the requested split. "all" is not divided yet."""


@dataclass(frozen=True)
class Account:
    """Summary of one dataset.

    Attributes:
        source: Its name and location.
        images: Number of images in the dataset.
        rows: Samples by file.
        boxes: Boxes in these samples.
        negatives: Negative samples among them.
        left_out: Images and samples left out, by reason.
    """

    source: str
    images: int
    rows: dict[str, int]
    boxes: int
    negatives: int
    left_out: dict[str, int]


@dataclass(frozen=True)
class Prepared:
    """Result of `prepare`.

    Attributes:
        rows: Samples by file.
        accounts: A summary of each dataset.
        defects: Number of defective boxes and images that were skipped.
    """

    rows: dict[str, int]
    accounts: tuple[Account, ...]
    defects: int

    @property
    def boxes(self) -> int:
        """Number of boxes in all files."""
        return sum(account.boxes for account in self.accounts)


def prepare(wanted: Sequence[Source], out: Path, writing: Writing | None = None) -> Prepared:
    """Convert datasets to parquet files. Nothing is written until everything is verified.

    Args:
        wanted: The datasets. Samples of several datasets are shuffled together.
        out: Folder for the files; existing ones are replaced. Defects are listed in its `defects.txt`.
        writing: How samples are written.

    Raises:
        FileNotFoundError: A folder or file does not exist.
        ValueError: An option, an annotation or an image is invalid, or a file would have no samples.
    """
    writing, out, problems = writing or Writing(), Path(out).absolute(), Problems()
    prompts = load_prompts(writing.prompt)
    read = [_read(source, problems, out / "images") for source in wanted]
    val_images = _val_images([files["all"] for files in read if "all" in files], writing)
    made = [
        _make_samples(source, _divided(files, val_images, writing), writing, prompts, out / "images", problems)
        for source, files in zip(wanted, read, strict=True)
    ]
    problems.settle(out / "defects.txt", strict=writing.strict)
    files: dict[str, list[tuple[str, Sample]]] = {}
    for source, (samples_by_file, _) in zip(wanted, made, strict=True):
        for file, samples in samples_by_file.items():
            files.setdefault(file, []).extend((source.alias or source.name, sample) for sample in samples)
    accounts = tuple(account for _, account in made)
    empty = [file for file, samples in files.items() if not samples]
    if empty or not files:
        raise ValueError(f"{out}: expected at least one sample for {', '.join(empty) or 'a file'}, got {accounts}")
    if len(wanted) > 1:
        for mixed in files.values():
            random.Random(writing.seed).shuffle(mixed)
    _write(out, files, prompts, writing)
    rows = {file: len(samples) for file, samples in files.items()}
    return Prepared(rows, accounts, len(problems.messages))


def _make_samples(
    source: Source, read: Files, writing: Writing, prompts: Prompts, images: Path, problems: Problems
) -> tuple[Files, Account]:
    """The questions of one dataset by file, with verified prompts and images."""
    left_out = Counter[str]()
    files: Files = {}
    for file, samples in read.items():
        questions = _questions(source, samples, writing.seed, left_out)
        # Limited before the images are verified, which takes the longest.
        limit = source.max_samples if source.max_samples is not None and file != "val" else len(questions)
        left_out["over max_samples"] += max(len(questions) - limit, 0)
        valid = [question for question in questions[:limit] if _is_valid_prompt(question, prompts, problems)]
        files[file] = check_images(valid, images / "upright", problems, writing.image_check)
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
    splits = sources.find_splits(source.name, source.source)
    return {
        file: list(progress(splits[split](problems, images), desc=f"{source.name} {split}", unit="sample"))
        for file, split in _choose(splits, source).items()
    }


def _choose(splits: Splits, source: Source) -> dict[str, str]:
    """The split that each file is made from."""
    if source.split is not None:
        if source.split not in splits:
            raise ValueError(f"split: expected one of {', '.join(splits)} of {source.source}, got {source.split!r}")
        return {source.split: source.split}
    if {"train", "val"} <= set(splits):
        return {"train": "train", "val": "val"}
    return {"all": "train" if "train" in splits else next(iter(splits))}


def _val_images(undivided: list[list[Sample]], writing: Writing) -> set[str]:
    """Names of the validation images of all datasets without a validation split.

    One set for all of them: an image that several datasets share is never in both train and val.
    """
    names = sorted({sample.image.name for samples in undivided for sample in samples})
    random.Random(writing.seed).shuffle(names)
    return set(names[: max(1, round(writing.val_fraction * len(names)))])


def _divided(files: Files, val_images: set[str], writing: Writing) -> Files:
    if "all" not in files:
        return files
    if writing.val_fraction == 1:
        return {"val": files["all"]}
    divided: Files = {"train": [], "val": []}
    for sample in files["all"]:
        divided["val" if sample.image.name in val_images else "train"].append(sample)
    return divided


def _questions(source: Source, samples: list[Sample], seed: int, left_out: Counter[str]) -> list[Sample]:
    if source.category_list is not None:
        questions = ask_existing(samples, source.category_list)
        asked = {question.image_id for question in questions}
        left_out["not in the category list"] += sum(sample.image_id not in asked for sample in samples)
    else:
        questions = _selected_questions(source, samples, seed, left_out)
    random.Random(seed).shuffle(questions)
    return questions


def _selected_questions(source: Source, samples: list[Sample], seed: int, left_out: Counter[str]) -> list[Sample]:
    if source.keep_empty:
        samples, empty = [replace(sample, uncertain=frozenset()) for sample in samples], []
    else:
        empty = [sample for sample in samples if _is_empty(sample)]
        samples = [sample for sample in samples if not _is_empty(sample)]
    selected, reasons = select(samples, source.selection, seed)
    left_out.update(reasons)
    questions = ask(selected, source.ask)
    added = negatives(selected + empty, source.ask, round(source.negatives * len(questions)), random.Random(seed))
    left_out["no boxes"] += len(empty) - sum(question.question == "categories" for question in added)
    return questions + added


def _is_empty(sample: Sample) -> bool:
    return sample.question == "categories" and not len(sample.target.boxes)


def _is_negative(sample: Sample) -> bool:
    return sample.target.task != "classification" and not sample.target.instances


def _write(out: Path, files: dict[str, list[tuple[str, Sample]]], prompts: Prompts, writing: Writing) -> None:
    out.mkdir(parents=True, exist_ok=True)
    # All files are complete before any of them appears.
    with TemporaryDirectory(dir=out, prefix=".prepare-") as staging:
        for file, samples in files.items():
            rows = _rows(samples, file, prompts, writing)
            shown = progress(rows, total=len(samples), desc=f"{file}.parquet", unit="sample")
            write_rows(Path(staging, f"{file}.parquet"), shown, embedded=writing.embed)
        for file in files:
            os.replace(Path(staging, f"{file}.parquet"), out / f"{file}.parquet")


def _rows(samples: list[tuple[str, Sample]], split: str, prompts: Prompts, writing: Writing) -> Iterator[Row]:
    for index, (name, sample) in enumerate(samples):
        row = make_row(
            data_source="/".join(filter(None, (name, sample.collection, sample.target.task))),
            image=sample.image,
            target=sample.target,
            prompt=_prompt(sample, prompts),
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


def _is_valid_prompt(question: Sample, prompts: Prompts, problems: Problems) -> bool:
    """Whether a prompt contains no placeholder that verl would replace with an image."""
    prompt = _prompt(question, prompts)
    found = [placeholder for placeholder in PLACEHOLDERS if placeholder in prompt]
    if found:
        where = f"{question.image} ({question.image_id})"
        problems(ValueError(f"{where}: prompt: expected text without {found[0]}, got {prompt!r:.160}"))
    return not found


def _prompt(sample: Sample, prompts: Prompts) -> str:
    return prompts.text(sample.question, sample.target, sample.subject) if sample.prompt is None else sample.prompt
