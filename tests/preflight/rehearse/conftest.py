"""The short model of the rehearsals, shared; the folders in this one import its modules."""

from pathlib import Path

import pytest
from take_steps import write_model


@pytest.fixture(scope="session")
def short_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 7B with one layer, of its real width."""
    return write_model(tmp_path_factory.mktemp("short") / "model", "Qwen/Qwen2.5-VL-7B-Instruct", layers=1)
