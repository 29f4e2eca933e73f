"""Lengths of the prompts, measured on some of the run's samples, or their upper bound."""

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

MEASURED: Final = 512
"""Number of samples measured per file."""


@dataclass(frozen=True)
class Lengths:
    """Lengths of the prompts in tokens.

    Attributes:
        samples: Number of training samples; None if a file is not on this machine.
        images: Image tokens of each measured sample; the upper bound for one image if there are no samples.
        prompts: Tokens of each whole prompt; empty if the model's processor is not on this machine.
        basis: What was measured.
    """

    samples: int | None
    images: tuple[int, ...]
    prompts: tuple[int, ...]
    basis: str

    def typical(self, limit: int) -> int:
        """Median length of the prompts within the limit; the limit if no prompt was measured."""
        kept = [length for length in self.prompts if length <= limit]
        return round(statistics.median(kept)) if kept else limit

    def kept(self, limit: int) -> int | None:
        """Number of samples after verl has dropped prompts above the limit, extrapolated from the measured ones."""
        if self.samples is None or not self.prompts:
            return self.samples
        return self.samples * sum(length <= limit for length in self.prompts) // len(self.prompts)


def quantile(lengths: tuple[int, ...], fraction: float) -> int:
    """The length that this fraction of all lengths does not exceed.

    Example:
        >>> quantile((30, 10, 20, 40), 0.5), quantile((30, 10, 20, 40), 1)
        (20, 40)
    """
    return sorted(lengths)[max(round(fraction * len(lengths)) - 1, 0)]


def read_lengths(config: Any, model: Model, prompts: Prompts) -> Lengths:
    """Measure some of the samples that a run trains on.

    Args:
        config: The configuration of the run.
        model: Its model, which determines the number of tokens of an image.
        prompts: The prompt templates.

    Raises:
        ValueError: A file or a sample is invalid.
    """
    files = config.data.train_files
    paths = [Path(name).expanduser() for name in ([files] if isinstance(files, str) else files) if "://" not in name]
    local = [path for path in paths if path.is_file()]
    if not local or len(local) < len(paths):
        bound = MAX_PIXELS // model.side**2
        basis = f"no samples at {files}: an image of {MAX_PIXELS:,} pixels, the default of prepare --max-pixels"
        return Lengths(None, (bound,), (), basis)
    processor = _processor(config.actor_rollout_ref.model)
    bounds = processor_bounds(processor, config.data.mm_processor_kwargs) if processor else None
    options = config.data.get("apply_chat_template_kwargs") or {}
    prompt_length = PromptLength(processor, prompts, bounds, options) if processor else None
    images, lengths = [], []
    for row, width, height in (entry for path in local for entry in _first_rows(path)):
        sizes = [smart_resize(width, height, model.side, *narrowed(image, bounds)) for image in row["images"]]
        images.append(sum(width * height // model.side**2 for width, height in sizes))
        lengths += [prompt_length.count(row, width, height)] if prompt_length else []
    total = sum(count_rows(path) for path in local)
    basis = f"{len(images):,} of {total:,} samples" + ("" if processor else "; images only, no processor found")
    return Lengths(total, tuple(images), tuple(lengths), basis)


def _first_rows(path: Path) -> Iterator[tuple[Mapping[str, Any], int, int]]:
    if path.suffix not in READERS:
        raise ValueError(f"{path}: expected a file name that ends in {' or '.join(READERS)}, got {path.suffix!r}")
    for where, row in islice(READERS[path.suffix](path), MEASURED):
        target = validate_row(row, where)
        yield row, target.width, target.height


def count_rows(path: Path) -> int:
    """Number of samples in a parquet or JSON Lines file."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.ParquetFile(path).metadata.num_rows)
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def _processor(model: Mapping[str, Any]) -> Any:
    """The model's processor, or None if it is neither in a folder nor in the hub's cache."""
    from transformers import AutoProcessor

    name, trust = model.get("tokenizer_path") or model["path"], bool(model.get("trust_remote_code", False))
    try:
        found = AutoProcessor.from_pretrained(name, local_files_only=True, trust_remote_code=trust)
    except (OSError, ValueError):
        return None
    return found if hasattr(found, "image_processor") else None
