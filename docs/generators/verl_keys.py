"""The keys of verl's configuration that the package sets or reads, from its YAML files and from the code."""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf

from generators import recipes
from generators.annotated_yaml import read_annotated
from generators.architecture import modules

METHODS: Final = ("get", "keys", "items", "values", "pop")
ROOTS: Final = ("config", "run")
"""Names of a variable or an attribute that is verl's configuration."""


@cache
def keys_in_use() -> dict[str, set[str]]:
    """Each key of the trainer's configuration, and the rooms that read it; `config` for those that a recipe sets.

    A key whose parts are in use is left out.
    """
    found: dict[str, set[str]] = {key: {"config"} for key in _set()}
    for module in modules():
        for key in _read(module):
            found.setdefault(key, set()).add(module.partition(".")[0])
    inner = {key.rpartition(".")[0] for key in found}
    return {key: found[key] for key in sorted(found) if not any(f"{other}.".startswith(f"{key}.") for other in inner)}


@cache
def nearest(key: str) -> str:
    """The key, or its nearest parent, that verl's own configuration has, with FSDP or with Megatron.

    Example:
        >>> nearest("actor_rollout_ref.rollout.n"), nearest("algorithm.gdpo_reward_keys")
        ('actor_rollout_ref.rollout.n', 'algorithm')
    """
    names = key.split(".")
    engines = (recipes.composed(), recipes.composed("model_engine=megatron"))
    return max((".".join(names[: _depth(config, names)]) for config in engines), key=len)


def _depth(config: Any, names: Sequence[str]) -> int:
    """How many of the names, one within the other, a configuration has. A value that must be given counts."""
    if not names or not isinstance(config, DictConfig) or names[0] not in config.keys():  # noqa: SIM118, sees `???`
        return 0
    inner = None if OmegaConf.is_missing(config, names[0]) else config[names[0]]
    return 1 + _depth(inner, names[1:])


def _set() -> Iterator[str]:
    """The keys that the recipes for `main_ppo` and the groups set."""
    for path in recipes.CONFIG.parent.rglob("*.yaml"):
        if "sft" not in path.stem:
            yield from (key for key in read_annotated(path).values if _of_verl(key))


def _of_verl(key: str) -> bool:
    return key.partition(".")[0] in recipes.composed()


def _read(module: str) -> Iterator[str]:
    """The keys that a module reads as attributes of a configuration, as `config.trainer.device`."""
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            names = _chain(node)
            place = max((place for place, name in enumerate(names) if name in ROOTS), default=None)
            if place is not None and names[place + 1 :]:
                key = ".".join(name for name in names[place + 1 :] if name not in METHODS)
                yield from [key] if _of_verl(key) else []


def _chain(node: ast.expr) -> list[str]:
    """The names of `a.b.c`; empty where it begins with something else."""
    if isinstance(node, ast.Name):
        return [node.id]
    inner = _chain(node.value) if isinstance(node, ast.Attribute) else []
    return [*inner, node.attr] if inner and isinstance(node, ast.Attribute) else []
