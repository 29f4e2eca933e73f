"""What the readers share about the entries of JSON files: their values, checked, and files of many entries."""

import json
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from verl_vision_r1.data.readers.problems import OnProblem, fail

Entry = dict[str, Any]
Value = TypeVar("Value")

NAMES: Final[dict[Any, str]] = {str: "text", int: "a whole number", list: "a list", dict: "an object"}
"""What messages call the kinds of JSON."""

LARGEST: Final = 1e9
"""Above any pixel. JSON has whole numbers of any length, and a very long one is too large for a float."""


def value_of(entry: Entry, key: str, kind: type[Value], where: str) -> Value:
    """What an entry has under a key.

    Raises:
        ValueError: It is of another kind, or there is nothing.

    Example:
        >>> value_of({"width": "640"}, "width", int, "a.json image 3")
        Traceback (most recent call last):
        ValueError: a.json image 3: expected 'width' to be a whole number, got '640'
    """
    value = entry.get(key)
    # To Python, `true` is a whole number.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(
            f"{where}: expected {key!r} to be {NAMES.get(kind, kind.__name__)}, got {reprlib.repr(value)}"
        )
    return value


def size_of(entry: Entry, where: str) -> tuple[int, int]:
    """Width and height of an image.

    Raises:
        ValueError: One of them is not a whole number above 0, or is above `LARGEST`.
    """
    width, height = value_of(entry, "width", int, where), value_of(entry, "height", int, where)
    if not 1 <= min(width, height) <= max(width, height) <= LARGEST:
        raise ValueError(f"{where}: expected width and height from 1 on, got {reprlib.repr([width, height])}")
    return width, height


def four_numbers(value: object, form: str, where: str) -> list[float]:
    """The numbers of a box.

    Raises:
        ValueError: They are not four, or one is not finite.
    """
    # NaN fails the comparison as well.
    if (
        not isinstance(value, list)
        or len(value) != 4
        or not all(type(number) in (int, float) and abs(number) <= LARGEST for number in value)
    ):
        raise ValueError(f"{where}: expected a box {form} of four numbers, got {reprlib.repr(value)}")
    return [float(number) for number in value]


def corners(value: object, where: str) -> list[float]:
    """The corners of a box of COCO's form.

    Example:
        >>> corners([10, 20, 5, 8.5], "a.json annotation 1")
        [10.0, 20.0, 15.0, 28.5]
    """
    x, y, width, height = four_numbers(value, "[x, y, width, height]", where)
    # Of two decimals the sum has noise in its last bits, which would be written into every row and sent with it.
    return [x, y, round(x + width, 6), round(y + height, 6)]


def words_of(entry: Entry, key: str, where: str) -> str:
    """An expression without the space around it.

    Raises:
        ValueError: It has no words.
    """
    if not (words := value_of(entry, key, str, where).strip()):
        raise ValueError(f"{where}: expected {key!r} to be text, got {entry[key]!r}")
    return words


def json_lines(path: Path, on_problem: OnProblem = fail) -> Iterator[tuple[str, Entry]]:
    """The objects of a file that has one on each line, each with what a message about it begins with.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: No line holds an object; of a single one, `on_problem` is told.
    """
    found = False
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path} line {number}"
            if not line.strip():
                continue
            try:
                entry: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                on_problem(ValueError(f"{where}: expected a JSON object, got {line!r:.80}: {error}"))
                continue
            if isinstance(entry, dict):
                found = True
                yield where, entry
            else:
                on_problem(ValueError(f"{where}: expected a JSON object, got {line!r:.80}"))
    if not found:
        raise ValueError(f"{path}: expected a JSON object on each line, got no such line")


def json_array(path: Path, on_problem: OnProblem = fail) -> Iterator[tuple[str, Entry]]:
    """The objects of a JSON list, one by one, each with what a message about it begins with.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a JSON list, or an empty one; of an entry that is no object, `on_problem` is told.
    """
    found = False
    for number, entry in enumerate(_entries(path)):
        where, found = f"{path} entry {number}", True
        if isinstance(entry, dict):
            yield where, entry
        else:
            on_problem(ValueError(f"{where}: expected a JSON object, got {reprlib.repr(entry)}"))
    if not found:
        raise ValueError(f"{path}: expected a list of objects, got an empty one")


def _entries(path: Path) -> Iterator[Any]:
    # Visual Genome's five million regions as dictionaries would take several GB; so only the text is kept.
    text, decoder, mark = _text(path), json.JSONDecoder(), "["
    index = _expect(text, 0, "[", path)
    if text[index : index + 1] == "]":
        mark, index = "]", _expect(text, index, "]", path)
    while mark != "]":
        try:
            entry, index = decoder.raw_decode(text, index)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: expected a JSON list, got a file that is not JSON: {error}") from error
        yield entry
        index = _after_space(text, index)
        mark = text[index : index + 1]
        index = _expect(text, index, ",]", path)
    if index < len(text):
        raise ValueError(f"{path}: expected one JSON list, got more after it: {text[index : index + 40]!r}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a JSON list, got a file that is not text: {error}") from error


def _after_space(text: str, index: int) -> int:
    while text[index : index + 1] in (" ", "\t", "\n", "\r"):
        index += 1
    return index


def _expect(text: str, index: int, marks: str, path: Path) -> int:
    index = _after_space(text, index)
    if index == len(text) or text[index] not in marks:
        raise ValueError(f"{path}: expected a JSON list with {marks!r} here, got {text[index : index + 40]!r}")
    return _after_space(text, index + 1)
