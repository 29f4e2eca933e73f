"""How long prompts are: of a sample of the run's own rows, or at most."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.data import MAX_PIXELS
from verl_vision_r1.data.parquet_checks import READERS, validate_row
from verl_vision_r1.data.prompt_length import PromptLength, narrowed, processor_bounds
from verl_vision_r1.frames import smart_resize
from verl_vision_r1.preflight.estimate.model import Model
from verl_vision_r1.prompts import Prompts

SAMPLE: Final = 512
"""Rows of each file that are measured."""


@dataclass(frozen=True)
class Lengths:
    """What is known of the prompts.

    Attributes:
        rows: Rows of all files; None where there are none on this machine.
        images: Tokens of the images of each row that was looked at; of one image at most where there are none.
        prompts: Tokens of each whole prompt; empty where no tokenizer is at hand.
        basis: What was looked at.
    """

    rows: int | None
    images: tuple[int, ...]
    prompts: tuple[int, ...]
    basis: str

    def typical(self, limit: int) -> int:
        """Tokens of the median prompt that is kept; the limit where no prompt was measured."""
        kept = [length for length in self.prompts if length <= limit]
        return round(statistics.median(kept)) if kept else limit

    def kept(self, limit: int) -> int | None:
        """Rows that are left once verl has taken out the prompts above the limit, by the share of the sample."""
        if self.rows is None or not self.prompts:
            return self.rows
        return self.rows * sum(length <= limit for length in self.prompts) // len(self.prompts)


def at_share(lengths: tuple[int, ...], share: float) -> int:
    """The length that this share of all does not exceed.

    Example:
        >>> at_share((30, 10, 20, 40), 0.5), at_share((30, 10, 20, 40), 1)
        (20, 40)
    """
    return sorted(lengths)[max(round(share * len(lengths)) - 1, 0)]


def read_lengths(config: Any, model: Model, prompts: Prompts) -> Lengths:
    """Measure a sample of the rows that a run trains on.

    Args:
        config: The configuration of the run.
        model: Its model, which says how an image becomes tokens.
        prompts: The words of the questions.

    Raises:
        ValueError: A file or a row is not as expected.
    """
    files = config.data.train_files
    paths = [Path(name).expanduser() for name in ([files] if isinstance(files, str) else files) if "://" not in name]
    here = [path for path in paths if path.is_file()]
    if not here or len(here) < len(paths):
        most = MAX_PIXELS // model.side**2
        return Lengths(None, (most,), (), f"no rows at {files}: an image of prepare's --max-pixels {MAX_PIXELS:,}")
    processor = _processor(config.actor_rollout_ref.model)
    bounds = processor_bounds(processor, config.data.mm_processor_kwargs) if processor else None
    options = config.data.get("apply_chat_template_kwargs") or {}
    ruler = PromptLength(processor, prompts, bounds, options) if processor else None
    images, lengths = [], []
    for row, width, height in (entry for path in here for entry in _sample(path)):
        sizes = [smart_resize(width, height, model.side, *narrowed(image, bounds)) for image in row["images"]]
        images.append(sum(width * height // model.side**2 for width, height in sizes))
        lengths += [ruler.count(row, width, height)] if ruler else []
    total = sum(count_rows(path) for path in here)
    basis = f"{len(images):,} of {total:,} rows" + ("" if ruler else "; no processor at hand, so images alone")
    return Lengths(total, tuple(images), tuple(lengths), basis)


def _sample(path: Path) -> Iterator[tuple[Mapping[str, Any], int, int]]:
    if path.suffix not in READERS:
        raise ValueError(f"{path}: expected a file that ends in {' or '.join(READERS)}, got {path.suffix!r}")
    for where, row in islice(READERS[path.suffix](path), SAMPLE):
        target = validate_row(row, where)
        yield row, target.width, target.height


def count_rows(path: Path) -> int:
    """Rows of a file of rows."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.ParquetFile(path).metadata.num_rows)
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def _processor(wanted: Mapping[str, Any]) -> Any:
    """The model's processor, or None where it is neither in a folder nor in the hub's cache."""
    from transformers import AutoProcessor

    name = wanted.get("tokenizer_path") or wanted["path"]
    try:
        found = AutoProcessor.from_pretrained(
            name, local_files_only=True, trust_remote_code=bool(wanted.get("trust_remote_code", False))
        )
    except (OSError, ValueError):
        return None
    return found if hasattr(found, "image_processor") else None
