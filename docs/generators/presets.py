"""docs/reference/configuration/presets.md: reward presets, the functions they can name, and curricula."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from generators.annotated_yaml import read_annotated
from generators.markdown import code, entries, first_sentence, link, linked, plain, section, table
from generators.recipes import CONFIG
from verl_vision_r1.rewards.answers import PARSERS
from verl_vision_r1.rewards.criteria import CRITERIA
from verl_vision_r1.rewards.matching import MATCHERS
from verl_vision_r1.rewards.presets import load_curriculum, names_in, read_preset

ORDER: Final = ("vision_r1", "robust", "visual_rft")
INTRODUCTION: Final = """# Reward presets and curricula

This page lists every reward preset with its parsers, matchers, criteria and weights, the functions that a preset can
name, and every curriculum.

`vision_r1/reward=NAME` selects a preset, `vision_r1/curriculum=NAME` a curriculum. The reward of a completion is the
sum of its criteria's values times their weights; with `total: mean` it is their weighted mean. {guides} explain them.
"""


def page() -> str:
    """The page."""
    guides = f"{link('guides/rewards.md')} and {link('guides/refinement.md')}"
    return "\n".join([INTRODUCTION.format(guides=guides), *_sections()])


def _sections() -> Iterator[str]:
    yield "## Reward presets\n"
    for name in sorted(names_in("reward"), key=lambda name: (name not in ORDER, name)):
        yield from _preset(name)
    yield "## Functions that a preset can name\n"
    yield "A custom function is written `package.module:function`. Further keys are its options, passed as keywords.\n"
    for heading, known in (("Criteria", CRITERIA), ("Parsers", PARSERS), ("Matchers", MATCHERS)):
        yield f"### {heading}\n"
        yield _functions(known) + "\n"
    yield "### Functions of released code\n"
    yield "Exact re-implementations of released rewards, bugs included. Only the presets of these releases use them.\n"
    yield _functions(_of_releases()) + "\n"
    yield from _curricula()


def _preset(name: str) -> Iterator[str]:
    config = read_preset(name)
    yield f"### `vision_r1/reward={name}`\n\n{linked(read_annotated(CONFIG / 'reward' / f'{name}.yaml').header)}\n"
    yield f"`total: {config['total']}`, `on_error: {config['on_error']}`.\n"
    rows = []
    for task, rules in _tasks(config["tasks"]):
        same = f"{code(_written(rules['parser']))} and {code(_written(rules['matcher']))}"
        for number, (criterion, options) in enumerate(rules["criteria"].items()):
            first = (task, code(rules.get("frame", "")), same) if not number else ("", "", "")
            chosen = {key: value for key, value in options.items() if key != "weight"}
            rows.append((*first, f"`{criterion}`", code(options["weight"]), code(_written(chosen) if chosen else "")))
    yield table(("task", "frame", "parser and matcher", "criterion", "weight", "function and options"), rows) + "\n"


def _tasks(tasks: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The configuration of each task; one that several tasks share comes once."""
    names = list(tasks)
    for place, name in enumerate(names):
        if tasks[name] not in [tasks[other] for other in names[:place]]:
            yield " ".join(f"`{other}`" for other in names if tasks[other] == tasks[name]), tasks[name]


def _written(config: Any) -> str:
    """A function and its options, without the package's name."""
    if isinstance(config, dict):
        return ", ".join(f"{key}: {_written(value)}" for key, value in config.items())
    return plain(config).removeprefix("verl_vision_r1.")


def _functions(known: Mapping[str, Callable[..., Any]]) -> str:
    rows = [
        (f"`{name}`", first_sentence(function), _options(function), section(function, "Returns"))
        for name, function in known.items()
    ]
    return table(("name", "meaning", "options", "value"), rows)


def _options(function: Callable[..., Any]) -> str:
    """The keyword arguments of a function, their defaults and what its docstring says of them."""
    described = entries(function, "Args")
    options = [item for item in inspect.signature(function).parameters.values() if item.kind is item.KEYWORD_ONLY]
    return " ".join(f"`{item.name}: {plain(item.default)}` {described.get(item.name, '')}".strip() for item in options)


def _of_releases() -> dict[str, Callable[..., Any]]:
    """Every function of a release that a preset names, by its path."""
    import importlib

    found = {}
    for name in names_in("reward"):
        for path in _paths(read_preset(name)["tasks"]):
            module, _, attribute = path.partition(":")
            found[path.removeprefix("verl_vision_r1.")] = getattr(importlib.import_module(module), attribute)
    return dict(sorted(found.items()))


def _paths(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        for value in config.values():
            yield from _paths(value)
    elif isinstance(config, str) and ":" in config:
        yield config


def _curricula() -> Iterator[str]:
    yield "## Curricula\n"
    yield "A stage begins at a fraction of the training steps, or at a step. Validation uses one stage throughout.\n"
    rows = []
    for name in names_in("curriculum"):
        curriculum = load_curriculum(name)
        header = linked(read_annotated(CONFIG / "curriculum" / f"{name}.yaml").header)
        for stage in curriculum.stages:
            begins = f"step {stage.at_step}" if stage.at_step is not None else f"{stage.at:.3g}"
            first = (f"`{name}`", header) if not stage.index else ("", "")
            numbers = [f"{number:.2f}" for number in (stage.xi0, stage.xi1, stage.xi2, stage.least_iou_for_precision)]
            rows.append((*first, begins, *numbers, curriculum.interpolation, curriculum.validation))
    heading = ("`vision_r1/curriculum`", "meaning", "from", "`xi0`", "`xi1`", "`xi2`", "`precision_xi0`")
    yield table((*heading, "`interpolation`", "`validation`"), rows) + "\n"
