"""docs/reference/configuration/prompts.md: the prompt templates, from the YAML files."""

from collections.abc import Iterator
from typing import Final

from generators.annotated_yaml import AnnotatedYaml
from generators.keys import meanings, own_files
from generators.markdown import linked, table

QUESTIONS: Final = ("categories", "category", "expression", "class", "count")
INTRODUCTION: Final = """# Prompt templates

This page shows the text of every prompt template that comes with the package.

A sample names its question, such as `categories`; the run's configuration has the template. So one parquet file serves
every reward. Each reward preset has a default; `vision_r1/prompt=NAME` selects another, and
`vision_r1.prompt.QUESTION="..."` sets one template. Fields are written in braces; a literal brace is doubled.
"""


def page() -> str:
    """The page."""
    files = {name.split("/")[1]: file for name, file in own_files().items() if name.startswith("prompt/")}
    return "\n".join([INTRODUCTION, *_questions(files), *_templates(files)])


def _questions(files: dict[str, AnnotatedYaml]) -> Iterator[str]:
    described = meanings()
    yield "## Questions\n"
    rows = []
    for question in QUESTIONS:
        having = [f"`{name}`" for name, file in files.items() if question in file.values]
        rows.append((f"`vision_r1.prompt.{question}`", described[f"prompt.{question}"], " ".join(having)))
    yield table(("key", "meaning", "templates in"), rows) + "\n"


def _templates(files: dict[str, AnnotatedYaml]) -> Iterator[str]:
    for name, file in files.items():
        yield f"## `vision_r1/prompt={name}`\n\n{linked(file.header)}\n"
        if name != "none":
            yield "```text\n" + "\n".join(f"{question}:\n{text}\n" for question, text in file.values.items()) + "```\n"
