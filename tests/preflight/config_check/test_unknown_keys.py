"""Misspelt keys of verl that `+` adds silently."""

from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Any

import pytest
from compose_once import compose_once
from omegaconf import OmegaConf

pytest.importorskip("transfer_queue", reason="verl's trainer needs TransferQueue")
pytestmark = pytest.mark.verl

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("+trainer.n_gpu_per_node=4", "trainer.n_gpus_per_node"),
        ("++trainer.total_epoch=4", "trainer.total_epochs"),
        ("+actor_rollout_ref.rollout.temprature=0.5", "actor_rollout_ref.rollout.temperature"),
        ("+actor_rollout_ref.rollout.enable_sleep_modes=true", "actor_rollout_ref.rollout.enable_sleep_mode"),
        ("+actor_rollout_ref.actor.optimm.lr=1", "actor_rollout_ref.actor.optim"),
        ("+actor_rollout_ref.rollout.engine_kwargs.vlm.x=1", "actor_rollout_ref.rollout.engine_kwargs.vllm"),
        ("+data.val_file=x.parquet", "data.val_files"),
        ("+algorithm.kl_ctrl.kl_coeff=0.1", "algorithm.kl_ctrl.kl_coef"),
        ("+trainr.nnodes=2", "trainer"),
    ],
)
def test_a_misspelt_key_is_named(run: Run, override: str, expected: str) -> None:
    from verl_vision_r1.preflight.config_check import check_keys

    with pytest.raises(ValueError, match=f": expected {expected}, without \\+, got a key that verl does not have$"):
        check_keys(run(override))


@pytest.mark.parametrize(
    "override",
    [
        "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
        "+actor_rollout_ref.rollout.engine_kwargs.vllm.max_num_seq=3",
        "+actor_rollout_ref.actor.megatron.override_transformer_config.recompute_modul=x",
        "+actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype=fp32",  # A field of a dataclass.
        "+trainer.remove_previous_ckpt_in_save=true",
        "+data.mm_processor_kwargs.max_pixels=401408",
        "+data.cache_dir=x",
        "+ray_kwargs.ray_init.num_gpus=1",  # Resembles num_cpus.
        "+ray_kwargs.ray_init.runtime_env.env_vars.X=1",
        "+reward.custom_reward_function.reward_kwargs.x=1",
        "+trainer.mine=1",
        "+mine.key=1",
    ],
)
def test_other_keys_pass(override: str) -> None:
    from verl_vision_r1.preflight.config_check.unknown import check_known

    check_known(compose_once("ppo_trainer", overrides=[override]))


@pytest.mark.parametrize("engine", ["dp", "megatron", "torchtitan", "veomni"])
def test_the_known_keys_are_those_that_verl_composes(engine: str) -> None:
    from verl_vision_r1.preflight.config_check.unknown import _verls_keys

    composed = OmegaConf.to_container(compose_once("ppo_trainer", overrides=[f"model_engine={engine}"]))
    assert set(paths(composed)) - {"model_engine"} == set(paths(_verls_keys(engine)))


def paths(config: Any, block: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield f"{block}{key}"
        if isinstance(value, Mapping):
            yield from paths(value, f"{block}{key}.")


def test_names_that_verls_code_reads_are_found() -> None:
    from verl_vision_r1.preflight.config_check.unknown import _is_read

    assert _is_read("n_gpus_per_node")
    assert _is_read("remove_previous_ckpt_in_save")  # Read with `get`; not in the configuration.
    assert not _is_read("n_gpu_per_node")


RECIPES = sorted(
    entry.name.removesuffix(".yaml")
    for entry in (resources.files("verl_vision_r1") / "config" / "recipe").iterdir()
    if entry.name.endswith(".yaml") and "sft" not in entry.name  # verl's SFT trainer has a configuration of its own.
)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_passes(recipe: str) -> None:
    from verl_vision_r1.preflight.config_check.unknown import check_known

    config = compose_once("ppo_trainer", overrides=[f"+recipe={recipe}"])
    check_known(config)
