"""From our samples to those of other trainers: `vision-r1 convert`.

Every sample keeps its prompt, its image and its boxes in pixels. The reference answer is our ground truth as JSON:
with `Target.from_json` and `score`, a reward function there is two lines.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from verl_vision_r1.data.parquet_checks import checked_rows
from verl_vision_r1.data.readers.image_size import read_size
from verl_vision_r1.data.validate import sample_files
from verl_vision_r1.documents import replaced
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

Record = dict[str, Any]

BATCH: Final = 64
EASYR1_COLUMNS: Final = pa.schema(
    {
        "images": pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        "problem": pa.string(),
        "answer": pa.string(),
    }
)


def convert(source: Path, to: str, out: Path) -> int:
    """Convert one file of samples.

    Args:
        source: A sample file, or a folder with exactly one.
        to: One of `FORMATS`.
        out: The file to write, JSON Lines (`.jsonl`); for EasyR1 also `.parquet`, which embeds the images.

    Returns:
        The number of samples.

    Raises:
        FileNotFoundError: The source does not exist.
        ValueError: The source has no sample file or several, a sample is invalid, or the extension is another one.
    """
    if to not in FORMATS:
        raise ValueError(f"to: expected one of {', '.join(FORMATS)}, got {to!r}")
    allowed = (".jsonl", ".parquet") if to == "easyr1" else (".jsonl",)
    if out.suffix not in allowed:
        raise ValueError(f"{out}: expected a file that ends in {' or '.join(allowed)}, got {out.suffix!r}")
    files = sample_files(source)
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ValueError(f"{source}: expected one file of samples, got {names}; name one of them")
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    rows = checked_rows(files[0])
    with replaced(out.absolute()) as unfinished:
        if out.suffix == ".parquet":
            return _write_parquet(rows, unfinished)
        with unfinished.open("w", encoding="utf-8") as file:
            count = 0
            for row, target in rows:
                file.write(json.dumps(FORMATS[to](row, target), ensure_ascii=False) + "\n")
                count += 1
            return count


def _write_parquet(rows: Iterator[tuple[dict[str, Any], Target]], out: Path) -> int:
    count = 0
    with pq.ParquetWriter(out, EASYR1_COLUMNS) as writer:
        while batch := [easyr1(row, target, embed=True) for row, target in islice(rows, BATCH)]:
            writer.write_table(pa.Table.from_pylist(batch, schema=EASYR1_COLUMNS))
            count += len(batch)
    return count


def swift(row: Mapping[str, Any], target: Target) -> Record:
    """A sample of ms-swift: messages, and the boxes of its grounding format."""
    if target.task == "pointing":
        raise ValueError(
            f"{row['data_source']}: expected samples with boxes, classes or counts, got points; convert them with"
            " --to easyr1"
        )
    prompt, answer, names = _prompt(row), _answer(target), target.labels[: len(target.boxes)]
    for mark in ("<ref-object>", "<bbox>"):
        if mark in prompt:
            raise ValueError(f"{row['data_source']}: expected a prompt without {mark}, which ms-swift replaces")
    return {
        "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}],
        "images": [_path(row)],
        "objects": {
            "ref": list(names),
            "bbox": target.boxes.tolist(),
            "bbox_type": "real",
        },
        "solution": target.to_json(),
    }


def _answer(target: Target) -> str:
    if target.task == "classification":
        return target.labels[0]
    if target.task == "counting":
        return str(target.count)
    return "[" + ", ".join('{"bbox_2d": <bbox>, "label": "<ref-object>"}' for _ in target.labels) + "]"


def easyr1(row: Mapping[str, Any], target: Target, *, embed: bool = False) -> Record:
    """A sample of EasyR1, with the columns of its default configuration."""
    image: Any = {"bytes": _bytes(row), "path": None} if embed else _path(row)
    return {"images": [image], "problem": _prompt(row), "answer": target.to_json()}


def _prompt(row: Mapping[str, Any]) -> str:
    return "\n".join(message["content"] for message in row["prompt"])


def _only_image(row: Mapping[str, Any]) -> Mapping[str, Any]:
    if len(row["images"]) != 1:
        raise ValueError(f"{row['data_source']}: expected samples about one image, got one about {len(row['images'])}")
    return dict(row["images"][0])


def _path(row: Mapping[str, Any]) -> str:
    image = _only_image(row)
    if "image" not in image:
        raise ValueError(
            f"{row['data_source']}: expected samples that name their images, got embedded ones; EasyR1's .parquet has"
            " room for them, or prepare the samples without --embed"
        )
    return str(image["image"])


def _bytes(row: Mapping[str, Any]) -> bytes:
    image = _only_image(row)
    content = bytes(image["bytes"]) if "bytes" in image else Path(image["image"]).read_bytes()
    try:
        read_size(io.BytesIO(content), decode=False)
    except ValueError as error:
        place = image.get("image", "embedded bytes")
        raise ValueError(f"{row['data_source']}: expected an image, got {shown(place)}, which is none") from error
    return content


FORMATS: Final[dict[str, Callable[[Mapping[str, Any], Target], Record]]] = {"swift": swift, "easyr1": easyr1}
"""Converters by name."""
