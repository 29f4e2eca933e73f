"""Checks of the installation: verl and Hydra find the plugin, its recipes and its classes."""

import contextlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Iterator
from importlib import resources
from typing import Any, Final

from verl_vision_r1 import supported
from verl_vision_r1.preflight.doctor.check import Case, FailedError, SkippedError, check, need
from verl_vision_r1.preflight.doctor.versions import engine

PLUGIN: Final = "verl_vision_r1.plugin"
REINSTALL: Final = "install it into verl's environment: pip install --force-reinstall --no-deps verl-vision-r1"
ONLY_TO_TRAIN: Final = ("transfer_queue", "qwen_vl_utils")
"""Modules that verl imports for training but `pip install verl` does not install."""


@check("plugin", REINSTALL)
def plugin(case: Case) -> str:
    """The entry point is installed, and importing verl has loaded it."""
    import verl  # Importing it loads the plugins.

    entries = [entry for entry in importlib.metadata.entry_points(group="verl.plugins") if entry.value == PLUGIN]
    if not entries:
        raise FailedError(f"no entry point {PLUGIN} in the group verl.plugins")
    if PLUGIN in sys.modules:
        notice = supported.notice(verl.__version__)
        return f"verl has loaded {entries[0].name} ({PLUGIN})" + (f"; {notice}" if notice else "")
    chosen = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto")
    if chosen.strip().lower() != "auto":
        raise FailedError(
            f"VERL_USE_EXTERNAL_PLUGINS={chosen!r} disables the plugin",
            f"add {entries[0].name} to VERL_USE_EXTERNAL_PLUGINS, or unset it",
        )
    with contextlib.redirect_stderr(io.StringIO()):  # The plugin prints its own traceback.
        entries[0].load()
    raise FailedError("importing verl has not loaded the plugin, but it can be imported", "import verl first")


@check("recipes", "compare the overrides with the recipe: python -m verl.trainer.main_ppo +recipe=NAME --cfg job")
def recipes(case: Case) -> str:
    """The run, or every recipe, composes on top of verl's configuration."""
    runs = {"the run": list(case.overrides)} if case.overrides else {name: [f"+recipe={name}"] for name in _recipes()}
    with _hydra() as loader:
        from hydra import compose

        configs = {name: compose("ppo_trainer", overrides=overrides) for name, overrides in runs.items()}
        groups = {name: loader.get_group_options(f"vision_r1/{name}") for name in ("reward", "prompt", "curriculum")}
    for name, config in configs.items():
        _check_composed(name, config)
    case.configs, case.groups = configs, groups
    return f"{', '.join(configs)}: composed on verl's ppo_trainer"


def _check_composed(name: str, config: Any) -> None:
    if "recipe" in config:
        raise FailedError(
            f"{name}: Hydra took +recipe= for a plain key: the recipes are not on its search path", REINSTALL
        )
    if "vision_r1" not in config:
        raise FailedError(
            f"{name}: no key vision_r1 in the configuration", "add +recipe=NAME, one of " + ", ".join(_recipes())
        )


@contextlib.contextmanager
def _hydra() -> Iterator[Any]:
    """Hydra with verl's configuration, as in verl's trainer."""
    import verl  # noqa: F401  Importing it adds the recipes to the search path.
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("verl.trainer.config", version_base=None):
            yield GlobalHydra.instance().config_loader()
    finally:
        GlobalHydra.instance().clear()


def _recipes() -> list[str]:
    """The recipes of `main_ppo`; those with `_sft_` are for verl's supervised trainer."""
    folder = resources.files("verl_vision_r1").joinpath("config", "recipe")
    names = (entry.name for entry in folder.iterdir())
    return sorted(name[:-5] for name in names if name.endswith(".yaml") and "_sft_" not in name)


@check("rewards", "correct the key in the message; vision-r1 attacks lists the presets")
def rewards(case: Case) -> str:
    """The key `vision_r1` of the run, or every preset, prompt template and curriculum of the package, is valid."""
    groups = need(case.groups, "recipes")
    if empty := [f"vision_r1/{name}" for name, names in groups.items() if not names]:
        raise FailedError(f"Hydra finds no configuration in {', '.join(empty)}", REINSTALL)
    return _rewards_of_run(case) if case.overrides else _rewards_of_package(case, groups)


def _rewards_of_run(case: Case) -> str:
    from omegaconf import OmegaConf

    from verl_vision_r1.settings import Settings

    case.settings = Settings.from_config(OmegaConf.to_container(case.run.vision_r1, resolve=True))  # type: ignore[arg-type]
    case.presets = {"the run": case.settings.preset}
    templates = ", ".join(case.settings.prompts.templates) or "none, the samples have their own prompts"
    criteria = ", ".join(case.settings.preset.criteria)
    return f"criteria {criteria} for {', '.join(case.settings.preset.tasks)}; prompt templates: {templates}"


def _rewards_of_package(case: Case, groups: dict[str, list[str]]) -> str:
    from verl_vision_r1.rewards.presets import load_curriculum, load_preset, load_prompts

    presets = {name: load_preset(name) for name in groups["reward"]}
    for name in groups["prompt"]:
        load_prompts(name)
    for name in groups["curriculum"]:
        load_curriculum(name)
    case.presets = presets
    return ", ".join(f"{len(names)} in vision_r1/{group}" for group, names in groups.items())


@check("reward manager", "do not override it, or set reward.reward_manager.source=register and .name=vision_r1")
def reward_manager(case: Case) -> str:
    """The class that verl loads is that of this package or a subclass."""
    from verl_vision_r1.reward_manager.manager import VisionR1RewardManager

    for name, config in need(case.configs, "recipes").items():
        key = config.reward.reward_manager
        loaded = _reward_manager(key)
        if not (isinstance(loaded, type) and issubclass(loaded, VisionR1RewardManager)):
            raise FailedError(
                f"{name}: reward.reward_manager.name: expected vision_r1, got {key.name!r} ({_name(loaded)})"
            )
    return f"reward.reward_manager.name={key.name} is {_name(loaded)}"


def _reward_manager(key: Any) -> Any:
    if key.source == "importlib":
        from verl.utils.import_utils import load_extern_object

        return load_extern_object(key.module.path, key.name)
    from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

    return get_reward_manager_cls(key.name)


def _name(found: Any) -> str:
    return f"{getattr(found, '__module__', '?')}.{getattr(found, '__qualname__', found)}"


@check("classes", "do not override data.custom_cls, agent_loop_manager_class and trainer.v1.trainer_mode")
def classes(case: Case) -> str:
    """The configured dataset, agent loop manager and trainer can be imported."""
    found: set[str] = set()
    try:
        for config in need(case.configs, "recipes").values():
            found |= {_name(cls) for cls in _classes(config)}
    except ModuleNotFoundError as error:
        if case.overrides or error.name not in ONLY_TO_TRAIN:
            raise
        raise SkippedError(f"{error.name} is not installed, needed for training") from error
    return ", ".join(sorted(found))


def _classes(config: Any) -> Iterator[Any]:
    yield _dataset(config.data.custom_cls)
    yield _agent_loop(config.actor_rollout_ref.rollout.agent)
    from verl.trainer.ppo.v1 import get_trainer_cls

    yield get_trainer_cls(config.trainer.v1.trainer_mode)


def _dataset(key: Any) -> Any:
    from verl.utils.import_utils import load_extern_object

    if not key.path:
        raise FailedError(
            "data.custom_cls.path: expected a path, got none; verl's own dataset neither checks samples nor uses their"
            " pixel bounds"
        )
    return load_extern_object(key.path, key.name)


def _agent_loop(key: Any) -> Any:
    from verl.utils.import_utils import load_class_from_fqn

    name = key.get("agent_loop_manager_class")
    if not name:
        raise FailedError(
            "actor_rollout_ref.rollout.agent.agent_loop_manager_class: expected a class, got none; verl's own manager"
            " scores validation like training"
        )
    return load_class_from_fqn(name, "AgentLoopManager")


CHECKS: Final = (plugin, recipes, rewards, engine, reward_manager, classes)
