"""YAML files with the comments that describe each key."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

KEY: Final = re.compile(r"^( *)(- )?(?:override )?(/?[\w/@.]+):(?: (.*))?$")
BLOCK_SCALARS: Final = ("|", "|-", ">", ">-")


@dataclass(frozen=True)
class AnnotatedYaml:
    """A YAML file.

    Attributes:
        header: The comment that the file begins with.
        values: Every value by its dotted key, the list of defaults left out.
        comments: The comment behind or above a key. An entry of the defaults is named by its group.
    """

    header: str
    values: dict[str, Any]
    comments: dict[str, str]


def read_annotated(path: Path) -> AnnotatedYaml:
    """Read a file in the form of this package's: comments end a line or stand right above a key, on its column."""
    text = path.read_text(encoding="utf-8")
    document = yaml.safe_load(text) or {}
    document.pop("defaults", None)
    return AnnotatedYaml(_header(text), flattened(document), _comments(text))


def flattened(document: Any, prefix: str = "") -> dict[str, Any]:
    """Every value of a document by its dotted key; an entry of a list of mappings is `[]`.

    Example:
        >>> flattened({"a": {"b": 1}, "c": [{"d": 2}, {"d": 3}], "e": [4]})
        {'a.b': 1, 'c[].d': 2, 'e': [4]}
    """
    if isinstance(document, list) and document and isinstance(document[0], dict):
        pairs = [pair for item in reversed(document) for pair in flattened(item).items()]
        return {f"{prefix}[].{key}": value for key, value in pairs}
    if not isinstance(document, dict) or not document:
        return {prefix: document} if prefix else {}
    found: dict[str, Any] = {}
    for key, value in document.items():
        found |= flattened(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def _header(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def _comments(document: str) -> dict[str, str]:
    comments: dict[str, str] = {}
    above: list[str] = []
    stack: list[tuple[int, str]] = []
    scalar = -1
    for line in document.splitlines()[_header_lines(document) :]:
        indent = len(line) - len(line.lstrip())
        if scalar >= 0 and (not line.strip() or indent > scalar):
            continue
        scalar = -1
        if line.lstrip().startswith("#"):
            above.append(line.strip().removeprefix("#").strip())
            continue
        body, _, behind = line.partition("  # ")
        if found := KEY.match(body.rstrip()):
            path = _path(stack, len(found[1]), bool(found[2]), found[3])
            if text := behind.strip() or " ".join(above):
                comments[path] = text
            scalar = indent if found[4] in BLOCK_SCALARS else -1
        above = []
    return comments


def _path(stack: list[tuple[int, str]], indent: int, item: bool, key: str) -> str:
    """The dotted key of a line, by the keys that it stands under."""
    while stack and stack[-1][0] >= indent:
        stack.pop()
    if key.startswith("/"):  # An entry of the defaults.
        return key[1:]
    if item:
        stack.append((indent, "[]"))
        indent += 2
    stack.append((indent, key))
    return ".".join(name for _, name in stack).replace(".[]", "[]")


def _header_lines(text: str) -> int:
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
