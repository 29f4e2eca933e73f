"""Reads JSON and YAML files of any origin: every error is a `ValueError` of one line that names the file.

The functions are safe for files of others: no tags that build objects, no aliases without bound, no pipes.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

MAX_ALIASED: Final = 1_000_000
"""Characters that the aliases of a YAML file may add when they are written out."""
MAX_NUMBER: Final = 1_000
"""Characters of a number in a YAML file."""


def is_regular_file(path: Path) -> bool:
    r"""Whether a path is a regular file; False for a pipe, a device, and for a path that no file can have.

    Example:
        >>> is_regular_file(Path("a\0b")), is_regular_file(Path("a" * 10_000))
        (False, False)
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def expect_regular(path: Path) -> None:
    """Refuse a pipe, a device and a folder, which would block a reader or never end.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is no regular file.
    """
    if not is_regular_file(path):
        if not path.exists():
            raise FileNotFoundError(f"{path}: expected a file, got no such file")
        raise ValueError(f"{path}: expected a regular file, got a folder, a pipe or a device")


def read_text(path: Path, expected: str = "a text file") -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Args:
        path: The file.
        expected: Its format, for messages.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not UTF-8, or no regular file.
    """
    expect_regular(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected {expected} in UTF-8, got other bytes: {error.reason}") from error


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Replace a file in one step: a reader sees the old file or the new one, and a symbolic link is not followed.

    Args:
        path: The file; its folder exists.

    Yields:
        The path to write to, in a temporary folder next to the file.
    """
    with TemporaryDirectory(prefix=".unfinished-", dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        yield unfinished
        os.replace(unfinished, path)


def parse_json(text: str | bytes, where: str) -> Any:
    """Parse a JSON document.

    Args:
        text: The document.
        where: Its file, for messages.

    Raises:
        ValueError: It is not JSON, is nested too deeply, or has a number of thousands of digits.

    Example:
        >>> parse_json("[" * 100_000, "cases.json")
        Traceback (most recent call last):
            ...
        ValueError: cases.json: expected JSON, got a document that is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{where}: expected JSON, got a document that is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{where}: expected JSON, got an error: {_one_line(error)}") from error


def parse_yaml(text: str, where: str) -> Any:
    r"""Parse a YAML document: plain values only, and aliases that add at most `MAX_ALIASED` characters.

    Args:
        text: The document.
        where: Its file, for messages.

    Raises:
        ValueError: It is not valid YAML, or its aliases expand to too much.

    Example:
        >>> parse_yaml("a: &a [1, 2]\nb: *a", "own.yaml")
        {'a': [1, 2], 'b': [1, 2]}
        >>> parse_yaml("a: &a [*a]", "own.yaml")
        Traceback (most recent call last):
            ...
        ValueError: own.yaml: expected YAML, got an alias within its own value
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _expanded(node, {}) > MAX_ALIASED + 2 * len(text):
                raise ValueError(f"aliases that expand to more than {MAX_ALIASED:,} characters")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError as error:
        raise ValueError(f"{where}: expected YAML, got a document that is nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: expected YAML, got an error: {_one_line(error)}") from error
    except (ValueError, OverflowError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{where}: expected YAML, got {_one_line(error)}") from error


def _expanded(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Characters and nodes of a document when every alias is written out. `known` has the size of each node."""
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise ValueError("an alias within its own value")
        return size
    known[id(node)] = None
    if isinstance(node, yaml.MappingNode):
        size = 1 + sum(_expanded(key, known) + _expanded(value, known) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        size = 1 + sum(_expanded(item, known) for item in node.value)
    else:
        size = 1 + len(node.value)
        if size > MAX_NUMBER and node.tag.endswith((":int", ":float")):
            raise ValueError(f"a number of {len(node.value):,} characters")
    known[id(node)] = size
    return size


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
