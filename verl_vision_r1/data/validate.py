"""What is wrong with files of rows, and what is in them: `vision-r1 validate`."""

import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from verl_vision_r1.boxes import area
from verl_vision_r1.data.parquet_checks import READERS, validate_row
from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.prompt_length import PromptLength
from verl_vision_r1.data.readers.image_size import Size, read_size
from verl_vision_r1.targets import Target

SIZES: Final = {"small": 32.0**2, "medium": 96.0**2, "large": np.inf}
"""COCO's kinds of boxes, and the area in pixels that each stays below."""

Files = dict[Path, list[tuple[str, Size]]]
"""The rows about each image file, and the size that they say it has."""


@dataclass
class Report:
    """What `validate` found.

    Attributes:
        rows: Rows by file.
        defects: (kind, where and what) of each defect.
        tasks: Rows by task.
        sources: Rows by data source.
        negatives: Rows whose answer is that there is nothing.
        classes: Boxes, or rows of classification, by label.
        boxes_per_row: Rows by their number of boxes.
        box_sizes: Boxes by size, as COCO divides them.
        image_sizes: Rows by "width x height" of the image.
        prompt_tokens: Rows by length of the prompt in tokens, where a processor was given.
    """

    rows: dict[str, int] = field(default_factory=dict)
    defects: list[tuple[str, str]] = field(default_factory=list)
    tasks: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    negatives: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    boxes_per_row: Counter[int] = field(default_factory=Counter)
    box_sizes: Counter[str] = field(default_factory=Counter)
    image_sizes: Counter[str] = field(default_factory=Counter)
    prompt_tokens: Counter[int] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """All of it for JSON; defects are counted by kind and listed."""
        kinds = Counter(kind for kind, _ in self.defects)
        listed = [{"kind": kind, "message": message} for kind, message in self.defects]
        counters = {
            name: dict(value.most_common()) for name, value in vars(self).items() if isinstance(value, Counter)
        }
        return {"rows": self.rows, "defects": dict(kinds), "negatives": self.negatives, **counters, "listed": listed}


def validate(
    source: Path,
    *,
    image_check: str = "decode",
    lengths: PromptLength | None = None,
    max_prompt_length: int | None = None,
) -> Report:
    """Look at all rows of a folder, and at their images; every defect is kept.

    Args:
        source: A folder of `.parquet` and `.jsonl` files, or one such file.
        image_check: How closely images are looked at, one of `images.CHECKS`.
        lengths: Measures prompts for a model.
        max_prompt_length: Tokens above which a prompt is a defect.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ValueError: It holds no rows at all, or a file cannot be read.
    """
    report = Report()
    files: Files = defaultdict(list)
    for path in files_of_rows(source):
        report.rows[str(path)] = 0
        try:
            for where, row in progress(READERS[path.suffix](path), desc=path.name, unit="row"):
                report.rows[str(path)] += 1
                target = _look_at_row(row, where, report)
                if target is not None:
                    _count(row, target, report)
                    _measure(row, target, where, report, lengths, max_prompt_length)
                    size = (target.width, target.height)
                    for image in row["images"] if image_check != "none" else ():
                        _look_at_image(image, size, where, report, files, image_check == "decode")
        except ValueError as error:
            report.defects.append(("file", str(error)))
    _look_at_files(files, image_check == "decode", report)
    return report


def files_of_rows(source: Path) -> list[Path]:
    """The files of rows in a folder, or the one file.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ValueError: It holds none.
    """
    if source.is_file():
        files = [source] if source.suffix in READERS else []
    else:
        files = sorted(path for path in source.glob("[!.]*") if path.suffix in READERS)
    if not source.exists():
        raise FileNotFoundError(f"{source}: expected a folder of rows, or a file of them, got no such thing")
    if not files:
        raise ValueError(f"{source}: expected files that end in {' or '.join(READERS)}, got none")
    return files


def _look_at_row(row: dict[str, Any], where: str, report: Report) -> Target | None:
    found = list(_box_defects(row, where))
    try:
        target = validate_row(row, where)
    except ValueError as error:
        # What is wrong with boxes and labels is said box by box, not only the first of it.
        report.defects += [pair for pair in found if pair[0] != "duplicate box"] or [("row", str(error))]
        return None
    report.defects += found
    return target


def _box_defects(row: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    try:
        truth = json.loads(row["reward_model"]["ground_truth"])
        boxes = np.array(truth["boxes"], dtype=np.float64).reshape(-1, 4)
        labels, categories = list(truth["labels"]), set(truth.get("categories", []))
        size = np.array([truth["width"], truth["height"]] * 2, dtype=np.float64)
    except (ValueError, TypeError, KeyError, AttributeError):
        return
    with np.errstate(invalid="ignore"):
        sides = boxes[:, 2:] - boxes[:, :2]
        kinds = {
            "box not finite": ~np.isfinite(boxes).all(axis=1),
            "box inverted": (sides < 0).any(axis=1),
            "box without area": (sides == 0).any(axis=1) & (sides >= 0).all(axis=1),
            "box outside the image": (boxes < 0).any(axis=1) | (boxes > size).any(axis=1),
        }
    for kind, wrong in kinds.items():
        for index in np.flatnonzero(wrong):
            yield (
                kind,
                f"{where}: boxes[{index}]: {boxes[index].tolist()} in {truth['width']}x{truth['height']} pixels",
            )
    for index, label in enumerate(labels):
        if categories and label not in categories:
            yield "label not among the categories", f"{where}: labels[{index}]: {label!r}"
    seen: set[Any] = set()
    for index, key in enumerate(zip(map(tuple, boxes.tolist()), map(str, labels), strict=False)):
        if key in seen:
            yield "duplicate box", f"{where}: boxes[{index}]: {list(key[0])} {key[1]!r} is there twice"
        seen.add(key)


def _count(row: Mapping[str, Any], target: Target, report: Report) -> None:
    report.tasks[target.task] += 1
    report.sources[row["data_source"]] += 1
    report.image_sizes[f"{target.width}x{target.height}"] += 1
    report.classes.update(target.labels)
    if target.task == "counting":
        report.negatives += target.instances == 0
    elif target.task != "classification":
        report.negatives += not len(target.boxes)
        report.boxes_per_row[len(target.boxes)] += 1
        edges = np.array(list(SIZES.values()))
        names = list(SIZES)
        report.box_sizes.update(names[index] for index in np.searchsorted(edges, area(target.boxes), side="right"))


def _measure(
    row: dict[str, Any],
    target: Target,
    where: str,
    report: Report,
    lengths: PromptLength | None,
    most: int | None,
) -> None:
    if lengths is None:
        return
    try:
        count = lengths.count(row, target.width, target.height)
    except ValueError as error:
        report.defects.append(("prompt", f"{where}: {error}"))
        return
    report.prompt_tokens[count] += 1
    if most is not None and count > most:
        report.defects.append(("prompt too long", f"{where}: expected at most {most} tokens, got {count}"))


def _look_at_image(
    image: Mapping[str, Any], size: Size, where: str, report: Report, files: Files, decode: bool
) -> None:
    """Look at an image that the row holds itself; a file waits, so that each is looked at once."""
    if "bytes" in image:
        _judge(_read(io.BytesIO(image["bytes"]), decode), [(where, size)], report)
    else:
        files[Path(image["image"])].append((where, size))


def _look_at_files(files: Files, decode: bool, report: Report) -> None:
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda path: _read(path, decode), files)
        for path, result in zip(files, progress(results, total=len(files), desc="images", unit="image"), strict=True):
            _judge(result, files[path], report)


def _judge(result: Size | Exception, rows: list[tuple[str, Size]], report: Report) -> None:
    for where, size in rows:
        if isinstance(result, Exception):
            kind = "image missing" if isinstance(result, FileNotFoundError) else "image undecodable"
            report.defects.append((kind, f"{where}: {result}"))
        elif result != size:
            message = f"expected {size[0]}x{size[1]} pixels, got {result[0]}x{result[1]}"
            report.defects.append(("image size", f"{where}: {message}"))


def _read(held: Path | BinaryIO, decode: bool) -> Size | Exception:
    if isinstance(held, Path) and not held.is_file():
        return FileNotFoundError(f"{held}: expected an image, got no such file")
    try:
        return read_size(held, decode)[0]
    except ValueError as error:
        return error
