"""What a workaround is, and whether it was applied."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from packaging.specifiers import SpecifierSet

APPLIED: Final = "applied"
NOT_NEEDED: Final = "not needed"

_states: dict[str, str] = {}
"""By the name of each workaround whose module was imported: `APPLIED`, `NOT_NEEDED`, or the error of its check."""


@dataclass(frozen=True)
class Workaround:
    """A workaround for a bug in verl.

    Attributes:
        name: What fails without it, in a few words.
        thread: Number of the issue of verl that reports the bug.
        versions: The versions of verl that can have the bug.
        module: The module of verl that has it.
        needed: Whether that module, as imported, has the bug.
        patch: Replaces the function that has it.
    """

    name: str
    thread: int
    versions: str
    module: str
    needed: Callable[[ModuleType], bool]
    patch: Callable[[ModuleType], None]

    def apply(self, version: str, module: ModuleType) -> None:
        """Patch the module if it has the bug.

        An error of the check means that verl has changed: the module stays as it is, and `vision-r1 doctor` fails.

        Args:
            version: `verl.__version__`.
            module: The module `self.module`.
        """
        try:
            needed = SpecifierSet(self.versions).contains(version, prereleases=True) and self.needed(module)
            if needed:
                self.patch(module)
            _states[self.name] = APPLIED if needed else NOT_NEEDED
        except Exception as error:
            _states[self.name] = f"{type(error).__name__}: {error}"

    def state(self) -> str:
        """`APPLIED`, `NOT_NEEDED`, or the error of its check. Imports the module of verl."""
        try:
            importlib.import_module(self.module)
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and str(error.name).startswith("verl"):
                return f"{type(error).__name__}: {error}"  # verl has renamed the module.
            return NOT_NEEDED  # It is for a rollout engine that is not installed, or not one that verl supports.
        return _states[self.name]
