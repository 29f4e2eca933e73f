"""Checked access to JSON annotations, and readers of JSON, JSON Lines and large JSON lists."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.documents import expect_regular, read_text
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import MAX_SIDE

Entry = dict[str, Any]
Value = TypeVar("Value")

NAMES: Final[dict[Any, str]] = {str: "text", int: "a whole number", list: "a list", dict: "an object"}
"""Names of the JSON types in messages."""

LARGEST: Final = 1e9
"""Larger than any pixel coordinate. JSON integers have any length, and a very long one overflows a float."""

Key = int | str
"""An id: a whole number, or text that is not one."""

WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")


def value_of(entry: Entry, key: str, kind: type[Value], where: str) -> Value:
    """The value of a key.

    Raises:
        ValueError: The value has another type, or the key is missing.

    Example:
        >>> value_of({"width": "640"}, "width", int, "a.json image 3")
        Traceback (most recent call last):
        ValueError: a.json image 3: expected 'width' to be a whole number, got '640'
    """
    value = entry.get(key)
    # In Python, `True` is an int.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{where}: expected {key!r} to be {NAMES.get(kind, kind.__name__)}, got {shown(value)}")
    return value


def expect_object(entry: Any, where: str) -> Entry:
    """The entry, which has to be a JSON object.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object, got {shown(entry)}")
    return entry


def id_of(entry: Entry, key: str, where: str) -> Key:
    """An id. Some tools write numbers as text or as decimals: `7`, `"7"` and `7.0` are one id.

    Raises:
        ValueError: The value is neither a whole number nor text.

    Example:
        >>> [id_of({"id": value}, "id", "a.json image 3") for value in (7, "7", 7.0, "img_7", "07")]
        [7, 7, 7, 'img_7', '07']
    """
    value = entry.get(key)
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    if isinstance(value, str) and (text := value.strip()):
        return int(text) if WHOLE.fullmatch(text) else text
    raise ValueError(f"{where}: expected {key!r} to be a whole number or text, got {shown(value)}")


def size_of(entry: Entry, where: str) -> tuple[int, int]:
    """Width and height of an image in pixels. `640.0` and `"640"` are 640.

    Raises:
        ValueError: One of them is not a whole number from 1 to `MAX_SIDE`.
    """
    width, height = _whole(entry, "width", where), _whole(entry, "height", where)
    if not 1 <= min(width, height) <= max(width, height) <= MAX_SIDE:
        raise ValueError(f"{where}: expected width and height from 1 to {MAX_SIDE}, got {shown([width, height])}")
    return width, height


def _whole(entry: Entry, key: str, where: str) -> int:
    value = entry.get(key)
    if type(value) is float and value.is_integer():
        return int(value)
    if isinstance(value, str) and WHOLE.fullmatch(value.strip()):
        return int(value)
    return value_of(entry, key, int, where)


def four_numbers(value: object, form: str, where: str) -> list[float]:
    """The four numbers of a box.

    Args:
        value: The value to check.
        form: The format for the message, such as "[x1, y1, x2, y2]".
        where: Location for error messages.

    Raises:
        ValueError: The value is not a list of four finite numbers.
    """
    # NaN fails this comparison as well.
    if (
        not isinstance(value, list)
        or len(value) != 4
        or not all(type(number) in (int, float) and abs(number) <= LARGEST for number in value)
    ):
        raise ValueError(f"{where}: expected a box {form} of four numbers, got {shown(value)}")
    return [float(number) for number in value]


def corners(value: object, where: str) -> list[float]:
    """Convert a COCO box `[x, y, width, height]` to `xyxy`, in pixels.

    Raises:
        ValueError: As in `four_numbers`.

    Example:
        >>> corners([10, 20, 5, 8.5], "a.json annotation 1")
        [10.0, 20.0, 15.0, 28.5]
    """
    x, y, width, height = four_numbers(value, "[x, y, width, height]", where)
    # The sum of two decimals has noise in its last bits, which every sample would store and send.
    return [x, y, round(x + width, 6), round(y + height, 6)]


def text_of(entry: Entry, key: str, where: str) -> str:
    """The stripped text of a key.

    Raises:
        ValueError: The value is not text, or is blank.
    """
    if not (text := value_of(entry, key, str, where).strip()):
        raise ValueError(f"{where}: expected {key!r} to be text, got {shown(entry[key])}")
    return text


def is_name(text: str) -> bool:
    """Whether a text can be a label. Labels are compared without `_`, so one of nothing else is blank."""
    return bool(text.replace("_", "").strip())


def load_json(path: Path, expected: str = "JSON", hook: Callable[[Entry], Any] | None = None) -> Any:
    """The contents of a JSON file; `expected` names the format for the message, `hook` converts each object.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not JSON.
    """
    expect_regular(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            return json.load(file, object_hook=hook)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected {expected}, got a file that is not JSON: {error}") from error


def json_lines(path: Path, on_problem: OnProblem = fail) -> Iterator[tuple[str, Entry]]:
    """Read a JSON Lines file. Blank lines are skipped.

    Yields:
        Location for error messages, and object.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: No line is a JSON object. A single invalid line goes to `on_problem`.
    """
    expect_regular(path)
    found = False
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path} line {number}"
            if not line.strip():
                continue
            try:
                entry: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                on_problem(ValueError(f"{where}: expected a JSON object, got {shown(line, 80)}: {error}"))
                continue
            if isinstance(entry, dict):
                found = True
                yield where, entry
            else:
                on_problem(ValueError(f"{where}: expected a JSON object, got {shown(line, 80)}"))
    if not found:
        raise ValueError(f"{path}: expected a JSON object on each line, got no such line")


def json_array(path: Path, on_problem: OnProblem = fail) -> Iterator[tuple[str, Entry]]:
    """Read a JSON list object by object, to save memory.

    Yields:
        Location for error messages, and object.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a JSON list, or the list is empty. An entry that is not an object goes to
            `on_problem`.
    """
    found = False
    for number, entry in enumerate(_entries(path)):
        where, found = f"{path} entry {number}", True
        if isinstance(entry, dict):
            yield where, entry
        else:
            on_problem(ValueError(f"{where}: expected a JSON object, got {shown(entry)}"))
    if not found:
        raise ValueError(f"{path}: expected a list of objects, got an empty one")


def _entries(path: Path) -> Iterator[Any]:
    # Visual Genome's five million regions take several GB as dictionaries; only the text is kept.
    text, decoder, mark = read_text(path, "a JSON list"), json.JSONDecoder(), "["
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


def _after_space(text: str, index: int) -> int:
    while text[index : index + 1] in (" ", "\t", "\n", "\r"):
        index += 1
    return index


def _expect(text: str, index: int, marks: str, path: Path) -> int:
    index = _after_space(text, index)
    if index == len(text) or text[index] not in marks:
        raise ValueError(f"{path}: expected a JSON list with {marks!r} here, got {text[index : index + 40]!r}")
    return _after_space(text, index + 1)
