"""The site builds without a warning, has every page, needs nothing from elsewhere, and its pictures have words."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

MISSING = [name for name in ("material", "mkdocstrings") if find_spec(name) is None]
pytestmark = [pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"), pytest.mark.process]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIG = ROOT / "mkdocs.yml"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


BROKEN_WORDS = """() => [...document.querySelectorAll(".md-typeset table:not([class]) :is(th, td)")].flatMap(cell => {
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), broken = [], range = document.createRange();
  for (let node = walker.nextNode(); node; node = walker.nextNode())
    for (const word of node.data.matchAll(/[\\w.]+/g)) {
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(line => Math.round(line.top))).size > 1) broken.push(word[0]);
    }
  return broken;
})"""
"""The words in the tables of a page that are on more than one line."""


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


def leaves(navigation: Any) -> Iterator[str]:
    """The pages of a navigation, of all its sections."""
    if isinstance(navigation, str):
        yield navigation
    else:
        for entry in navigation.values() if isinstance(navigation, dict) else navigation:
            yield from leaves(entry)


def test_the_build_warns_of_nothing(built: tuple[Path, str]) -> None:
    assert [line for line in built[1].splitlines() if not line.startswith("INFO ")] == []


def test_every_page_is_in_the_navigation_and_built(built: tuple[Path, str]) -> None:
    listed = list(leaves(yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["nav"]))
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


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    yield page
    page.close()


def test_the_search_works_in_pages_that_are_opened_from_a_folder(built: tuple[Path, str], tab: Any) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((built[0] / "index.html").as_uri())
    tab.locator(".md-search__input").click()
    tab.locator(".md-search__input").press_sequentially("precision_xi0")
    tab.wait_for_selector(".md-search-result__item >> text=Glossary", state="attached")
    assert [address for address in asked if not address.startswith("file:")] == []


def test_no_word_of_a_table_is_broken(built: tuple[Path, str], tab: Any) -> None:
    """Each word of a cell, between spaces, is on one line."""
    tab.set_viewport_size({"width": 900, "height": 900})
    for page in ("configuration/keys", "configuration/presets", "command_line", "metrics"):
        tab.goto((built[0] / "reference" / f"{page}.html").as_uri())
        assert tab.evaluate(BROKEN_WORDS) == [], page
