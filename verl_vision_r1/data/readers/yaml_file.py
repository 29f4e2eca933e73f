"""YAML files of datasets and mixes."""

from pathlib import Path
from typing import Any

from verl_vision_r1.data.readers.entries import read_text
from verl_vision_r1.documents import parse_yaml


def load_yaml(path: Path) -> Any:
    """The contents of a YAML file: plain values, and a bounded number of aliases.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not YAML.
    """
    text = read_text(path, "YAML")
    try:
        return parse_yaml(text, str(path))
    except (
        AttributeError,
        LookupError,
        TypeError,
    ) as error:  # Such as that of `!!bool x`.
        raise ValueError(f"{path}: expected YAML, got a value of another type than its tag: {error}") from error
