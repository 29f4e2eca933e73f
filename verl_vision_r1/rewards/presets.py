"""Reward presets: reads and checks the Hydra groups `vision_r1/reward`, `vision_r1/curriculum` and `vision_r1/prompt`.

A configuration is checked here once, before training starts: every mistake raises a `ValueError` that says the key,
what was expected and what it got.
"""

import functools
import importlib
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from verl_vision_r1.documents import parse_yaml, read_text
from verl_vision_r1.frames import FRAMES
from verl_vision_r1.prompts import Prompts
from verl_vision_r1.renamed import KEYS, hint
from verl_vision_r1.rewards.answers import PARSERS
from verl_vision_r1.rewards.criteria import CRITERIA
from verl_vision_r1.rewards.matching import MATCHERS
from verl_vision_r1.rewards.options import check_kinds
from verl_vision_r1.rewards.refinement import Curriculum
from verl_vision_r1.rewards.scoring import TOTALS, TaskRules, WeightedCriterion
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import TASKS, Target

RELEASED: Final = re.compile(r"(verl_vision_r1\.rewards\.releases\.[a-z][a-z0-9_]*):([a-z][a-z0-9_]*)")
"""Import paths of the re-implemented releases, the only ones that are followed in files of others."""

WITHOUT_LABELS: Final = (
    *("tagged_boxes", "tagged_corners", "glm_boxes"),
    "verl_vision_r1.rewards.releases.visual_rft:parse_boxes",
)
"""Parsers of boxes without labels."""
COMPARE_LABELS: Final = ("assignment", "same_label", "verl_vision_r1.rewards.releases.vision_r1:match")
"""Matchers that need labels."""


@dataclass(frozen=True)
class Unevaluated:
    """Stands for a custom function that a file of somebody else names: it is not imported.

    Attributes:
        key: The key of the configuration, such as `detection.parser`.
        name: The function, as the file names it.
    """

    key: str
    name: str

    def __call__(self, *arguments: Any, **options: Any) -> NoReturn:
        """Refuse to be called.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(f"{self.key}: {self.name} is not imported, because its configuration is not trusted")


@dataclass(frozen=True)
class Preset:
    """The reward configuration of each task.

    Attributes:
        tasks: Reward configuration by task name.
    """

    tasks: dict[str, TaskRules]

    @property
    def unevaluated(self) -> tuple[Unevaluated, ...]:
        """The custom functions that were not imported; see `preset_from_config`."""
        functions = (function for rules in self.tasks.values() for function in rules.functions)
        return tuple(function for function in functions if isinstance(function, Unevaluated))

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
        ('format', 'hit', 'nearness', 'precision', 'recall')
    """
    if name.endswith(".yaml"):
        return preset_from_config(_without_defaults(parse_yaml(read_text(Path(name)), name)))
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
        ('beginner_only', 'halfway', 'linear', 'none', 'release_2025', 'third', 'when_ready')
    """
    folder = resources.files("verl_vision_r1").joinpath("config", "vision_r1", group)
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def preset_from_config(config: Mapping[str, Any], trusted: bool = True) -> Preset:
    """Check a configuration of the group `vision_r1/reward`.

    Args:
        config: Plain dictionaries and lists.
        trusted: Whether custom functions (`package.module:function`) are imported, which runs code of that package.
            If not, an `Unevaluated` stands for each, and nothing outside this package is imported.

    Raises:
        ValueError: A key, task, parser, matcher, criterion, option or weight is invalid.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"vision_r1.reward: expected a mapping, got {shown(config, 60)}")
    _expect_keys("vision_r1.reward", config, required={"tasks"}, optional={"total", "on_error"})
    on_error = _expect_one_of("vision_r1.reward.on_error", config.get("on_error", "zero"), ("zero", "raise"))
    total = _expect_one_of("vision_r1.reward.total", config.get("total", "sum"), TOTALS)
    _expect_mapping("vision_r1.reward.tasks", config["tasks"])
    tasks = {name: _task_rules(name, task, total, on_error, trusted) for name, task in config["tasks"].items()}
    return Preset(tasks)


def _task_rules(name: str, config: Any, total: str, on_error: str, trusted: bool) -> TaskRules:
    _expect_one_of("vision_r1.reward.tasks: task", name, TASKS)
    where = f"vision_r1.reward.tasks.{name}"
    _expect_mapping(where, config)
    _expect_keys(where, config, required={"parser", "matcher", "criteria"}, optional={"frame"})
    parser = _function(f"{where}.parser", config["parser"], PARSERS, trusted)
    matcher = _function(f"{where}.matcher", config["matcher"], MATCHERS, trusted)
    _expect_labels(where, config["parser"], config["matcher"])
    frame = config.get("frame")
    if frame is not None:
        _expect_one_of(f"{where}.frame", frame, FRAMES)
    _expect_mapping(f"{where}.criteria", config["criteria"])
    criteria = tuple(_criterion(where, key, item, trusted) for key, item in config["criteria"].items())
    if not math.fsum(item.weight for item in criteria) > 0:
        raise ValueError(f"{where}.criteria: expected a sum of weights > 0, got {[c.weight for c in criteria]}")
    return TaskRules(parser, matcher, criteria, frame, total, on_error)


def _criterion(task: str, name: Any, config: Any, trusted: bool) -> WeightedCriterion:
    if not isinstance(name, str):
        raise ValueError(f"{task}.criteria: expected names as keys, got {shown(name)}")
    where = f"{task}.criteria.{name}"
    _expect_mapping(where, config)
    weight = config.get("weight", 1.0)
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not 0 <= weight <= MAX_WEIGHT:
        raise ValueError(f"{where}.weight: expected a number from 0 to {MAX_WEIGHT:,}, got {shown(weight)}")
    named = {"function": name, **{key: value for key, value in config.items() if key != "weight"}}
    return WeightedCriterion(name, _function(where, named, CRITERIA, trusted), float(weight))


MAX_WEIGHT: Final = 1_000_000
"""Maximum weight of a criterion; with more, float32 loses the other criteria."""


def _expect_labels(where: str, parser: Any, matcher: Any) -> None:
    """Refuse a matcher that compares labels for a parser of boxes without labels, which would fail in training."""
    names = [item["function"] if isinstance(item, Mapping) else item for item in (parser, matcher)]
    if names[0] in WITHOUT_LABELS and names[1] in COMPARE_LABELS:
        raise ValueError(
            f"{where}.matcher: expected any_label or greedy_confidence with the parser {names[0]}, whose boxes have no"
            f" labels, got {names[1]}, which compares labels"
        )


def _function(where: str, config: Any, known: Mapping[str, Callable[..., Any]], trusted: bool) -> Callable[..., Any]:
    """A parser, matcher or criterion, from a name or a mapping with `function` (name or import path) and options."""
    if isinstance(config, str):
        config = {"function": config}
    _expect_mapping(where, config)
    _expect_keys(where, config, required={"function"}, optional=set(config))
    options = {key: value for key, value in config.items() if key != "function"}
    path = config["function"]
    if not isinstance(path, str):
        raise ValueError(f"{where}.function: expected a name or package.module:function, got {shown(path)}")
    ours = ":" not in path or RELEASED.fullmatch(path) is not None
    if not trusted and (not ours or options.get("math_verify")):
        return Unevaluated(where.removeprefix("vision_r1.reward.tasks."), path)
    function = _import(where, path, ours) if ":" in path else known[_expect_one_of(where, path, tuple(known))]
    if not options:
        return function
    _check_options(where, function, options, ours)
    return functools.partial(function, **options)


def _check_options(where: str, function: Callable[..., Any], options: Mapping[Any, Any], ours: bool) -> None:
    """Check the names of the options, for our functions also their types and ranges, and what the function checks."""
    parameters = inspect.signature(function).parameters.values()
    allowed = {item.name: item.default for item in parameters if item.kind is item.KEYWORD_ONLY}
    anything = any(item.kind is item.VAR_KEYWORD for item in parameters)
    unknown = set(options) - set(allowed)
    if unknown and not (anything and all(isinstance(name, str) for name in unknown)):
        name = getattr(function, "__name__", "function")
        raise ValueError(f"{where}: expected options of {name} among {_sorted(allowed)}, got {_sorted(unknown)}")
    try:
        if ours:
            check_kinds(options, allowed)
        if hasattr(function, "check_options"):
            function.check_options(**options)
    except ValueError as error:
        raise ValueError(f"{where}.{error}") from error


def _import(where: str, path: str, ours: bool) -> Callable[..., Any]:
    module, _, attribute = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # Importing runs code of the module, which may raise anything.
        raise ValueError(
            f"{where}.function: expected package.module:function, got {shown(path)}: {type(error).__name__}: {error}"
        ) from error
    if not callable(function) or (ours and getattr(function, "__module__", None) != module):
        raise ValueError(f"{where}.function: expected a function, got {type(function).__name__} from {shown(path)}")
    return function  # type: ignore[no-any-return]


def _read_group(group: str, name: str) -> Any:
    _expect_one_of(f"vision_r1/{group}", name, names_in(group))
    file = resources.files("verl_vision_r1").joinpath("config", "vision_r1", group, f"{name}.yaml")
    return _without_defaults(yaml.safe_load(file.read_text(encoding="utf-8")))


def _without_defaults(config: Any) -> Any:
    """Remove Hydra's `defaults` list, as Hydra itself does."""
    return {key: value for key, value in config.items() if key != "defaults"} if isinstance(config, dict) else config


def _expect_one_of(where: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{where}: expected one of {', '.join(allowed)}, got {shown(value)}")
    return str(value)


def _expect_mapping(where: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"{where}: expected a mapping with at least one key, got {shown(value)}")


def _expect_keys(
    where: str, config: Mapping[Any, Any], required: set[str], optional: Iterable[Any] = frozenset()
) -> None:
    known = required | set(optional)
    missing, unknown = required - set(config), set(config) - known
    if missing or unknown:
        raise ValueError(
            f"{where}: expected the keys {_sorted(known)}, got {_sorted(config)}"
            f" (missing {_sorted(missing)}, unknown {_sorted(unknown)}){hint(sorted(map(str, unknown)), KEYS)}"
        )


def _sorted(names: Iterable[Any]) -> str:
    """Keys for a message; those of a YAML file may be numbers too."""
    return shown(sorted(names, key=str), 300)
