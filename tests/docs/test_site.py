"""The site builds without a warning, has every page, needs nothing from elsewhere, and its pictures have words."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

pytestmark = pytest.mark.skipif(find_spec("material") is None, reason="mkdocs-material is not installed")

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIG = ROOT / "mkdocs.yml"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


class Page(HTMLParser):
    """What a page loads, where it leads, and its pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.names: set[str] = set()
        self.pictures: list[dict[str, str | None]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        held = dict(attributes)
        self.names |= {held[key] or "" for key in ("id", "name") if key in held}
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.loads += [held["src"] or ""] if "src" in held else []
        if tag == "link" and held.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(held.get("href") or "")
        if tag == "a" and held.get("href"):
            self.leads.append(held["href"] or "")
        if tag == "img":
            self.pictures.append(held)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The site's folder, and all that the build said."""
    folder = tmp_path_factory.mktemp("site")
    # The theme's switch for its notice about MkDocs 2; `make docs` sets it too.
    variables = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"}
    # Not --quiet: with it warnings are not counted, and nothing is strict.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(CONFIG), "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=variables)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


@pytest.fixture(scope="module")
def pages(built: tuple[Path, str]) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(built[0].rglob("*.html"))}


def test_the_build_warns_of_nothing(built: tuple[Path, str]) -> None:
    assert [line for line in built[1].splitlines() if not line.startswith("INFO ")] == []


def test_every_page_is_in_the_navigation_and_built(built: tuple[Path, str]) -> None:
    navigation = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["nav"]
    entries = [entry for section in navigation for held in section.values() for entry in held]
    listed = [page for entry in entries for page in entry.values()]
    assert sorted(listed) == PAGES
    assert all((built[0] / page).with_suffix(".html").is_file() for page in listed)


def test_what_makes_the_pages_is_not_part_of_them(built: tuple[Path, str]) -> None:
    ours = {path.relative_to(built[0]).parts[0] for path in built[0].rglob("*") if path.suffix in (".py", ".md")}
    assert ours == set()
    assert not list(built[0].glob("*.json"))


def test_nothing_is_loaded_from_elsewhere(built: tuple[Path, str], pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert page.loads
        for address in page.loads:
            parts = urlsplit(address)
            assert (parts.scheme or "data", parts.netloc) == ("data", ""), f"{path.name}: {address}"
            if not parts.scheme and path.name != "404.html":  # Which is served for any address, and names the root.
                assert (path.parent / unquote(parts.path)).is_file(), f"{path.name}: {address}"
    for style in built[0].rglob("*.css"):
        found = re.findall(r"(?:url\(|@import )[\"']?(https?:|//)", style.read_text(encoding="utf-8"))
        assert not found, style.name


def test_every_link_inside_leads_somewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for address in page.leads:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path not in ("", ".") else path
            assert target.exists(), f"{path.name}: {address}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].names, f"{path.name}: {address}"


def test_every_picture_has_words(pages: dict[Path, Page]) -> None:
    pictures = [picture for page in pages.values() for picture in page.pictures]
    assert pictures
    assert [picture for picture in pictures if not (picture.get("alt") or "").strip()] == []
