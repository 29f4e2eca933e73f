"""The supported versions of verl.

The version is checked in three places: verl's entry point (`plugin`), the callback of every recipe (`preflight`; Hydra
finds the recipes without verl), and `vision-r1 doctor`.
"""

from typing import Final

from packaging.specifiers import SpecifierSet

VERL: Final = ">=0.9,<0.10"
"""The same range as in the package metadata; a test compares the two."""


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
        >>> require("0.10.0.dev0")
        Traceback (most recent call last):
            ...
        verl_vision_r1.supported.UnsupportedError: expected verl >=0.9,<0.10, got verl 0.10.0.dev0; ...
    """
    if not SpecifierSet(VERL).contains(version, prereleases=True):
        raise UnsupportedError(
            f"expected verl {VERL}, got verl {version}; verl-vision-r1 is not loaded."
            f" To do: pip install 'verl{VERL}', or a version of verl-vision-r1 that supports verl {version}"
        )
