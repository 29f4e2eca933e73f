"""What all checks share: their results, their input, and how they fail or are skipped."""

import contextlib
import functools
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from verl_vision_r1.rewards.presets import Preset
from verl_vision_r1.settings import Settings

Value = TypeVar("Value")
LONGEST: Final = 400
"""Maximum number of characters of an error message; those of the hub are pages long."""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: What is checked.
        ok: True if it passed, False if it failed, None if it was not made.
        found: The result, or why the check was not made.
        advice: What to do if it failed.
        unchecked: Whether the run needs the check, but only a machine with a GPU can make it.
    """

    name: str
    ok: bool | None
    found: str
    advice: str = ""
    unchecked: bool = False

    @property
    def state(self) -> str:
        """`ok`, `failed`, `unchecked` or `skipped`."""
        if self.ok is None:
            return "unchecked" if self.unchecked else "skipped"
        return "ok" if self.ok else "failed"


class FailedError(Exception):
    """Raised by a check that fails; `advice` replaces that of the check."""

    def __init__(self, found: str, advice: str = "") -> None:
        super().__init__(found)
        self.advice = advice


class SkippedError(Exception):
    """Raised by a check that does not apply, or that needs another one that did not pass."""


class UncheckedError(Exception):
    """Raised by a check that the run needs, on a machine that cannot make it because it has no GPU."""


@dataclass
class Case:
    """The run to check, and the results of earlier checks that later ones use.

    Attributes:
        overrides: The run as on verl's command line; empty to check the installation only.
        configs: The composed configuration of the run, or of every recipe, by name.
        groups: The names in each Hydra group of this package.
        presets: The reward configurations to check, by name.
        settings: The key `vision_r1` of the run.
        frame: The frame of the boxes that the run's model writes.
        processor: The processor of the run's model.
        plan: The run as `vision-r1 estimate` reads it.
    """

    overrides: tuple[str, ...] = ()
    configs: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    presets: dict[str, Preset] = field(default_factory=dict)
    settings: Settings | None = None
    frame: str | None = None
    processor: Any = None
    plan: Any = None

    @property
    def run(self) -> Any:
        """The configuration of the run.

        Raises:
            SkippedError: No run is given, or it does not compose.
        """
        if not self.overrides:
            raise SkippedError("no run given")
        return next(iter(need(self.configs, "recipes").values()))


def need(value: Value | None, check: str) -> Value:
    """The result of an earlier check.

    Args:
        value: The result; empty or None if that check did not pass.
        check: The name of that check.

    Raises:
        SkippedError: That check did not pass.
    """
    if not value:
        raise SkippedError(f"the check {check} did not pass")
    return value


def check(name: str, advice: str) -> Callable[[Callable[[Case], str]], Callable[[Case], Check]]:
    """Make a check of a function that returns its result as text, or raises.

    Args:
        name: What is checked.
        advice: What to do if the function raises; a `FailedError` may have its own.
    """

    def decorate(function: Callable[[Case], str]) -> Callable[[Case], Check]:
        @functools.wraps(function)
        def checked(case: Case) -> Check:
            try:
                with _quiet():
                    return Check(name, True, function(case))
            except SkippedError as reason:
                return Check(name, None, str(reason))
            except UncheckedError as reason:
                return Check(name, None, str(reason), unchecked=True)
            except (Exception, SystemExit) as error:
                return Check(name, False, one_line(error), getattr(error, "advice", "") or advice)

        return checked

    return decorate


def one_line(error: BaseException) -> str:
    r"""The message of an error on one line, with its type where the message alone may be unclear.

    Example:
        >>> one_line(ValueError("expected a\n  number")), one_line(KeyError("boxes"))
        ('expected a number', "KeyError: 'boxes'")
    """
    text = " ".join(str(error).split())
    plain = isinstance(error, FailedError | ValueError | OSError) and text
    text = text if plain else f"{type(error).__name__}: {text}"
    return text if len(text) <= LONGEST else text[:LONGEST] + " ..."


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep verl's output and warnings (on a host without a GPU, for example) out of the report."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
