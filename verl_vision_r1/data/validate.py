"""Defects and statistics of prepared samples: `vision-r1 validate`."""

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
from verl_vision_r1.data import SFT_PREFIX
from verl_vision_r1.data.consistency import Together
from verl_vision_r1.data.parquet_checks import READERS, validate_row
from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.prompt_length import PromptLength
from verl_vision_r1.data.readers.image_size import Size, read_size
from verl_vision_r1.documents import is_regular_file
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

SIZES: Final = {"small": 32.0**2, "medium": 96.0**2, "large": np.inf}
"""COCO's box sizes, and the upper bound of each in pixels of area."""

Files = dict[Path, list[tuple[str, Size]]]
"""By image file: the location of each sample about it, and the image size in the sample."""


@dataclass
class Report:
    """Result of `validate`.

    Attributes:
        samples: Samples by file.
        defects: (kind, location and message) of each defect.
        tasks: Samples by task.
        sources: Samples by data source.
        negatives: Number of negative samples.
        classes: Boxes, or classification samples, by label.
        boxes_per_sample: Samples by number of boxes.
        box_sizes: Boxes by COCO size.
        image_sizes: Samples by image size, as "640x480".
        prompt_tokens: Samples by prompt length in tokens, if `lengths` is given.
    """

    samples: dict[str, int] = field(default_factory=dict)
    defects: list[tuple[str, str]] = field(default_factory=list)
    tasks: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    negatives: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    boxes_per_sample: Counter[int] = field(default_factory=Counter)
    box_sizes: Counter[str] = field(default_factory=Counter)
    image_sizes: Counter[str] = field(default_factory=Counter)
    prompt_tokens: Counter[int] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON; defects are counted by kind and listed."""
        kinds = Counter(kind for kind, _ in self.defects)
        listed = [{"kind": kind, "message": message} for kind, message in self.defects]
        counters = {
            name: dict(value.most_common()) for name, value in vars(self).items() if isinstance(value, Counter)
        }
        counts = {"samples": self.samples, "defects": dict(kinds), "negatives": self.negatives}
        return {**counts, **counters, "listed": listed}


def validate(
    source: Path,
    *,
    image_check: str = "decode",
    lengths: PromptLength | None = None,
    max_prompt_length: int | None = None,
) -> Report:
    """Check all samples of a folder, and their images; every defect is reported.

    Args:
        source: A folder of `.parquet` and `.jsonl` files, or one such file.
        image_check: How images are verified, one of `images.CHECKS`.
        lengths: Measures prompts in tokens of a model.
        max_prompt_length: Maximum prompt length in tokens; a longer prompt is a defect.

    Raises:
        FileNotFoundError: The folder or file does not exist.
        ValueError: The folder has no such file. A file that cannot be read is a defect instead.
    """
    report = Report()
    files: Files = defaultdict(list)
    for path in sample_files(source):
        report.samples[str(path)], together = 0, Together(path)
        try:
            for where, row in progress(READERS[path.suffix](path), desc=path.name, unit="sample"):
                report.samples[str(path)] += 1
                target = _check_row(row, where, report)
                if target is not None:
                    together.add(row, target)
                    _count(row, target, report)
                    _measure(row, target, where, report, lengths, max_prompt_length)
                    size = (target.width, target.height)
                    for image in row["images"] if image_check != "none" else ():
                        _check_image(image, size, where, report, files, image_check == "decode")
            if not report.samples[str(path)]:
                raise ValueError(f"{path}: expected at least one sample, got none")
        except (ValueError, OSError) as error:
            report.defects.append(("file", str(error)))
        report.defects += together.defects()
    _check_files(files, image_check == "decode", report)
    return report


def sample_files(source: Path) -> list[Path]:
    """The sample files in a folder, without those for supervised training, or the one file.

    Raises:
        FileNotFoundError: The folder or file does not exist.
        ValueError: It contains no samples.
    """
    expected = f"{source}: expected files that end in {' or '.join(READERS)}"
    if is_regular_file(source):
        if source.suffix not in READERS:
            raise ValueError(f"{expected}, got one that ends in {source.suffix!r}")
        return [source]
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: expected a folder of samples, or one sample file, got no such path")
    found = (path for path in source.glob("[!.]*") if path.suffix in READERS and is_regular_file(path))
    files = sorted(path for path in found if not path.name.startswith(SFT_PREFIX))
    if not files:
        raise ValueError(f"{expected}, got none")
    return files


def _check_row(row: dict[str, Any], where: str, report: Report) -> Target | None:
    found = list(_box_defects(row, where))
    try:
        target = validate_row(row, where)
    except ValueError as error:
        # The message has only the first defect of the boxes and labels; these are all of them.
        report.defects += [defect for defect in found if defect[0] != "duplicate box"] or [("sample", str(error))]
        return None
    report.defects += found
    return target


def _box_defects(row: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    try:
        ground_truth = json.loads(row["reward_model"]["ground_truth"])
        boxes = np.array(ground_truth["boxes"], dtype=np.float64).reshape(-1, 4)
        labels, categories = list(map(str, ground_truth["labels"])), set(ground_truth.get("categories", []))
        width, height = int(ground_truth["width"]), int(ground_truth["height"])
        size = np.array([width, height] * 2, dtype=np.float64)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return  # `validate_row` names what is wrong.
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
            yield kind, f"{where}: boxes[{index}]: {boxes[index].tolist()} in {width}x{height} pixels"
    for index, label in enumerate(labels):
        if categories and label not in categories:
            yield "label not among the categories", f"{where}: labels[{index}]: {shown(label)}"
    seen: set[Any] = set()
    for index, key in enumerate(zip(map(tuple, boxes.tolist()), labels, strict=False)):
        if key in seen:
            yield "duplicate box", f"{where}: boxes[{index}]: {list(key[0])} {shown(key[1])} appears twice"
        seen.add(key)


def _count(row: Mapping[str, Any], target: Target, report: Report) -> None:
    report.tasks[target.task] += 1
    report.sources[row["data_source"]] += 1
    report.image_sizes[f"{target.width}x{target.height}"] += 1
    report.classes.update(target.labels)
    report.negatives += target.task != "classification" and not target.instances
    if target.task not in ("counting", "classification"):
        report.boxes_per_sample[len(target.boxes)] += 1
        edges = np.array(list(SIZES.values()))
        names = list(SIZES)
        report.box_sizes.update(names[index] for index in np.searchsorted(edges, area(target.boxes), side="right"))


def _measure(
    row: dict[str, Any],
    target: Target,
    where: str,
    report: Report,
    lengths: PromptLength | None,
    limit: int | None,
) -> None:
    if lengths is None:
        return
    try:
        count = lengths.count(row, target.width, target.height)
    except ValueError as error:
        report.defects.append(("prompt", f"{where}: {error}"))
        return
    report.prompt_tokens[count] += 1
    if limit is not None and count > limit:
        report.defects.append(("prompt too long", f"{where}: expected at most {limit} tokens, got {count}"))


def _check_image(image: Mapping[str, Any], size: Size, where: str, report: Report, files: Files, decode: bool) -> None:
    """Check an embedded image. An image file is only noted in `files`, so that each is opened once."""
    if "bytes" in image:
        _compare(_read(io.BytesIO(image["bytes"]), decode), [(where, size)], report)
    else:
        files[Path(image["image"])].append((where, size))


def _check_files(files: Files, decode: bool, report: Report) -> None:
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda path: _read(path, decode), files)
        for path, result in zip(files, progress(results, total=len(files), desc="images", unit="image"), strict=True):
            _compare(result, files[path], report)


def _compare(result: Size | Exception, rows: list[tuple[str, Size]], report: Report) -> None:
    for where, size in rows:
        if isinstance(result, Exception):
            kind = "image missing" if isinstance(result, FileNotFoundError) else "image undecodable"
            report.defects.append((kind, f"{where}: {result}"))
        elif result != size:
            message = f"expected {size[0]}x{size[1]} pixels, got {result[0]}x{result[1]}"
            report.defects.append(("image size", f"{where}: {message}"))


def _read(image: Path | BinaryIO, decode: bool) -> Size | Exception:
    if isinstance(image, Path) and not is_regular_file(image):
        return FileNotFoundError(f"{image}: expected an image, got no such file")
    try:
        return read_size(image, decode)[0]
    except ValueError as error:
        return error
