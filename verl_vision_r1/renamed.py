"""Old names, each with the new one: whoever types one is told. Remove in version 0.3."""

from collections.abc import Iterable, Mapping
from typing import Final

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
    """Refuse Hydra overrides that use an old name.

    Args:
        words: The words of a command line; those that are no override are passed over.

    Raises:
        ValueError: It names the new override.
    """
    for word in words:
        bare = word.lstrip("+~").replace("'", "").replace('"', "")
        choice = CHOICES.get(bare)
        if choice:
            raise ValueError(f"{word}: renamed; expected {choice}")
        key, equals, value = bare.partition("=")
        parts = key.split(".")
        if equals and parts[:3] == ["vision_r1", "reward", "tasks"] and len(parts) > 4 and parts[4] in KEYS:
            parts[4] = KEYS[parts[4]]
            raise ValueError(f"{word}: renamed; expected {'.'.join(parts)}={value}")


def hint(unknown: Iterable[str], renamed: Mapping[str, str]) -> str:
    """The end of a message about unknown keys: their new names, where they have one.

    Example:
        >>> hint(["answer", "speed"], KEYS)
        '; answer is now parser'
    """
    return "".join(f"; {old} is now {renamed[old]}" for old in unknown if old in renamed)
