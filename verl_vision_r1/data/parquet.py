"""The samples that verl reads: the columns of a parquet file. `parquet_checks` validates them.

A sample stores the path of its image, and only verl's workers decode it. `min_pixels` and `max_pixels` bound the
resize by `qwen_vl_utils` there, so that the resize by the model's processor afterwards changes nothing.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS
from verl_vision_r1.data.parquet_checks import check_rows, validate_row
from verl_vision_r1.documents import replaced
from verl_vision_r1.targets import Target

__all__ = ["Row", "check_rows", "make_row", "schema", "validate_row", "write_rows"]

BATCH = 256
"""Rows per write, and per read later; larger batches only need more memory."""


def schema(embedded: bool = False) -> pa.Schema:
    """The columns of a file; with `embedded`, it stores image bytes instead of paths."""
    image = {"bytes": pa.binary()} if embedded else {"image": pa.string()}
    extra = {"split": pa.string(), "index": pa.int64(), "image_id": pa.string()}
    return pa.schema(
        {
            "data_source": pa.string(),
            "prompt": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
            "images": pa.list_(pa.struct({**image, "min_pixels": pa.int64(), "max_pixels": pa.int64()})),
            "ability": pa.string(),
            "reward_model": pa.struct({"style": pa.string(), "ground_truth": pa.string()}),
            "extra_info": pa.struct({**extra, "question": pa.string(), "subject": pa.string()}),
        }
    )


class Row(TypedDict):
    """One sample, a row of a parquet file; `schema` has the inner types."""

    data_source: str
    prompt: list[dict[str, str]]
    images: list[dict[str, Any]]
    ability: str
    reward_model: dict[str, str]
    extra_info: dict[str, Any]


def make_row(
    *,
    data_source: str,
    image: Path,
    target: Target,
    prompt: str,
    image_id: str,
    split: str,
    index: int,
    question: str = "own",
    subject: str = "",
    embed: bool = False,
    min_pixels: int = MIN_PIXELS,
    max_pixels: int = MAX_PIXELS,
) -> Row:
    """Make one sample.

    Args:
        data_source: Dataset and task, such as "coco/detection".
        image: Path of the image; a relative path starts at the working directory.
        target: Ground truth, in original-image pixels.
        prompt: The prompt, without `<image>`.
        image_id: Identifies the image in an evaluation.
        split: "train" or "val".
        index: Index of the row in its file, from 0.
        question: One of `prompts.QUESTIONS`. The run's prompt template for it replaces the prompt during training;
            "own" keeps the prompt.
        subject: What the question is about.
        embed: Whether to store the image bytes instead of the path.
        min_pixels: Minimum image area after the resize, in pixels.
        max_pixels: Maximum image area after the resize, in pixels.

    Example:
        >>> target = Target([[1, 2, 3, 4]], ["cat"], width=8, height=6)
        >>> row = make_row(data_source="pets/detection", image=Path("/pets/1.jpg"), target=target, prompt="Find cats.",
        ...                image_id="1", split="train", index=0)
        >>> row["prompt"], row["extra_info"]["image_id"]
        ([{'role': 'user', 'content': '<image>Find cats.'}], '1')
    """
    content = {"bytes": image.read_bytes()} if embed else {"image": str(image.absolute())}
    return {
        "data_source": data_source,
        "prompt": [{"role": "user", "content": "<image>" + prompt}],
        "images": [{**content, "min_pixels": min_pixels, "max_pixels": max_pixels}],
        "ability": target.task,
        "reward_model": {"style": "rule", "ground_truth": target.to_json()},
        "extra_info": {
            **{"split": split, "index": index, "image_id": image_id},
            **{"question": question, "subject": subject},
        },
    }


def write_rows(path: Path, rows: Iterable[Row], *, embedded: bool = False) -> int:
    """Write samples to a parquet file, all of them or none.

    Args:
        path: The file.
        rows: The samples.
        embedded: Whether they contain image bytes.

    Returns:
        The number of samples.

    Raises:
        ValueError: There are no samples.
    """
    remaining, count, columns = iter(rows), 0, schema(embedded)
    with replaced(path) as unfinished:
        with pq.ParquetWriter(unfinished, columns) as writer:
            while batch := list(islice(remaining, BATCH)):
                writer.write_table(pa.Table.from_pylist(batch, schema=columns))
                count += len(batch)
        if not count:
            raise ValueError(f"{path}: expected at least one sample to write, got none")
    return count
