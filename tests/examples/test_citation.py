"""The citation file can be read, and names the software and both papers."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import verl_vision_r1

ROOT = Path(__file__).resolve().parents[2]
CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_has_what_its_format_requires() -> None:
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION)
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["title"] == verl_vision_r1.__name__.replace("_", "-")
    assert all(reference["authors"] and reference["title"] for reference in CITATION["references"])


@pytest.mark.parametrize(("number", "authors"), [("2503.18013", 7), ("2503.01785", 8)])
def test_the_citation_names_both_papers(number: str, authors: int) -> None:
    (paper,) = (item for item in CITATION["references"] if item["url"].endswith(number))
    assert paper["identifiers"][0]["value"] == f"arXiv:{number}"
    assert (paper["year"], len(paper["authors"])) == (2025, authors)
