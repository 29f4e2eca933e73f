"""Any recipe with any engine, rollout, mode and variant: composed, resolved, typed and checked as verl does it."""

from typing import Any

import pytest
from compositions import TRAININGS, built_trainer, composed, nodes, training_gpus, validate
from hydra.errors import ConfigCompositionException, InstantiationException
from omegaconf import OmegaConf

from verl_vision_r1.frames import resolve_frame
from verl_vision_r1.preflight import config_check
from verl_vision_r1.preflight.config_check import samples
from verl_vision_r1.rewards.presets import read_preset
from verl_vision_r1.settings import Settings

pytestmark = pytest.mark.verl

GROUPS = ("engine", "rollout", "mode", "tuning", "freeze")
ROWS = (
    ("fsdp2", "vllm", "sync", "full", "none"),
    ("fsdp2", "sglang", "colocate_async", "lora", "vision_tower"),
    ("fsdp2", "vllm", "separate_async", "lora", "vision"),
    ("fsdp2_offload", "sglang", "separate_async", "full", "none"),
    ("fsdp2_offload", "vllm", "sync", "lora", "vision_tower"),
    ("fsdp2_offload", "vllm", "colocate_async", "full", "vision"),
    ("megatron", "vllm", "colocate_async", "lora", "none"),
    ("megatron", "vllm", "separate_async", "full", "vision_tower"),
    ("megatron", "sglang", "sync", "lora", "vision"),
)
"""Every pair of names from two groups is in one of the rows at least; a test holds that."""

ALL = "vision_r1_qwen7b"
MOE = "vision_r1_qwen3vl_30b_a3b_megatron"
ASYNC = "vision_r1_qwen7b_separate_async"
FAMILIES = {"Qwen2-VL": "qwen2_vl", "Qwen2.5-VL": "qwen2_5_vl", "Qwen3-VL": "qwen3_vl", "Qwen3.5": "qwen3_5"}


def possible(name: str, row: tuple[str, ...]) -> bool:
    """Whether verl has it.

    No Qwen2-VL and no 16-bit weights of FSDP on Megatron, and the recipe with divided experts on nothing else.
    """
    megatron = row[0] == "megatron"
    fsdp_only = name.startswith("visual_rft") or name.endswith("_24gb")
    return not (fsdp_only and megatron) and (name != MOE or megatron)


def chosen(name: str) -> list[tuple[str, ...]]:
    """All rows for one recipe, and one of them for each of the others in turn."""
    rows = [row for row in ROWS if possible(name, row)]
    return rows if name == ALL else [rows[TRAININGS.index(name) % len(rows)]]


MATRIX = [(name, row) for name in TRAININGS for row in chosen(name)]


def overrides(row: tuple[str, ...]) -> list[str]:
    return [f"vision_r1/{group}={value}" for group, value in zip(GROUPS, row, strict=True)]


def expect_sizes_that_agree(config: Any) -> None:
    """What verl asserts only once it has GPUs, or never."""
    parts, gpus = config.actor_rollout_ref, training_gpus(config)
    rollout = parts.rollout
    assert gpus % rollout.tensor_model_parallel_size == 0
    assert rollout.n_gpus_per_node % rollout.tensor_model_parallel_size == 0
    assert config.data.train_batch_size * rollout.n % gpus == 0
    assert config.data.max_prompt_length + config.data.max_response_length <= rollout.max_model_len
    assert rollout.max_model_len <= min(parts.actor.ppo_max_token_len_per_gpu, rollout.log_prob_max_token_len_per_gpu)
    if megatron := parts.actor.get("megatron"):
        layers = megatron.tensor_model_parallel_size * megatron.pipeline_model_parallel_size
        experts = megatron.expert_model_parallel_size * (megatron.expert_tensor_parallel_size or 1)
        assert gpus % layers == gpus % experts == 0
        assert parts.ref.megatron.tensor_model_parallel_size == megatron.tensor_model_parallel_size


def expect_our_checks_to_pass(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`preflight`, but for the model and the rows, which are not here."""
    monkeypatch.setattr(config_check, "check_model", lambda model: None)
    monkeypatch.setattr(samples, "_read", lambda key, path, settings: samples.File(key, path, 1_000_000))
    assert config_check.check(config) == []


def test_the_rows_have_every_pair_of_names() -> None:
    columns = [sorted({row[place] for row in ROWS}) for place in range(len(GROUPS))]
    for first in range(len(GROUPS)):
        for second in range(first + 1, len(GROUPS)):
            wanted = {(one, other) for one in columns[first] for other in columns[second]}
            assert wanted == {(row[first], row[second]) for row in ROWS}
    assert len({row for name, row in MATRIX if name != ALL}) > 6


@pytest.mark.parametrize("name", TRAININGS)
def test_a_recipe_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = composed(f"+recipe={name}")
    validate(config)
    expect_sizes_that_agree(config)
    expect_our_checks_to_pass(config, monkeypatch)
    assert built_trainer(config).trainer_mode == config.trainer.v1.trainer_mode
    assert config.trainer.experiment_name == name
    expect_the_frame_of_the_family(config)


def expect_the_frame_of_the_family(config: Any) -> None:
    """The model's own frame, and rewards that agree with it: Qwen2.5-VL answers in pixels, the others on a grid."""
    model = config.actor_rollout_ref.model.path.removeprefix("Qwen/")
    family = next(family for prefix, family in FAMILIES.items() if model.startswith(f"{prefix}-"))
    settings = Settings.from_config(OmegaConf.to_container(config.vision_r1, resolve=True))  # type: ignore[arg-type]
    frame = resolve_frame(settings.frame, family)
    assert frame == ("resized_pixels" if family == "qwen2_5_vl" else "relative_1000")
    assert {rules.frame or frame for rules in settings.preset.tasks.values()} == {frame}


@pytest.mark.parametrize(
    ("name", "row"), MATRIX, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_a_recipe_with_other_groups(name: str, row: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    config = composed(f"+recipe={name}", *overrides(row))
    validate(config)
    expect_sizes_that_agree(config)
    expect_our_checks_to_pass(config, monkeypatch)
    built_trainer(config)
    engine, rollout, mode, tuning, freeze = row
    parts = config.actor_rollout_ref
    assert parts.actor.strategy == engine.removesuffix("_offload")
    assert (parts.rollout.name, config.trainer.v1.trainer_mode) == (rollout, mode)
    assert (parts.model.lora_rank > 0) == (tuning == "lora")
    assert parts.actor.freeze_vision_tower == (freeze != "none")


@pytest.mark.parametrize(
    ("name", "reward", "prompts", "answers", "weight"),
    [
        ("vision_r1_qwen7b", "vision_r1", 128, 4, 0.04),
        ("vision_r1_qwen3vl_8b", "vision_r1_release_2026", 64, 8, 0.01),
        ("visual_rft_qwen2vl_2b_coco", "visual_rft", 16, 8, 0.04),
        ("visual_rft_qwen2vl_7b_coco", "visual_rft", 16, 4, 0.04),
        ("visual_rft_qwen2vl_7b_lisa", "visual_rft", 16, 8, 0.04),
    ],
)
def test_published_settings(name: str, reward: str, prompts: int, answers: int, weight: float) -> None:
    config = composed(f"+recipe={name}")
    parts = config.actor_rollout_ref
    assert (config.data.train_batch_size, parts.actor.ppo_mini_batch_size) == (prompts, prompts)
    assert (parts.rollout.n, parts.actor.kl_loss_coef, parts.actor.optim.lr) == (answers, weight, 1e-6)
    assert OmegaConf.to_container(config.vision_r1.reward, resolve=True) == read_preset(reward)


def test_a_frozen_vision_part_is_frozen_on_either_engine() -> None:
    for name, tower, connector in (("none", False, False), ("vision_tower", True, False), ("vision", True, True)):
        config = composed("+recipe=vision_r1_qwen7b", "vision_r1/engine=megatron", f"vision_r1/freeze={name}")
        keys = config.actor_rollout_ref.actor.megatron.override_transformer_config
        assert (keys.freeze_vision_model, keys.freeze_vision_projection) == (tower, connector)
        assert not keys.freeze_language_model
    fsdp = composed("+recipe=vision_r1_qwen7b_frozen_vision").actor_rollout_ref
    assert fsdp.model.external_lib == "verl_vision_r1.training.freeze_vision"


def test_an_adapter_reaches_the_nodes_that_generate() -> None:
    alone = composed("+recipe=vision_r1_qwen7b_lora").actor_rollout_ref.model
    assert (alone.lora_rank, alone.lora.merge) == (64, False)
    apart = composed("+recipe=vision_r1_qwen7b_lora", "vision_r1/mode=separate_async").actor_rollout_ref.model
    assert (apart.lora_rank, apart.lora.merge) == (64, True)
    megatron = composed("+recipe=vision_r1_qwen7b_lora", "vision_r1/engine=megatron").actor_rollout_ref.model.lora
    assert (megatron.rank, megatron.alpha, megatron.merge) == (64, 32, True)
    assert composed("+recipe=vision_r1_qwen7b_megatron").actor_rollout_ref.model.lora.rank == 0


def test_one_node_that_trains_and_one_that_generates() -> None:
    config = composed(f"+recipe={ASYNC}")
    assert (nodes(config), training_gpus(config), config.actor_rollout_ref.rollout.n_gpus_per_node) == (2, 8, 8)
    halves = composed(f"+recipe={ASYNC}", "trainer.n_gpus_per_node=4")
    assert (training_gpus(halves), halves.actor_rollout_ref.rollout.n_gpus_per_node) == (4, 4)


@pytest.mark.parametrize("mode", ["sync", "colocate_async", "separate_async"])
def test_the_recipe_for_the_cpu_has_modes_but_no_engines(mode: str) -> None:
    assert composed("+recipe=vision_r1_cpu", f"vision_r1/mode={mode}").trainer.v1.trainer_mode == f"vision_r1_{mode}"
    with pytest.raises(ConfigCompositionException, match="vision_r1/engine"):
        composed("+recipe=vision_r1_cpu", "vision_r1/engine=megatron")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            [f"+recipe={MOE}", "vision_r1/engine=fsdp2"],
            InstantiationException,
            "unexpected keyword argument 'megatron'",
        ),
        (
            ["+recipe=vision_r1_qwen7b_lora", "actor_rollout_ref.model.lora_rank=1024"],
            ValueError,
            "less than or equal",
        ),
        (
            ["+recipe=vision_r1_qwen7b", "actor_rollout_ref.rollout.pipeline_model_parallel_size=2"],
            InstantiationException,
            "not implemented pipeline_model_parallel_size > 1",
        ),
    ],
)
def test_what_verls_configuration_refuses(given: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        validate(composed(*given))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("actor_rollout_ref.actor.ppo_mini_batch_size=64", "train_batch_size must equal parameter_sync_step"),
        ("actor_rollout_ref.rollout.nnodes=0", "nnodes must be > 0"),
        ("actor_rollout_ref.rollout.checkpoint_engine.backend=naive", "please use nccl"),
    ],
)
def test_what_verl_refuses_of_separate_async(override: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        built_trainer(composed(f"+recipe={ASYNC}", override))
