"""How many random examples a property test tries."""

from typing import Any

from hypothesis import settings


def budget(examples: int, **more: Any) -> settings:
    """Settings of a property test with a number of examples, reduced by the profile `fast` of `conftest.py`."""
    return settings(max_examples=max(examples * settings.default.max_examples // 100, 1), **more)
