"""What a check is, and what all checks share: the run they look at, and how they fail or are skipped."""

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
"""Characters of an error that are shown: the hub's are pages long."""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: What was looked at.
        ok: Whether it is right; None where it could not be looked at.
        found: What was found, or why it was skipped.
        advice: What to do, where it failed.
    """

    name: str
    ok: bool | None
    found: str
    advice: str = ""

    @property
    def state(self) -> str:
        """`ok`, `failed` or `skipped`."""
        return "skipped" if self.ok is None else "ok" if self.ok else "failed"


class FailedError(Exception):
    """Raised by a check that finds something wrong, with advice of its own if the check's does not fit."""

    def __init__(self, found: str, advice: str = "") -> None:
        super().__init__(found)
        self.advice = advice


class SkippedError(Exception):
    """Raised by a check that cannot be made here."""


@dataclass
class Case:
    """What is looked at, and what the checks so far have learnt of it.

    Attributes:
        overrides: The run as verl's command line has it; empty for the installation alone.
        configs: The configuration of the run, or of every recipe, by name.
        groups: The names that Hydra offers in each group of ours.
        presets: The rewards to try, by name.
        settings: The key `vision_r1` of the run.
        frame: The frame that the run's model answers in.
        processor: The processor of the run's model.
    """

    overrides: tuple[str, ...] = ()
    configs: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    presets: dict[str, Preset] = field(default_factory=dict)
    settings: Settings | None = None
    frame: str | None = None
    processor: Any = None

    @property
    def run(self) -> Any:
        """The configuration of the run.

        Raises:
            SkippedError: No run was given, or it does not compose.
        """
        if not self.overrides:
            raise SkippedError("no run was given")
        return next(iter(need(self.configs, "recipes").values()))


def need(value: Value | None, check: str) -> Value:
    """What an earlier check has learnt.

    Raises:
        SkippedError: That check has not passed.
    """
    if not value:
        raise SkippedError(f"{check}: not ok, see above")
    return value


def check(name: str, advice: str) -> Callable[[Callable[[Case], str]], Callable[[Case], Check]]:
    """Make a check of a function that returns what it found, or raises.

    Args:
        name: What is looked at.
        advice: What to do where the function raises; `FailedError` may have better advice.
    """

    def decorate(look: Callable[[Case], str]) -> Callable[[Case], Check]:
        @functools.wraps(look)
        def checked(case: Case) -> Check:
            try:
                with _quiet():
                    return Check(name, True, look(case))
            except SkippedError as reason:
                return Check(name, None, str(reason))
            except (Exception, SystemExit) as error:
                return Check(name, False, one_line(error), getattr(error, "advice", "") or advice)

        return checked

    return decorate


def one_line(error: BaseException) -> str:
    r"""The text of an error on one line, with its kind where the text alone may say nothing.

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
    """Keep what verl prints and warns of, on a host without a GPU for instance, out of the report."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
