"""What several files share."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from parsed_once import parsed_once

# No deadline: it measures how busy the machine is. tests/speed/ measures the code.
settings.register_profile("full", settings.default, deadline=None)
settings.load_profile("full")
settings.register_profile("fast", settings.default, max_examples=settings.default.max_examples // 5)
"""The profile of `make test-fast`: a fifth of the random examples of each property test."""

DOCTEST = re.compile(r"^\s*>>> ", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Helpers without a doctest are not imported here: some need TRL, others change verl in their own process."""
    is_helper = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if is_helper and not DOCTEST.search(collection_path.read_text(encoding="utf-8")) else None


@pytest.fixture(autouse=True)
def _no_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that starts a process is marked so: `make test-unit` and `make test-fast` leave it out."""
    if not {"process", "engine"} & {mark.name for mark in request.node.iter_markers()}:
        monkeypatch.setattr(subprocess.Popen, "__init__", _refuse)


@pytest.fixture(scope="session", autouse=True)
def _parsed_once() -> Iterator[None]:
    with parsed_once():
        yield


START = subprocess.Popen.__init__
PROJECT = Path(__file__).resolve().parents[1]


def _refuse(self: Any, args: Any, *rest: Any, **options: Any) -> None:
    """What libraries start to look at the machine is no concern of ours; what the project starts is."""
    caller: Any = sys._getframe(1)
    while caller.f_code.co_filename == subprocess.__file__:
        caller = caller.f_back
    path = Path(caller.f_code.co_filename)
    if not path.is_relative_to(PROJECT) or ".venv" in path.parts:
        START(self, args, *rest, **options)
        return
    self.returncode, self._child_created = None, False
    raise RuntimeError(f"expected @pytest.mark.process on a test that starts a process, got none: {args!r:.80}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of shapes, and a tiny model with random weights."""
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.shapes import write_shapes
    from verl_vision_r1.demo.teach import read_rows, texts_of
    from verl_vision_r1.demo.tiny_model import build_tiny_model

    folder = tmp_path_factory.mktemp("shapes")
    source = Source("coco", str(write_shapes(folder / "source", "train", 12)))
    prepare([source], folder, Writing(val_fraction=0.25))
    build_tiny_model(folder / "model", texts_of(read_rows(folder / "train.parquet")))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium of the system; closed with its file, as Playwright keeps the loop of asyncio running."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()
