"""Recipes as verl composes and types them, without Ray and without a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from compose_once import compose_once
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict

import verl_vision_r1

CONFIG = Path(verl_vision_r1.__file__).parent / "config"
RECIPES = sorted(path.stem for path in (CONFIG / "recipe").glob("*.yaml"))
EVALUATIONS = [name for name in RECIPES if name.startswith("eval_")]
SUPERVISED = [name for name in RECIPES if "_sft_" in name]
TRAININGS = [name for name in RECIPES if name not in (*EVALUATIONS, *SUPERVISED, "vision_r1_cpu")]
FOLDERS = Path(__file__).parents[2] / "recipes"

ONE_GPU = [name for name in TRAININGS if name.endswith(("_1gpu", "_24gb"))]


def gpu_memory(name: str) -> int:
    """GB of a GPU that a recipe is made for."""
    return 24 if name.endswith("_24gb") else 80


@contextmanager
def verls_configuration() -> Iterator[None]:
    """Hydra set up as in `python -m verl.trainer.main_ppo`, with our groups on its search path."""
    import verl  # noqa: F401  Loads the plugin.

    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None):
        yield


def composed(*overrides: str) -> Any:
    """The configuration of a run."""
    return compose_once("ppo_trainer", overrides)


@cache
def as_it_is(name: str) -> Any:
    """The configuration of a recipe without overrides, composed once for many tests; not to be changed."""
    return composed(f"+recipe={name}")


def validate(config: Any) -> None:
    """Resolve everything, and ask verl's own checks, those of `main_ppo` and those of the worker's typed parts."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    OmegaConf.to_container(config, resolve=True)
    for part in ("actor_rollout_ref", "algorithm", "data", "trainer", "vision_r1"):
        OmegaConf.to_container(config[part], resolve=True, throw_on_missing=True)
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    parts = config.actor_rollout_ref
    reference = _as_the_worker_names_it(parts.ref, parts.actor.ppo_mini_batch_size)
    for part in (parts.actor, reference, parts.rollout, parts.rollout.checkpoint_engine, config.algorithm):
        omega_conf_to_dataclass(part)
    assert parts.actor.use_dynamic_bsz == parts.rollout.log_prob_use_dynamic_bsz


def _as_the_worker_names_it(reference: Any, mini_batch: int) -> Any:
    """verl's worker gives the keys of the reference model the names of an actor's before it types them."""
    renamed = OmegaConf.create(OmegaConf.to_container(reference, resolve=True))
    with open_dict(renamed):
        renamed.ppo_mini_batch_size = mini_batch
        for old, new in (
            ("log_prob_micro_batch_size", "ppo_micro_batch_size"),
            ("log_prob_micro_batch_size_per_gpu", "ppo_micro_batch_size_per_gpu"),
            ("log_prob_use_dynamic_bsz", "use_dynamic_bsz"),
            ("log_prob_max_token_len_per_gpu", "ppo_max_token_len_per_gpu"),
        ):
            renamed[new] = renamed.pop(old, None)
    return renamed


def built_trainer(config: Any) -> Any:
    """The trainer of the run's mode, which checks what the mode needs when it is built; nothing is started."""
    from verl.trainer.ppo.v1 import get_trainer_cls

    import verl_vision_r1.training.trainer  # noqa: F401  Registers our modes.

    return get_trainer_cls(config.trainer.v1.trainer_mode)(config)


def training_gpus(config: Any) -> int:
    """GPUs that train."""
    return int(config.trainer.nnodes * config.trainer.n_gpus_per_node)


def nodes(config: Any) -> int:
    """Nodes of the whole run: those that train, and those that only generate."""
    return int(config.trainer.nnodes + config.actor_rollout_ref.rollout.nnodes)
