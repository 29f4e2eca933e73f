"""Where the engine cannot run, its tests are skipped with the reason."""

from pathlib import Path

import pytest

from verl_vision_r1.demo.run import check_engine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    try:
        check_engine()
    except ValueError as reason:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=str(reason)))
