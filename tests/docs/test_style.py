"""What holds for all hand-written pages: titles, link texts, lengths; and the worked examples are short."""

import os
import re
from pathlib import Path

import generate
import pytest
from blocks import blocks
from generators.markdown import title

from verl_vision_r1.supported import UnsupportedError, require

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
GENERATED = [name for name in PAGES if name in generate.PAGES and "metrics" not in name and "architecture" not in name]
WRITTEN = [name for name in PAGES if name not in GENERATED]
EXAMPLES = [name for name in PAGES if name.startswith("development/add_a_")]
LINK = re.compile(r"(?<!!)\[([^]]+)\]\(([^)\s]+\.md)(#[^)\s]+)?\)")
TERMS = (
    *("sample", "target", "task", "question", "subject", "mix", "reader", "category list", "existence list"),
    *(
        "negative sample",
        "completion",
        "rollout",
        "parser",
        "answer",
        "prediction",
        "frame",
        "resized pixels",
        "family",
    ),
    *("preset", "matcher", "match", "criterion", "total", "flag", "release", "conformance", "attack", "refinement"),
    *("stage", "curriculum", "xi0", "xi1", "xi2", "recipe", "group", "rollout file", "predictions file", "run.yaml"),
    *("protocol", "preflight"),
)


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def plain(text: str) -> str:
    """A title or link text as it is compared: one line, without marks of code and a first "the", in lower case."""
    return " ".join(text.replace("`", "").split()).lower().removeprefix("the ")


@pytest.mark.parametrize("name", WRITTEN)
def test_a_written_page_has_at_most_2500_words(name: str) -> None:
    assert len(read(name).split()) <= 2500


@pytest.mark.parametrize("name", PAGES)
def test_a_link_to_a_page_is_named_by_its_title(name: str) -> None:
    for text, target, anchor in LINK.findall(read(name)):
        if "://" in target:
            continue
        page = os.path.normpath(os.path.join(os.path.dirname(name), target))
        assert not plain(text).endswith(".md"), f"docs/{name}: [{text}]"
        if not anchor:
            assert plain(text) == plain(title(page)), f"docs/{name}: [{text}], expected [{title(page)}]"


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_worked_example_is_short_and_shows_what_it_prints(name: str) -> None:
    """tests/docs/test_commands.py runs it."""
    found = blocks(read(name))
    code = [place for place, block in enumerate(found) if block.language == "python"]
    assert len(code) == 1
    assert len([line for line in found[code[0]].text.splitlines() if line.strip()]) <= 40
    assert found[code[0] + 1].language == "text"


def test_there_is_a_worked_example_of_each_kind() -> None:
    assert [name.removeprefix("development/add_a_") for name in EXAMPLES] == [
        f"{kind}.md" for kind in ("criterion", "model_family", "reader")
    ]


@pytest.mark.parametrize("term", TERMS)
def test_the_glossary_has_the_words_of_the_code(term: str) -> None:
    defined = " ".join(re.findall(r"^\| ([^|]+) \|", read("reference/glossary.md"), re.MULTILINE))
    assert re.search(rf"(?i)(?<!\w){re.escape(term)}(?!\w)", defined), term


def test_the_refusal_on_the_page_is_that_of_the_code() -> None:
    with pytest.raises(UnsupportedError) as refusal:
        require("0.8.0")
    assert " ".join(f"verl-vision-r1: {refusal.value}".split()) in " ".join(read("development/versions.md").split())
