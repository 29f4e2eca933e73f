"""Misspelt keys of verl: `+` adds any key to its configuration, and verl ignores what it does not read.

Only a key with a near match in its block counts. verl also reads keys that its configuration does not list: fields of
its dataclasses, and names in its code.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any, Final

import yaml
from omegaconf import DictConfig, OmegaConf

PASSED_ON: Final = re.compile(r"override_.*|.*_options|ray_init|runtime_env")
"""Blocks that verl hands to another library, which may know more keys."""
CUTOFF: Final = 0.8
"""Similarity from which a key counts as misspelt."""


def check_known(config: DictConfig) -> None:
    """Refuse a key that verl does not have but that resembles one that it has.

    Args:
        config: The configuration of the run.

    Raises:
        ValueError: The message has the key and the one that was probably meant.
    """
    composed = OmegaConf.to_container(config)
    known = _verls_keys(str(config.model_engine))
    for block, key, names in _added(composed, known, ""):
        near = get_close_matches(key, names, n=1, cutoff=CUTOFF)
        if near and not _is_read(key):
            raise ValueError(f"{block}{key}: expected {block}{near[0]}, without +, got a key that verl does not have")


@cache
def _verls_keys(engine: str) -> Mapping[str, Any]:
    """The configuration of verl without a recipe, which each release has as a file."""
    part = "" if engine == "dp" else f"{engine}_"
    file = resources.files("verl") / "trainer" / "config" / f"_generated_ppo_{part}trainer.yaml"
    if not file.is_file():
        return {}
    content: Mapping[str, Any] = yaml.load(
        file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return content


def _added(composed: Any, known: Mapping[Any, Any], block: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each key that verl's configuration does not have: its block, its name, and the names that the block may have."""
    fields: list[str] | None = None
    for key, value in composed.items():
        if isinstance(known.get(key), Mapping) and isinstance(value, Mapping):
            if not PASSED_ON.fullmatch(key):
                yield from _added(value, known[key], f"{block}{key}.")
        elif key not in known and isinstance(key, str):
            fields = _fields(known.get("_target_")) if fields is None else fields
            if key not in fields:
                yield block, key, [*map(str, known), *fields]


def _fields(target: str | None) -> list[str]:
    """The fields of the dataclass that verl makes of a block."""
    if target is None:
        return []
    from hydra.utils import get_class

    return list(getattr(get_class(target), "__dataclass_fields__", ()))


@cache
def _is_read(key: str) -> bool:
    """Whether verl's code has a name as an attribute or as text."""
    found = re.compile(rf"""["'.]{re.escape(key)}\b""")
    root = resources.files("verl")
    return any(found.search(file.read_text(encoding="utf-8")) for file in root.rglob("*.py"))  # type: ignore[attr-defined]
