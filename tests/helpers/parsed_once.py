"""OmegaConf, which parses each file and each interpolation only once: most are the same in every composition."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import omegaconf._utils
import omegaconf.base
import yaml

real_load = yaml.load
parsed: dict[str, Any] = {}


@contextmanager
def parsed_once() -> Iterator[None]:
    """Parse trees and the values of files are shared; OmegaConf copies them into its nodes."""
    parse = lru_cache(maxsize=None)(omegaconf.base.parse)
    with (
        patch.object(omegaconf.base, "parse", parse),
        patch.object(omegaconf._utils, "parse", parse),
        patch.object(yaml, "load", load),
    ):
        yield


def load(stream: Any, Loader: Any) -> Any:  # noqa: N803, the name of PyYAML.
    if Loader.__name__ != "OmegaConfLoader" or isinstance(stream, str | bytes):
        return real_load(stream, Loader)
    text = stream.read()
    if text not in parsed:
        parsed[text] = real_load(text, Loader)
    return parsed[text]
