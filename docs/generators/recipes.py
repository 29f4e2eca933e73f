"""docs/reference/configuration/recipes.md: what recipes and groups set of verl's configuration, and why."""

import contextlib
import io
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf

from generators.annotated_yaml import AnnotatedYaml, read_annotated
from generators.markdown import code, linked, table
from verl_vision_r1.rewards.presets import names_in

CONFIG: Final = Path(str(resources.files("verl_vision_r1"))) / "config" / "vision_r1"
RECIPES: Final = CONFIG.parent / "recipe"
SHARED: Final = ("base", "gpu", "one_gpu", "one_gpu_24gb", "cpu", "sft", "sft_cpu")
GROUPS: Final = ("method", "engine", "rollout", "mode", "tuning", "freeze", "evaluation")


INTRODUCTION: Final = """# Recipes

This page lists what every recipe and every group sets of verl's configuration, and why.

`+recipe=NAME` starts from a recipe; `vision_r1/GROUP=NAME` swaps a group in it; any key can be overridden behind both.
The folder `recipes/` of the repository has a page and a script for each recipe.
"""


def page() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    yield from _training()
    yield from _evaluations()
    yield "## What every recipe sets\n"
    for name in SHARED:
        yield from _shared(name)
    for group in GROUPS:
        yield from _group(group)


def why(file: AnnotatedYaml, key: str) -> str:
    """What a file says of a key, or of the mapping that it is in."""
    return linked(file.comments.get(key) or file.comments.get(key.rpartition(".")[0], ""))


@cache
def composed(*overrides: str) -> DictConfig:
    """The configuration of verl under these overrides, as its `main_ppo` composes it; not to be changed."""
    import verl  # noqa: F401  Loads the plugin, which puts our groups on Hydra's search path.
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None), contextlib.redirect_stdout(io.StringIO()):
        return compose("ppo_trainer", overrides=list(overrides), return_hydra_config=False)


def recipe(name: str) -> AnnotatedYaml:
    """The file of a recipe."""
    return read_annotated(RECIPES / f"{name}.yaml")


def names_of_recipes() -> tuple[str, ...]:
    """All recipes, that of the README and that for the CPU first."""
    first = ("vision_r1_qwen7b", "vision_r1_cpu")
    found = sorted(path.stem for path in RECIPES.glob("*.yaml"))
    return (*first, *(name for name in found if name not in first))


def _shared(name: str) -> Iterator[str]:
    file = read_annotated(CONFIG / f"{name}.yaml")
    yield f"### `vision_r1/{name}`\n\n{linked(file.header)}\n"
    verls = {key: value for key, value in file.values.items() if not key.startswith("vision_r1.")}
    yield table(("key", "value", "why"), [(f"`{key}`", code(verls[key]), why(file, key)) for key in verls]) + "\n"


def _group(group: str) -> Iterator[str]:
    yield f"## The group `vision_r1/{group}`\n"
    for name in names_in(group):
        file = read_annotated(CONFIG / group / f"{name}.yaml")
        yield f"### `vision_r1/{group}={name}`\n\n{linked(file.header)}\n"
        rows = [(f"`{key}`", code(value), why(file, key)) for key, value in file.values.items()]
        if rows:
            yield table(("key", "value", "why"), rows) + "\n"


def _training() -> Iterator[str]:
    yield "## Training recipes\n"
    names = [name for name in names_of_recipes() if not name.startswith("eval_")]
    yield from (f"- `+recipe={name}`: {recipe(name).header}" for name in names)
    yield "\nEach builds on a method or on another recipe, and sets:\n"
    rows = (row for name in names for row in (*_parents(name), *_own_keys(name)))
    yield table(("recipe", "group or key", "value", "why"), rows) + "\n"


def _parents(name: str) -> Iterator[tuple[str, ...]]:
    """What a recipe is made from, and the groups that it swaps."""
    comments = recipe(name).comments
    for entry in OmegaConf.load(RECIPES / f"{name}.yaml").defaults:
        if isinstance(entry, DictConfig):
            ((key, value),) = entry.items()
            group = str(key).removeprefix("override ").removeprefix("/")
            if (group, value) != ("vision_r1/evaluation", "none"):
                yield f"`{name}`", f"`{group}`", code(value), linked(comments.get(group, ""))
        elif entry != "_self_":
            yield f"`{name}`", "from", code(str(entry).removeprefix("/")), ""


def _own_keys(name: str) -> Iterator[tuple[str, ...]]:
    file = recipe(name)
    return ((f"`{name}`", f"`{key}`", code(value), why(file, key)) for key, value in file.values.items())


def _row(key: str, part: str, files: dict[str, AnnotatedYaml], configs: dict[str, DictConfig]) -> tuple[str, ...]:
    values = [_value(config, key) for config in configs.values()]
    given = {name: reason for name, file in files.items() if key in file.values and (reason := why(file, key))}
    reasons = (f"`{name}`: {reason}" if len(files) > 1 else reason for name, reason in given.items())
    return f"`{key.removeprefix(f'{part}.')}`", *values, " ".join(reasons)


def _value(config: DictConfig, key: str) -> str:
    absent = object()
    value = OmegaConf.select(config, key, default=absent, throw_on_missing=False)
    if value is absent:
        return "-"
    return code(OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value)


def _evaluations() -> Iterator[str]:
    yield "## Evaluation recipes\n"
    names = [name for name in names_of_recipes() if name.startswith("eval_")]
    files = {name: recipe(name) for name in names}
    for name in names:
        yield f"- `+recipe={name}`: {files[name].header}"
    yield "\nEach only generates (`vision_r1/evaluation=greedy`), and sets:\n"
    configs = {name: composed(f"+recipe={name}") for name in names}
    keys = dict.fromkeys(key for file in files.values() for key in file.values)
    rows: list[tuple[Any, ...]] = [_row(key, "", files, configs) for key in keys]
    yield table(("key", *(f"`{name}`" for name in names), "why"), rows) + "\n"
