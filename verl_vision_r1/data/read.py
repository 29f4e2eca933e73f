"""Read one dataset with its reader, and check what the reader found."""

from dataclasses import dataclass
from pathlib import Path

from verl_vision_r1.data import consistency, parts
from verl_vision_r1.data.account import Ledger
from verl_vision_r1.data.options import Source
from verl_vision_r1.data.parts import Files
from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.readers import sources
from verl_vision_r1.data.readers.problems import OnProblem, Reading
from verl_vision_r1.data.readers.samples import Sample


@dataclass(frozen=True)
class Dataset:
    """A dataset as its reader found it.

    Attributes:
        source: The options.
        files: Samples by file.
        ledger: What became of its annotations so far.
    """

    source: Source
    files: Files
    ledger: Ledger


def read_dataset(source: Source, problems: OnProblem, images: Path) -> Dataset:
    """Read the splits of a dataset that are asked for.

    Args:
        source: The options.
        problems: Called with the error of each defect.
        images: Folder for images that the dataset embeds in its own files.

    Raises:
        FileNotFoundError: A folder or file does not exist.
        ValueError: The dataset has another format, or its boxes another unit.
    """
    outlines = source.ask == "points"
    reading = Reading(problems, clip=source.clip, crowd_as_box=source.crowd_as_box, outlines=outlines)
    splits = sources.find(source.name, source.source, source.annotations, source.images)
    ledger, files = Ledger(reading), {}
    for file, split in parts.choose(splits, source, reading).items():
        found = progress(splits[split](reading, images), desc=f"{source.name} {split}", unit="sample")
        files[file] = _checked(ledger.numbered(found), source, ledger, images)
    return Dataset(source, files, ledger)


def _checked(samples: list[Sample], source: Source, ledger: Ledger, images: Path) -> list[Sample]:
    if not source.follow_symlinks:
        roots = [*sources.roots(source.name, source.source, source.annotations, source.images), images]
        samples = consistency.without_links(samples, roots, ledger)
    for collection in sorted({sample.collection for sample in samples}):
        part = [sample for sample in samples if sample.collection == collection]
        where = " ".join(filter(None, (source.place, collection)))
        consistency.expect_pixels(part, where)
        consistency.expect_distinct_names(part, where)
    return consistency.without_duplicates(samples, ledger, drop=source.drop_duplicates)
