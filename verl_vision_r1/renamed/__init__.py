"""Old names and misspelt overrides: whoever types one is told the right one. Remove the old names in version 0.3."""

from collections.abc import Iterable, Mapping
from typing import Final

from verl_vision_r1.renamed.misspelt import Override, read_override, right_group, right_key

CHOICES: Final = {
    "vision_r1/curriculum=off": "vision_r1/curriculum=none",
    "vision_r1/curriculum=never": "vision_r1/curriculum=beginner_only",
    "vision_r1/prompt=as_prepared": "vision_r1/prompt=none",
    "vision_r1/freeze=nothing": "vision_r1/freeze=none",
}
"""Choices of Hydra groups."""

KEYS: Final = {
    "answer": "parser",
    "match": "matcher",
}
"""Keys of a task under `vision_r1.reward.tasks`."""

OPTIONS: Final = {
    "prepare": {
        "--validation-share": "--val-fraction",
        "--hard-share": "--hard-fraction",
        "--rows": "--max-samples",
        "--limit": "--max-images",
        "--whole": "--keep-empty",
        "--existence": "--category-list",
    },
    "validate": {"--images": "--image-check"},
    "evaluate": {
        "--existence": "--category-list",
        "--orders": "--permutations",
        "--resamples": "--bootstrap",
    },
}
"""Options of `vision-r1` by command."""


def check_overrides(words: Iterable[str]) -> None:
    """Refuse Hydra overrides that use an old name, or misspell a group or a key of this plugin.

    Hydra takes some of them for new keys, and its own messages do not have the right name.

    Args:
        words: The words of a command line; those that are no override are passed over.

    Raises:
        ValueError: It names the right override.
    """
    overrides = [read_override(word) for word in words if "=" in word and not word.startswith("-")]
    for override in overrides:
        expected = _renamed(override) or right_group(override, overrides) or right_key(override, overrides)
        if expected:
            raise ValueError(f"{override.word}: {expected}")


def hint(unknown: Iterable[str], renamed: Mapping[str, str]) -> str:
    """The end of a message about unknown keys: their new names, where they have one.

    Example:
        >>> hint(["answer", "speed"], KEYS)
        '; answer is now parser'
    """
    return "".join(f"; {old} is now {renamed[old]}" for old in unknown if old in renamed)


def _renamed(override: Override) -> str:
    choice, parts = CHOICES.get(f"{override.key}={override.value}"), override.key.split(".")
    if parts[:3] == ["vision_r1", "reward", "tasks"] and len(parts) > 4 and parts[4] in KEYS:
        parts[4] = KEYS[parts[4]]
        choice = f"{'.'.join(parts)}={override.value}"
    return f"renamed; expected {choice}" if choice else ""
