"""The blocks of code of a page, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^```(\w*)\s*$")
LIST_ITEM = re.compile(r"^(- |\d+\. )")
LOOP = re.compile(r"^for (\w+) in ([^;]+); do$")
OVERRIDE = re.compile(r"^[+~]{0,2}[\w./@]+=\S.*$")


@dataclass(frozen=True)
class Block:
    """A block of code; `language` is "" for one without, "indented" for one that four spaces make."""

    line: int
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """The blocks of a page in their order."""
    return sorted([*_fenced(page), *_indented(page)], key=lambda block: block.line)


def _fenced(page: str) -> Iterator[Block]:
    start, language, held = 0, "", []
    for number, line in enumerate(page.splitlines(), 1):
        if not start and (found := FENCE.match(line)):
            start, language, held = number, found[1], []
        elif start and line.strip() == "```":
            yield Block(start, language, "\n".join(held))
            start = 0
        elif start:
            held.append(line)
    assert not start, f"line {start}: a fence that nothing closes"


def _indented(page: str) -> Iterator[Block]:
    inside, in_list, blank = False, False, True
    held: list[str] = []
    start = 0
    for number, line in enumerate([*page.splitlines(), "end"], 1):
        inside ^= bool(FENCE.match(line)) or (inside and line.strip() == "```")
        if line.startswith("    ") and not inside and not in_list and (blank or held):
            start = start if held else number
            held.append(line[4:])
            continue
        if held and line.strip():
            yield Block(start, "indented", "\n".join(held))
            held = []
        if line.strip():
            in_list = bool(LIST_ITEM.match(line)) or (in_list and line.startswith(" "))
        blank = not line.strip()


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a shell block: lines that go on are joined, loops are run, comments left out.

    >>> list(commands("for part in a b; do\\n  ls x/$part  # look\\ndone"))
    [['ls', 'x/a'], ['ls', 'x/b']]
    """
    loop: tuple[str, list[str]] | None = None
    held: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip()
        if found := LOOP.match(line):
            loop, held = (found[1], found[2].split()), []
        elif line == "done" and loop:
            for value in loop[1]:
                for command in held:
                    yield shlex.split(command.replace(f"${loop[0]}", value), comments=True)
            loop = None
        elif loop:
            held.append(line)
        elif words := shlex.split(line, comments=True):
            yield words


def is_overrides(text: str) -> bool:
    """Whether every line of a text holds overrides of Hydra and nothing else."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return bool(lines) and all(line.startswith("... ") or _all_overrides(line) for line in lines)


def _all_overrides(line: str) -> bool:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return False
    return bool(words) and all(OVERRIDE.match(word) for word in words)


def overrides(text: str) -> list[str]:
    """The overrides of such a text."""
    return [word for words in commands(text) for word in words if word != "..."]
