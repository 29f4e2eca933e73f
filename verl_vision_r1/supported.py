"""The supported versions of verl.

The version is checked in three places: verl's entry point (`plugin`), the callback of every recipe (`preflight`; Hydra
finds the recipes without the plugin), and `vision-r1 doctor`.
"""

import os
import sys
from typing import Final

from packaging.specifiers import SpecifierSet

VERL: Final = ">=0.9,<0.11"
"""The same range as in the package metadata; a test compares the two."""

RELEASED: Final = "<0.10.dev0"
"""The part of the range that was tested in releases of verl."""

TRIED: Final = (
    "tried with 0.10.0.dev of 2026-08-22 (commit 1dda039b9): the tests that use verl, vision-r1 doctor, and a training"
    " run of three steps on the CPU"
)
"""What was tried of the part that is not released."""


class UnsupportedError(ImportError):
    """The installed version of verl is not supported.

    Attributes:
        advice: What to do; `vision-r1 doctor` prints it.
    """

    advice: Final = f"pip install 'verl{VERL}'"


def require(version: str) -> None:
    """Check that a version of verl is in the range `VERL`. Pre-releases of a version in the range are accepted.

    Args:
        version: `verl.__version__`.

    Raises:
        UnsupportedError: The version is outside the range.

    Example:
        >>> require("0.9.1")
        >>> require("0.11.0.dev0")
        Traceback (most recent call last):
            ...
        verl_vision_r1.supported.UnsupportedError: expected verl >=0.9,<0.11, got verl 0.11.0.dev0; ...
    """
    if not SpecifierSet(VERL).contains(version, prereleases=True):
        raise UnsupportedError(
            f"expected verl {VERL}, got verl {version}; verl-vision-r1 is not loaded."
            f" To do: pip install 'verl{VERL}', or a version of verl-vision-r1 that supports verl {version}"
        )


def notice(version: str) -> str:
    """What was tried of a supported version that no release of verl had; empty for the others.

    Args:
        version: `verl.__version__`.

    Example:
        >>> notice("0.9.1")
        ''
        >>> notice("0.10.0.dev0")
        'verl 0.10.0.dev0 is newer than verl 0.9, with which this plugin is tested; tried with 0.10.0.dev of ...'
    """
    if SpecifierSet(RELEASED).contains(version, prereleases=True):
        return ""
    return f"verl {version} is newer than verl 0.9, with which this plugin is tested; {TRIED}"


def check_run() -> None:
    """Check the installed verl, and print `notice` once per run. The callbacks of the recipes call this.

    Raises:
        UnsupportedError: The installed verl is not supported.
    """
    import verl

    require(verl.__version__)
    line = notice(verl.__version__)
    if line and os.environ.get("RANK", "0") == "0":  # The processes of a supervised run each compose the recipe.
        print(f"verl-vision-r1: {line}", file=sys.stderr)
