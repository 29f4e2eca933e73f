"""The versions of verl that this package is made for; any other is refused by name, and nothing of ours is used.

verl reaches the package in three ways, and each of them asks here: verl's entry point (`plugin`), the callback that
every recipe brings (`preflight`; Hydra finds the recipes without verl's help), and a person (`vision-r1 doctor`).
"""

from typing import Final

from packaging.specifiers import SpecifierSet

VERL: Final = ">=0.9,<0.10"
"""What the metadata of the package asks of verl; a test holds the two together."""


class UnsupportedError(ImportError):
    """The installed verl is one that this package is not made for.

    Attributes:
        advice: What to do, for `vision-r1 doctor`.
    """

    advice: Final = f"pip install 'verl{VERL}'"


def require(version: str) -> None:
    """Refuse a version of verl that is not one of `VERL`. Pre-releases of a version in the range count as in it.

    Args:
        version: As `verl.__version__` has it.

    Raises:
        UnsupportedError: It is outside; the message names both.

    Example:
        >>> require("0.9.1")
        >>> require("0.10.0.dev0")
        Traceback (most recent call last):
            ...
        verl_vision_r1.supported.UnsupportedError: expected verl >=0.9,<0.10, got verl 0.10.0.dev0; ...
    """
    if not SpecifierSet(VERL).contains(version, prereleases=True):
        raise UnsupportedError(
            f"expected verl {VERL}, got verl {version}; nothing of verl-vision-r1 is used with it."
            f" To do: pip install 'verl{VERL}', or a verl-vision-r1 that is made for verl {version}"
        )
