"""From datasets to `train.parquet` and `val.parquet`: read, select, ask, verify, write."""

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from verl_vision_r1.data import parts
from verl_vision_r1.data.account import Account, Prepared
from verl_vision_r1.data.build import build, prompt_of
from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.parquet import Row, make_row, validate_row, write_rows
from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.read import read_dataset
from verl_vision_r1.data.readers.problems import Problems
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.prompts import Prompts
from verl_vision_r1.rewards.presets import load_prompts

__all__ = ["Account", "Prepared", "prepare"]

Named = tuple[str, Sample]
"""The name of a dataset, and a sample of it."""


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
    read = [read_dataset(source, problems, out / "images") for source in wanted]
    names = parts.val_images([found.files["all"] for found in read if "all" in found.files], writing)
    read = [replace(found, files=parts.divided(found.files, names, writing)) for found in read]
    made = [build(found, writing, prompts, out / "images" / "upright", problems) for found in read]
    problems.settle(out / "defects.txt", strict=writing.strict)
    files: dict[str, list[Named]] = {}
    for source, (samples_by_file, _) in zip(wanted, made, strict=True):
        for file, samples in samples_by_file.items():
            files.setdefault(file, []).extend((source.alias or source.name, sample) for sample in samples)
    accounts = tuple(account for _, account in made)
    _expect_samples(files, accounts, out)
    if len(wanted) > 1:
        for mixed in files.values():
            random.Random(writing.seed).shuffle(mixed)
    _write(out, files, prompts, writing)
    counts = {file: len(samples) for file, samples in files.items()}
    return Prepared(counts, accounts, len(problems.messages))


def _expect_samples(files: dict[str, list[Named]], accounts: Sequence[Account], out: Path) -> None:
    empty = [f"{file}.parquet" for file, samples in files.items() if not samples]
    if not empty:
        return
    if sum(account.images for account in accounts) == 1 and len(files) > 1:
        advice = "one image cannot be divided into train and val: --val-fraction 1 puts it into val.parquet alone"
    else:
        advice = "change the options that leave samples out, or correct the defects"
    read = "; ".join(account.in_words() for account in accounts)
    raise ValueError(f"{out}: expected at least one sample for {' and '.join(empty)}, got none. {read}; {advice}")


def _write(out: Path, files: dict[str, list[Named]], prompts: Prompts, writing: Writing) -> None:
    out.mkdir(parents=True, exist_ok=True)
    # All files are complete before any of them appears.
    with TemporaryDirectory(dir=out, prefix=".prepare-") as staging:
        for file, samples in files.items():
            rows = _rows(samples, file, prompts, writing)
            shown = progress(rows, total=len(samples), desc=f"{file}.parquet", unit="sample")
            write_rows(Path(staging, f"{file}.parquet"), shown, embedded=writing.embed)
        for file in files:
            os.replace(Path(staging, f"{file}.parquet"), out / f"{file}.parquet")


def _rows(samples: list[Named], split: str, prompts: Prompts, writing: Writing) -> Iterator[Row]:
    for index, (name, sample) in enumerate(samples):
        row = make_row(
            data_source="/".join(filter(None, (name, sample.collection, sample.target.task))),
            image=sample.image,
            target=sample.target,
            prompt=prompt_of(sample, prompts),
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
