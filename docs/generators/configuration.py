"""docs/reference/configuration.md: every key of the configuration, from the configuration."""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from generators import presets, recipes
from generators.annotated_yaml import AnnotatedYaml, read_annotated
from generators.markdown import code, linked, table
from generators.recipes import CONFIG
from verl_vision_r1.frames import FRAMES
from verl_vision_r1.rewards.answers import PARSERS
from verl_vision_r1.rewards.criteria import CRITERIA
from verl_vision_r1.rewards.matching import MATCHERS
from verl_vision_r1.rewards.presets import names_in
from verl_vision_r1.rewards.refinement import Curriculum, Stage
from verl_vision_r1.rewards.scoring import TOTALS, TaskRules
from verl_vision_r1.targets import TASKS

NUMBER: Final = ("number", "0 to 1")
KEYS: Final[dict[str, tuple[str, str]]] = {
    "frame": ("text", " ".join(f"`{name}`" for name in ("auto", *FRAMES))),
    "prompt": ("mapping", "the questions below"),
    "reward.tasks": ("mapping", " ".join(f"`{name}`" for name in TASKS)),
    "reward.tasks.TASK.frame": ("text", " ".join(f"`{name}`" for name in FRAMES)),
    "reward.tasks.TASK.answer": ("text, or mapping with options", f"{len(PARSERS)} names below, or a path"),
    "reward.tasks.TASK.match": ("text, or mapping with options", f"{len(MATCHERS)} names below, or a path"),
    "reward.tasks.TASK.criteria": ("mapping", "any name; the weights sum to more than 0"),
    "reward.tasks.TASK.criteria.NAME.weight": ("number", "finite, at least 0"),
    "reward.tasks.TASK.criteria.NAME.function": ("text", f"{len(CRITERIA)} names below, or a path"),
    "reward.total": ("text", " ".join(f"`{name}`" for name in TOTALS)),
    "reward.on_error": ("text", "`zero` `raise`"),
    "curriculum.stages": ("list of mappings", "at least one"),
    "curriculum.stages[].at": NUMBER,
    "curriculum.stages[].at_step": ("whole number", "at least 0"),
    "curriculum.stages[].xi0": NUMBER,
    "curriculum.stages[].xi1": NUMBER,
    "curriculum.stages[].xi2": NUMBER,
    "curriculum.stages[].precision_xi0": NUMBER,
    "curriculum.interpolation": ("text", "`step` `linear`"),
    "curriculum.validation": ("text", "`last` `first`"),
}
"""Type and allowed values of every key under `vision_r1`; what it means stands in the YAML files."""

INTRODUCTION: Final = """# Configuration

A run is configured by Hydra, as all of verl's are: a recipe, then overrides. A group is swapped with a slash, a value
is set with dots:

```bash
python -m verl.trainer.main_ppo +recipe=vision_r1_qwen7b vision_r1/reward=robust vision_r1/curriculum=halfway \\
  vision_r1.frame=relative_1000 trainer.total_epochs=2
```

`--cfg job` prints the whole configuration and ends. An unknown key under `vision_r1`, a wrong type or a value out of
its range ends the run before Ray starts. This page is made by `make docs` from the YAML files in
`verl_vision_r1/config/`, their comments and the docstrings.
"""


def page() -> str:
    """The page.

    Raises:
        ValueError: A key of ours has no description beside it.
    """
    return "\n".join([INTRODUCTION, *_own(), *presets.sections(), *_questions(), *recipes.sections()])


def own_files() -> dict[str, AnnotatedYaml]:
    """Every YAML file of the groups that make up the key `vision_r1`, by group and name."""
    groups = ("reward", "curriculum", "prompt")
    names = [f"{group}/{name}" for group in groups for name in names_in(group)]
    return {name: read_annotated(CONFIG / f"{name}.yaml") for name in names}


def meanings() -> dict[str, str]:
    """What the comments say of every key under `vision_r1`: of several files the first that says something.

    Example:
        >>> meanings()["curriculum.stages[].xi1"]
        'Below it a value is refined to 0; 0 to 1, at most xi2.'
    """
    base = read_annotated(CONFIG / "base.yaml").comments
    found = {key.removeprefix("vision_r1."): text for key, text in base.items() if key.startswith("vision_r1.")}
    for name, file in own_files().items():
        for key, text in file.comments.items():
            found.setdefault(_general(f"{name.split('/')[0]}.{key}"), text)
    return found


def keys_in_use() -> set[str]:
    """Every key that a file of ours sets under `vision_r1`, tasks and criteria named TASK and NAME."""
    keys = {_general(f"{name.split('/')[0]}.{key}") for name, file in own_files().items() for key in file.values}
    return keys - {""}


def _general(key: str) -> str:
    """A key with the names of tasks and criteria put aside; options of functions are described with their function."""
    parts = key.split(".")
    if parts[:2] != ["reward", "tasks"] or len(parts) < 4:
        return key
    parts[2] = "TASK"
    if parts[3] in ("answer", "match"):
        return ".".join(parts[:4])
    if parts[3] == "criteria" and len(parts) > 4:
        parts[4] = "NAME"
        if len(parts) > 5 and parts[5] not in ("weight", "function"):
            return ""
    return ".".join(parts)


def _own() -> Iterator[str]:
    yield "## The key `vision_r1`\n"
    yield "`TASK` is one of the tasks, `NAME` is yours to choose. Numbers have no unit where none is given.\n"
    said = meanings()
    missing = [key for key in KEYS if key not in said]
    if missing:
        raise ValueError(f"{CONFIG}: expected a comment that describes each key, got none for {', '.join(missing)}")
    rows = (
        (f"`vision_r1.{key}`", kind, _default(key), allowed, _meaning(said[key]))
        for key, (kind, allowed) in KEYS.items()
    )
    yield table(("key", "type", "default", "allowed", "meaning"), rows) + "\n"
    yield "The groups that fill it, and what a recipe of ours takes of them if it says nothing else:\n"
    yield table(("group", "default", "names"), _groups()) + "\n"


def _meaning(comment: str) -> str:
    """A comment without the values that it begins with: they stand in a column of their own."""
    text = re.sub(r"^\w+ \| \w+: ", "", comment)
    return text[0].upper() + text[1:]


def _default(key: str) -> str:
    """What holds where the key is not given."""
    if key == "frame":
        return code(read_annotated(CONFIG / "base.yaml").values["vision_r1.frame"])
    if key == "prompt":
        return "the preset's"
    of_code = {
        **{f"reward.{item.name}": item.default for item in fields(TaskRules)},
        **{f"curriculum.{item.name}": item.default for item in fields(Curriculum)},
        **{f"curriculum.stages[].{item.name}": item.default for item in fields(Stage)},
        "reward.tasks.TASK.frame": None,
        "reward.tasks.TASK.criteria.NAME.weight": 1.0,
        "reward.tasks.TASK.criteria.NAME.function": "NAME",
    }
    value = of_code.get(key, "required")
    return code(value) if isinstance(value, str | float | int | None) and value != "required" else "required"


def _groups() -> Iterator[tuple[str, ...]]:
    for group in ("reward", "curriculum", "prompt", "freeze", "evaluation"):
        names = " ".join(f"`{name}`" for name in names_in(group))
        default = "the preset's" if group == "prompt" else code(_chosen(group))
        yield f"`vision_r1/{group}`", default, names


def _chosen(group: str) -> Any:
    from omegaconf import OmegaConf

    defaults = OmegaConf.load(CONFIG / "base.yaml").defaults
    # `evaluation` is no default of base.yaml: it stands last in each recipe, so that it overrides the recipe.
    return next((entry[f"/vision_r1/{group}"] for entry in defaults if f"/vision_r1/{group}" in entry), "none")


def _questions() -> Iterator[str]:
    yield "## Questions\n"
    yield "A row says what it asks, the run in which words. Fields stand in braces; a literal brace is doubled.\n"
    said, files = meanings(), own_files()
    prompts = {name: file for name, file in files.items() if name.startswith("prompt/")}
    rows = []
    for question in ("categories", "category", "expression", "class", "count"):
        having = [f"`{name.split('/')[1]}`" for name, file in prompts.items() if question in file.values]
        rows.append((f"`vision_r1.prompt.{question}`", said[f"prompt.{question}"], " ".join(having)))
    yield table(("key", "meaning", "words in"), rows) + "\n"
    for name, file in prompts.items():
        yield f"### `vision_r1/prompt={name.split('/')[1]}`\n\n{linked(file.header)}\n"
        if name != "prompt/none":
            words = [f"{question}:\n{text}\n" for question, text in file.values.items()]
            yield "```text\n" + "\n".join(words) + "```\n"
