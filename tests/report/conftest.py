"""A run on disk."""

from pathlib import Path

import pytest
from run_on_disk import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")
