"""Whether verl and Hydra find the plugin, its recipes and its classes."""

import contextlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Iterator
from importlib import resources
from typing import Any, Final

from verl_vision_r1.preflight.doctor.check import Case, FailedError, SkippedError, check, need
from verl_vision_r1.preflight.doctor.versions import engine

PLUGIN: Final = "verl_vision_r1.plugin"
REINSTALL: Final = "install the package into the environment of verl: pip install --force-reinstall --no-deps"
ONLY_TO_TRAIN: Final = ("transfer_queue", "qwen_vl_utils")
"""What verl imports when it trains, but a plain `pip install verl` does not bring."""


@check("plugin", f"{REINSTALL} verl-vision-r1")
def plugin(case: Case) -> str:
    """The entry point is there, and importing verl has loaded it."""
    import verl  # noqa: F401  Importing it loads the plugins.

    entries = [entry for entry in importlib.metadata.entry_points(group="verl.plugins") if entry.value == PLUGIN]
    if not entries:
        raise FailedError(f"no entry point {PLUGIN} in the group verl.plugins")
    if PLUGIN in sys.modules:
        return f"verl has loaded {entries[0].name} ({PLUGIN})"
    chosen = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto")
    if chosen.strip().lower() != "auto":
        raise FailedError(
            f"VERL_USE_EXTERNAL_PLUGINS is {chosen!r} and keeps it out", f"add {entries[0].name}, or unset it"
        )
    with contextlib.redirect_stderr(io.StringIO()):  # The plugin shows its traceback itself.
        entries[0].load()
    raise FailedError("it loads now, but verl did not load it when it was imported", "import verl before its plugins")


@check("recipes", "compare the overrides with the recipe: python -m verl.trainer.main_ppo +recipe=NAME --cfg job")
def recipes(case: Case) -> str:
    """The run, or every recipe, composes on top of verl's configuration."""
    wanted = (
        {"the run": list(case.overrides)} if case.overrides else {name: [f"+recipe={name}"] for name in _recipes()}
    )
    with _hydra() as loader:
        from hydra import compose

        configs = {name: compose("ppo_trainer", overrides=overrides) for name, overrides in wanted.items()}
        groups = {name: loader.get_group_options(f"vision_r1/{name}") for name in ("reward", "prompt", "curriculum")}
    for name, config in configs.items():
        _check_composed(name, config)
    case.configs, case.groups = configs, groups
    return f"{', '.join(configs)}: composed on verl's ppo_trainer"


def _check_composed(name: str, config: Any) -> None:
    if "recipe" in config:
        raise FailedError(
            f"{name}: +recipe= became a plain key, our configurations are not on Hydra's search path", REINSTALL
        )
    if "vision_r1" not in config:
        raise FailedError(
            f"{name}: no key vision_r1 in the configuration", "add +recipe=NAME, one of " + ", ".join(_recipes())
        )


@contextlib.contextmanager
def _hydra() -> Iterator[Any]:
    """The configurations of verl, as its trainer has them."""
    import verl  # noqa: F401  Importing it puts ours on the search path.
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("verl.trainer.config", version_base=None):
            yield GlobalHydra.instance().config_loader()
    finally:
        GlobalHydra.instance().clear()


def _recipes() -> list[str]:
    folder = resources.files("verl_vision_r1").joinpath("config", "recipe")
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


@check("rewards", "correct the key that is named; vision-r1 attacks lists the presets")
def rewards(case: Case) -> str:
    """Hydra finds the groups, and what the run chose of them, or all that is in them, is right."""
    groups = need(case.groups, "recipes")
    if empty := [f"vision_r1/{name}" for name, names in groups.items() if not names]:
        raise FailedError(f"Hydra finds nothing in {', '.join(empty)}", f"{REINSTALL} verl-vision-r1")
    return _of_run(case) if case.overrides else _of_package(case, groups)


def _of_run(case: Case) -> str:
    from omegaconf import OmegaConf

    from verl_vision_r1.settings import Settings

    case.settings = Settings.from_config(OmegaConf.to_container(case.run.vision_r1, resolve=True))  # type: ignore[arg-type]
    case.presets = {"the run": case.settings.preset}
    questions = ", ".join(case.settings.prompts.templates) or "those of the rows"
    criteria = ", ".join(case.settings.preset.criteria)
    return f"criteria {criteria} for {', '.join(case.settings.preset.tasks)}; questions: {questions}"


def _of_package(case: Case, groups: dict[str, list[str]]) -> str:
    from verl_vision_r1.rewards.presets import load_curriculum, load_preset, load_prompts

    presets = {name: load_preset(name) for name in groups["reward"]}
    for name in groups["prompt"]:
        load_prompts(name)
    for name in groups["curriculum"]:
        load_curriculum(name)
    case.presets = presets
    return ", ".join(f"{len(names)} in vision_r1/{group}" for group, names in groups.items())


@check("reward manager", "leave it to the recipe, or write reward.reward_manager.source=register and .name=vision_r1")
def reward_manager(case: Case) -> str:
    """The class that verl would take is ours, or one made of it."""
    from verl_vision_r1.reward_manager.manager import VisionR1RewardManager

    for name, config in need(case.configs, "recipes").items():
        wanted = config.reward.reward_manager
        chosen = _reward_manager(wanted)
        if not (isinstance(chosen, type) and issubclass(chosen, VisionR1RewardManager)):
            raise FailedError(
                f"{name}: reward.reward_manager.name is {wanted.name!r}, which is {_name(chosen)}, not ours"
            )
    return f"reward.reward_manager.name={wanted.name} is {_name(chosen)}"


def _reward_manager(wanted: Any) -> Any:
    if wanted.source == "importlib":
        from verl.utils.import_utils import load_extern_object

        return load_extern_object(wanted.module.path, wanted.name)
    from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

    return get_reward_manager_cls(wanted.name)


def _name(found: Any) -> str:
    return f"{getattr(found, '__module__', '?')}.{getattr(found, '__qualname__', found)}"


@check("classes", "leave data.custom_cls, agent_loop_manager_class and trainer.v1.trainer_mode to the recipe")
def classes(case: Case) -> str:
    """The data set, the agent loop manager and the trainer that are configured can be imported."""
    found: set[str] = set()
    try:
        for config in need(case.configs, "recipes").values():
            found |= {_name(cls) for cls in _classes(config)}
    except ModuleNotFoundError as error:
        if case.overrides or error.name not in ONLY_TO_TRAIN:
            raise
        raise SkippedError(f"{error.name} is not installed; training needs it") from error
    return ", ".join(sorted(found))


def _classes(config: Any) -> Iterator[Any]:
    yield _dataset(config.data.custom_cls)
    yield _agent_loop(config.actor_rollout_ref.rollout.agent)
    from verl.trainer.ppo.v1 import get_trainer_cls

    yield get_trainer_cls(config.trainer.v1.trainer_mode)


def _dataset(wanted: Any) -> Any:
    from verl.utils.import_utils import load_extern_object

    if not wanted.path:
        raise FailedError(
            "data.custom_cls.path is not set: verl would neither check the rows nor narrow their pixel bounds"
        )
    return load_extern_object(wanted.path, wanted.name)


def _agent_loop(wanted: Any) -> Any:
    from verl.utils.import_utils import load_class_from_fqn

    name = wanted.get("agent_loop_manager_class")
    if not name:
        raise FailedError("agent_loop_manager_class is not set: validation would be scored like training")
    return load_class_from_fqn(name, "AgentLoopManager")


CHECKS: Final = (plugin, recipes, rewards, engine, reward_manager, classes)
