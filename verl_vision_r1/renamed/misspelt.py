"""What was meant by an override that misspells a group or a key of this plugin.

Hydra takes `+recipes=NAME` for a new key. Custom presets, recipes and criteria may have any name.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from verl_vision_r1.prompts import QUESTIONS
from verl_vision_r1.targets import TASKS

CONFIG: Final = Path(__file__).parents[1] / "config"
CUTOFF: Final = 0.75
"""Similarity from which a name counts as misspelt."""


class Override(NamedTuple):
    """One word of Hydra's command line.

    Attributes:
        word: As typed.
        added: Whether it begins with `+`.
        key: A key (with dots) or a group (with slashes).
        value: The text after `=`, without quotes.
    """

    word: str
    added: bool
    key: str
    value: str


def read_override(word: str) -> Override:
    """Split a word that has `=`.

    Example:
        >>> read_override("+recipe='vision_r1_cpu'")[1:]
        (True, 'recipe', 'vision_r1_cpu')
    """
    key, _, value = word.lstrip("+~").replace("'", "").replace('"', "").partition("=")
    return Override(word, word.startswith("+"), key, value)


def right_group(override: Override, overrides: Sequence[Override]) -> str:
    """What was expected where a group is misspelt, written with a dot, or added though the run has it; or nothing.

    Args:
        override: One of the overrides.
        overrides: All of the run.
    """
    key, value = override.key, override.value
    if key.isidentifier() and key != "recipe" and _near(key, ["recipe"]):
        return f"expected +recipe={value}, got the unknown key {key}"
    plugin, _, group = key.replace("/", ".").partition(".")
    if plugin != "vision_r1" or "." in group:
        return ""
    if "/" not in key:
        selects = (CONFIG / "vision_r1" / group / f"{value}.yaml").is_file()
        return f"expected vision_r1/{group}={value}, with a slash, as this selects from a group" if selects else ""
    groups = [path.name for path in (CONFIG / "vision_r1").iterdir() if path.is_dir()]
    if group not in groups and (near := _near(group, groups)):
        return f"expected vision_r1/{near}={value}, got the unknown group {group}"
    if override.added and key in _groups_of_the_run(overrides):
        return f"expected {key}={value}, without +, as the recipe has this group"
    return ""


def right_key(override: Override, overrides: Sequence[Override]) -> str:
    """What was expected where a key of `vision_r1` is misspelt; or nothing. Arguments as in `right_group`."""
    parts = override.key.split(".")
    for depth in range(1, len(parts)):
        known, name = _names_below(parts[:depth]), parts[depth]
        near = "" if name in known else _near(name, known)
        if not near or ("criteria" in parts[:depth] and _is_custom(".".join(parts[:6]), overrides)):
            continue
        right = ".".join([*parts[:depth], near, *parts[depth + 1 :]])
        return f"expected {right}={override.value}, got the unknown key {name}"
    return ""


def _near(name: str, known: Sequence[str]) -> str:
    return next(iter(get_close_matches(name, known, n=1, cutoff=CUTOFF)), "")


def _groups_of_the_run(overrides: Sequence[Override]) -> set[str]:
    """The groups that the plugin's recipes among the overrides select."""
    names = [name for override in overrides if override.key == "recipe" for name in re.findall(r"\w+", override.value)]
    groups = {group for name in names for group in _groups_in(CONFIG / "recipe" / f"{name}.yaml")}
    return groups - {"vision_r1/prompt"} if _custom_preset(overrides) else groups  # It has no default template.


def _groups_in(file: Path) -> set[str]:
    """The groups in the list `defaults` of a file, and of the files that this list names."""
    found: set[str] = set()
    for entry in yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", ()) if file.is_file() else ():
        group, name = next(iter(entry.items())) if isinstance(entry, dict) else ("", entry)
        group = group.removeprefix("override ").partition("@")[0]
        place = f"{group}/{name}.yaml" if group else f"{name}.yaml"
        found |= {group.lstrip("/")} - {""}
        found |= _groups_in(CONFIG / place[1:] if place.startswith("/") else file.parent / place)
    return found


def _custom_preset(overrides: Sequence[Override]) -> bool:
    """Whether the run selects a recipe or rewards that are not this plugin's."""
    folders = {"recipe": CONFIG / "recipe", "vision_r1/reward": CONFIG / "vision_r1" / "reward"}
    names = [(folders[o.key], name) for o in overrides if o.key in folders for name in re.findall(r"[^][,]+", o.value)]
    return any(not (folder / f"{name.strip()}.yaml").is_file() for folder, name in names)


def _is_custom(criterion: str, overrides: Sequence[Override]) -> bool:
    """Whether a criterion (its key) may be custom: in a custom preset, or with a custom function."""
    named = any("function" in f"{item.key}={item.value}" for item in overrides if item.key.startswith(criterion))
    return named or _custom_preset(overrides)


def _names_below(path: list[str]) -> Sequence[str]:
    """The names that may follow a beginning of a key; none where any may."""
    match path:
        case ["vision_r1"]:
            return ("frame", "prompt", "reward", "curriculum")
        case ["vision_r1", "prompt"]:
            return tuple(QUESTIONS)
        case ["vision_r1", "curriculum"]:
            return ("stages", "interpolation", "validation")
        case ["vision_r1", "reward"]:
            return ("tasks", "total", "on_error")
        case ["vision_r1", "reward", "tasks"]:
            return TASKS
        case ["vision_r1", "reward", "tasks", _]:
            return ("parser", "matcher", "criteria", "frame")
        case ["vision_r1", "reward", "tasks", _, "criteria"]:
            return _criteria()
        case ["vision_r1", "reward", "tasks", _, "criteria", _]:
            return ("weight", "function")
    return ()


@cache
def _criteria() -> tuple[str, ...]:
    """The names of the criteria in the presets of the plugin."""
    files = (CONFIG / "vision_r1" / "reward").glob("*.yaml")
    presets = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    return tuple({name for preset in presets for task in preset["tasks"].values() for name in task["criteria"]})
