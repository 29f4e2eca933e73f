"""A run on disk, and its page in a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opened_page import Opened
from run_on_disk import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Opened]]:
    tabs = []

    def open_page(path: Path, **size: int) -> Opened:
        tabs.append(Opened(browser, path, **size))
        return tabs[-1]

    yield open_page
    for tab in tabs:
        tab.tab.close()
