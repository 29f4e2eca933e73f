"""A mix of several datasets, listed in a YAML file.

    parts:
      - {name: coco, source: /data/coco, max_samples: 30000, hard_fraction: 0.5, max_boxes: 30}
      - {name: refcoco, source: /data/refcoco, max_samples: 5000}

The keys are those of `options.Source` and `selection.Selection`. Paths are relative to the folder of the file.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

from verl_vision_r1.data.options import Source
from verl_vision_r1.data.selection import Selection
from verl_vision_r1.documents import parse_yaml, read_text
from verl_vision_r1.renamed import OPTIONS, hint
from verl_vision_r1.shown import shown

SELECTION_KEYS: Final = {field.name: field.type for field in dataclasses.fields(Selection)}
SOURCE_KEYS: Final = {field.name: field.type for field in dataclasses.fields(Source) if field.name != "selection"}
"""The keys of a part, each with its type."""


def read_mix(path: Path) -> list[Source]:
    """Read a mix.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file has another format; or a part lacks a key, or has an unknown key or an invalid value.
    """
    document = parse_yaml(read_text(path), str(path))
    parts = document.get("parts") if isinstance(document, Mapping) and set(document) == {"parts"} else None
    if not isinstance(parts, list) or not parts:
        raise ValueError(f"{path}: expected the key parts with a list of datasets, got {shown(document)}")
    return [_source(part, path, f"{path} parts[{index}]") for index, part in enumerate(parts)]


def _source(part: Any, path: Path, where: str) -> Source:
    known = {**SELECTION_KEYS, **SOURCE_KEYS}
    if not isinstance(part, Mapping) or "name" not in part or not {"source", "annotations"} & set(part):
        raise ValueError(f"{where}: expected at least the keys name and source, got {shown(part)}")
    if unknown := sorted(map(str, set(part) - known.keys())):
        raise ValueError(
            f"{where}: expected only the keys {sorted(known)}, got also {shown(unknown)}"
            f"{hint(unknown, {_key(old): _key(new) for old, new in OPTIONS['prepare'].items()})}"
        )
    given = {key: _value(part[key], known[key], path.parent, f"{where}: {key}") for key in part}
    nearby = path.parent / given.get("source", "")
    if "source" in given and nearby.exists():
        given["source"] = str(nearby)
    try:
        chosen = Selection(**{key: given.pop(key) for key in SELECTION_KEYS.keys() & given})
        return Source(**given, selection=chosen)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _value(value: Any, kind: Any, folder: Path, where: str) -> Any:
    """A value of the type of its option. Paths are relative to the folder."""
    if kind == (Path | None):
        if isinstance(value, str):
            return folder / value
    elif kind == tuple[float, float]:
        if isinstance(value, list) and len(value) == 2 and all(type(side) in (int, float) for side in value):
            return tuple(value)
    else:
        allowed = get_args(kind) or (kind,)
        if type(value) in allowed or (float in allowed and type(value) is int):
            return value
    name = getattr(kind, "__name__", str(kind)).replace("pathlib.", "")
    raise ValueError(f"{where}: expected {name}, got {shown(value)}")


def _key(option: str) -> str:
    """The key of a mix for an option of `vision-r1 prepare`."""
    return option.removeprefix("--").replace("-", "_")
