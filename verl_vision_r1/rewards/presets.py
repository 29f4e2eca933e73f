"""Reward presets: reads and checks the Hydra groups `vision_r1/reward`, `vision_r1/curriculum` and `vision_r1/prompt`.

A configuration is checked here once, before training starts: every mistake raises a `ValueError` that says the key,
what was expected and what it got.
"""

import functools
import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from verl_vision_r1.frames import FRAMES
from verl_vision_r1.prompts import Prompts
from verl_vision_r1.renamed import KEYS, hint
from verl_vision_r1.rewards.answers import PARSERS
from verl_vision_r1.rewards.criteria import CRITERIA
from verl_vision_r1.rewards.matching import MATCHERS
from verl_vision_r1.rewards.refinement import Curriculum
from verl_vision_r1.rewards.scoring import TOTALS, TaskRules, WeightedCriterion
from verl_vision_r1.targets import TASKS, Target


@dataclass(frozen=True)
class Preset:
    """The reward configuration of each task.

    Attributes:
        tasks: Reward configuration by task name.
    """

    tasks: dict[str, TaskRules]

    @property
    def criteria(self) -> tuple[str, ...]:
        """The names of all criteria of all tasks, sorted."""
        return tuple(sorted({item.name for rules in self.tasks.values() for item in rules.criteria}))

    def rules_of(self, target: Target) -> TaskRules:
        """The reward configuration of a target's task.

        Raises:
            ValueError: The preset has no configuration for the task.
        """
        if target.task not in self.tasks:
            raise ValueError(f"preset: expected rules for one of {', '.join(self.tasks)}, got task {target.task!r}")
        return self.tasks[target.task]


def load_preset(name: str) -> Preset:
    """Load a built-in or custom preset.

    Args:
        name: The name of a built-in preset, or the path of a YAML file that ends in `.yaml`.

    Raises:
        ValueError: There is no preset of that name, or the file is not a valid preset.
        FileNotFoundError: The file does not exist.

    Example:
        >>> load_preset("vision_r1").criteria
        ('format', 'precision', 'recall')
    """
    if name.endswith(".yaml"):
        return preset_from_config(_without_defaults(_read_yaml(Path(name))))
    return preset_from_config(read_preset(name))


def read_preset(name: str) -> dict[str, Any]:
    """The configuration of a built-in preset, which you can change and pass to `preset_from_config`.

    Raises:
        ValueError: There is no preset of that name.

    Example:
        >>> read_preset("vision_r1")["total"]
        'sum'
    """
    config: dict[str, Any] = _read_group("reward", name)
    return config


def load_curriculum(name: str) -> Curriculum:
    """Load a built-in curriculum.

    Raises:
        ValueError: There is no curriculum of that name.

    Example:
        >>> [stage.xi2 for stage in load_curriculum("halfway").stages]
        [0.75, 0.9]
    """
    return Curriculum.from_config(_read_group("curriculum", name))


def load_prompts(name: str) -> Prompts:
    """Load built-in prompt templates.

    Raises:
        ValueError: There are no templates of that name.

    Example:
        >>> sorted(load_prompts("visual_rft").templates)
        ['category', 'class', 'count', 'expression']
    """
    return Prompts.from_config(_read_group("prompt", name))


def names_in(group: str) -> tuple[str, ...]:
    """The names in one of our Hydra groups, sorted.

    Args:
        group: `reward`, `curriculum`, `prompt` or another folder of `config/vision_r1`.

    Example:
        >>> names_in("curriculum")
        ('beginner_only', 'halfway', 'linear', 'none', 'release_2025', 'third')
    """
    folder = resources.files("verl_vision_r1").joinpath("config", "vision_r1", group)
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def preset_from_config(config: Mapping[str, Any]) -> Preset:
    """Check a configuration of the group `vision_r1/reward`.

    Raises:
        ValueError: A key, task, parser, matcher, criterion or weight is invalid.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"vision_r1.reward: expected a mapping, got {config!r:.60}")
    _expect_keys("vision_r1.reward", config, required={"tasks"}, optional={"total", "on_error"})
    on_error = _expect_one_of("vision_r1.reward.on_error", config.get("on_error", "zero"), ("zero", "raise"))
    total = _expect_one_of("vision_r1.reward.total", config.get("total", "sum"), TOTALS)
    _expect_mapping("vision_r1.reward.tasks", config["tasks"])
    tasks = {name: _task_rules(name, task, total, on_error) for name, task in config["tasks"].items()}
    return Preset(tasks)


def _task_rules(name: str, config: Any, total: str, on_error: str) -> TaskRules:
    _expect_one_of("vision_r1.reward.tasks: task", name, TASKS)
    where = f"vision_r1.reward.tasks.{name}"
    _expect_mapping(where, config)
    _expect_keys(where, config, required={"parser", "matcher", "criteria"}, optional={"frame"})
    parser = _function(f"{where}.parser", config["parser"], PARSERS)
    matcher = _function(f"{where}.matcher", config["matcher"], MATCHERS)
    frame = config.get("frame")
    if frame is not None:
        _expect_one_of(f"{where}.frame", frame, FRAMES)
    _expect_mapping(f"{where}.criteria", config["criteria"])
    criteria = tuple(_criterion(f"{where}.criteria.{key}", key, item) for key, item in config["criteria"].items())
    if not math.fsum(item.weight for item in criteria) > 0:
        raise ValueError(f"{where}.criteria: expected a sum of weights > 0, got {[c.weight for c in criteria]}")
    return TaskRules(parser, matcher, criteria, frame, total, on_error)


def _criterion(where: str, name: str, config: Any) -> WeightedCriterion:
    _expect_mapping(where, config)
    weight = config.get("weight", 1.0)
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not math.isfinite(weight) or weight < 0:
        raise ValueError(f"{where}.weight: expected a finite number >= 0, got {weight!r}")
    named = {"function": name, **{key: value for key, value in config.items() if key != "weight"}}
    return WeightedCriterion(name, _function(where, named, CRITERIA), float(weight))


def _function(where: str, config: Any, known: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """A parser, matcher or criterion, from a name or a mapping with `function` (name or import path) and options."""
    if isinstance(config, str):
        config = {"function": config}
    _expect_mapping(where, config)
    _expect_keys(where, config, required={"function"}, optional=set(config))
    options = {key: value for key, value in config.items() if key != "function"}
    path = str(config["function"])
    function = _import(where, path) if ":" in path else known[_expect_one_of(where, path, tuple(known))]
    if not options:
        return function
    parameters = inspect.signature(function).parameters.values()
    allowed = {item.name for item in parameters if item.kind is item.KEYWORD_ONLY}
    anything = any(item.kind is item.VAR_KEYWORD for item in parameters)
    if (unknown := set(options) - allowed) and not anything:
        raise ValueError(f"{where}: expected options of {path} among {sorted(allowed)}, got {sorted(unknown)}")
    if hasattr(function, "check_options"):
        try:
            function.check_options(**options)
        except ValueError as error:
            raise ValueError(f"{where}.{error}") from error
    return functools.partial(function, **options)


def _import(where: str, path: str) -> Callable[..., Any]:
    module, _, attribute = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{where}.function: expected package.module:function, got {path!r}: {error}") from error
    if not callable(function):
        raise ValueError(f"{where}.function: expected a function, got {type(function).__name__} from {path!r}")
    return function  # type: ignore[no-any-return]


def _read_group(group: str, name: str) -> Any:
    _expect_one_of(f"vision_r1/{group}", name, names_in(group))
    file = resources.files("verl_vision_r1").joinpath("config", "vision_r1", group, f"{name}.yaml")
    return _without_defaults(yaml.safe_load(file.read_text(encoding="utf-8")))


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        where = str(error).replace("\n", " ")
        raise ValueError(f"{path}: expected valid YAML, got an error: {where}") from error


def _without_defaults(config: Any) -> Any:
    """Remove Hydra's `defaults` list, as Hydra itself does."""
    return {key: value for key, value in config.items() if key != "defaults"} if isinstance(config, dict) else config


def _expect_one_of(where: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{where}: expected one of {', '.join(allowed)}, got {value!r}")
    return str(value)


def _expect_mapping(where: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"{where}: expected a mapping with at least one key, got {value!r}")


def _expect_keys(
    where: str, config: Mapping[str, Any], required: set[str], optional: frozenset[str] | set[str] = frozenset()
) -> None:
    missing, unknown = required - set(config), set(config) - required - set(optional)
    if missing or unknown:
        raise ValueError(
            f"{where}: expected the keys {sorted(required | set(optional))}, got {sorted(config)}"
            f" (missing {sorted(missing)}, unknown {sorted(unknown)}){hint(sorted(unknown), KEYS)}"
        )
