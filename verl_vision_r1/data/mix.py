"""A mix of several datasets, listed in a YAML file.

    parts:
      - {name: coco, source: /data/coco, max_samples: 30000, hard_fraction: 0.5, max_boxes: 30}
      - {name: refcoco, source: /data/refcoco, max_samples: 5000}

The keys are those of `options.Source` and `selection.Selection`. Paths are relative to the folder of the file.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from verl_vision_r1.data.options import Source
from verl_vision_r1.data.selection import Selection
from verl_vision_r1.renamed import OPTIONS, hint

SELECTION_KEYS = {field.name for field in dataclasses.fields(Selection)}
SOURCE_KEYS = {field.name for field in dataclasses.fields(Source)} - {"selection"}


def read_mix(path: Path) -> list[Source]:
    """Read a mix.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file has another format; or a part lacks a key, or has an unknown key or an invalid value.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: expected YAML, got {error}") from error
    parts = document.get("parts") if isinstance(document, Mapping) and set(document) == {"parts"} else None
    if not isinstance(parts, list) or not parts:
        raise ValueError(f"{path}: expected the key parts with a list of datasets, got {document!r:.120}")
    return [_source(part, path, f"{path} parts[{index}]") for index, part in enumerate(parts)]


def _source(part: Any, path: Path, where: str) -> Source:
    if not isinstance(part, Mapping) or not {"name", "source"} <= set(part):
        raise ValueError(f"{where}: expected at least the keys name and source, got {part!r:.120}")
    unknown = set(part) - SOURCE_KEYS - SELECTION_KEYS
    if unknown:
        raise ValueError(
            f"{where}: expected only the keys {sorted(SOURCE_KEYS | SELECTION_KEYS)}, got also {sorted(unknown)}"
            f"{hint(sorted(unknown), {_key(old): _key(new) for old, new in OPTIONS['prepare'].items()})}"
        )
    chosen = {key: value for key, value in part.items() if key in SELECTION_KEYS}
    if "difficulty" in chosen:
        chosen["difficulty"] = path.parent / chosen["difficulty"]
    if "difficulty_range" in chosen:
        chosen["difficulty_range"] = tuple(chosen["difficulty_range"])
    given = {key: value for key, value in part.items() if key in SOURCE_KEYS}
    if "category_list" in given:
        given["category_list"] = path.parent / str(given["category_list"])
    nearby = path.parent / str(given["source"])
    try:
        return Source(
            **{**given, "source": str(nearby) if nearby.exists() else given["source"]}, selection=Selection(**chosen)
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _key(option: str) -> str:
    """The key of a mix for an option of `vision-r1 prepare`."""
    return option.removeprefix("--").replace("-", "_")
