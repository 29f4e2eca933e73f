"""Estimates follow verl's rules, and errors name the option or key."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import verl_vision_r1
from verl_vision_r1.cli import app
from verl_vision_r1.data import MAX_PIXELS
from verl_vision_r1.preflight.estimate import (
    Assumptions,
    Plan,
    estimate,
    make_plan,
    passes,
    prompts,
    schedule,
    sharding,
    speed,
    workers,
)
from verl_vision_r1.preflight.estimate.figure import GIB, Figure
from verl_vision_r1.preflight.estimate.generation import cache_bytes, engine_weights
from verl_vision_r1.preflight.estimate.samples import Lengths, count_rows
from verl_vision_r1.rewards.refinement import Curriculum, Stage

pytestmark = pytest.mark.verl

RECIPES = Path(verl_vision_r1.__file__).parent / "config" / "recipe"
RECIPE = "+recipe=vision_r1_qwen7b"
AWAY = "data.train_files=nowhere.parquet"


@cache
def planned(*overrides: str, **assumed: Any) -> Plan:
    """The recipe for 7B without data."""
    return make_plan((RECIPE, AWAY, *overrides), Assumptions(**assumed))


def tiny(folder: Path, *overrides: str) -> Plan:
    """The recipe for the CPU with the data and the model of the fixture."""
    files = [f"data.{kind}_files={folder / f'{kind}.parquet'}" for kind in ("train", "val")]
    model = f"actor_rollout_ref.model.path={folder / 'model'}"
    return make_plan(("+recipe=vision_r1_cpu", *files, model, *overrides), Assumptions())


def named(plan: Plan) -> dict[str, Figure]:
    """All figures by section and name."""
    return {f"{section.title}: {figure.name}": figure for section in estimate(plan) for figure in section.figures}


def test_every_figure_has_a_unique_name_and_a_basis() -> None:
    sections = list(estimate(planned()))
    for section in sections:
        names = [figure.name for figure in section.figures]
        assert len(set(names)) == len(names)
        assert all(figure.basis and figure.shown for figure in section.figures)


# Memory.


def test_fsdp_shards_weights_gradients_and_moments() -> None:
    state, half = (sharding.model_state(planned(f"trainer.n_gpus_per_node={gpus}")) for gpus in (8, 4))
    parameters = planned().model.parameters
    assert (state.weights, state.gradients, state.optimizer) == (parameters / 2, parameters / 2, parameters)
    assert half.weights == 2 * state.weights
    few = sharding.model_state(planned("actor_rollout_ref.actor.fsdp_config.fsdp_size=2"))
    assert few.weights == 4 * state.weights


def test_offloaded_state_is_on_the_gpu_only_during_the_update() -> None:
    keys = [f"actor_rollout_ref.actor.fsdp_config.{part}_offload=true" for part in ("param", "optimizer")]
    resident, offloaded = sharding.model_state(planned()), sharding.model_state(planned(*keys))
    assert resident.resident == resident.weights + resident.optimizer
    assert offloaded.resident == 0
    assert offloaded.in_use == resident.in_use
    assert (resident.host, offloaded.host) == (0, resident.resident)


def test_the_offload_policy_keeps_the_model_state_on_the_host() -> None:
    state = sharding.model_state(planned("actor_rollout_ref.actor.fsdp_config.offload_policy=true"))
    assert (state.resident, state.in_use) == (0, 0)
    assert state.host == state.weights + state.gradients + state.optimizer


def test_a_frozen_tower_has_no_moments() -> None:
    whole, frozen = planned(), planned("vision_r1/freeze=vision")
    assert sharding.model_state(frozen).optimizer < sharding.model_state(whole).optimizer
    assert sharding.model_state(frozen).weights == sharding.model_state(whole).weights


def test_a_frozen_tower_stores_activations_only_with_checkpointing() -> None:
    """By transformers, which then makes the patches require a gradient: test_memory.py measures it."""
    frozen, off = "vision_r1/freeze=vision", "actor_rollout_ref.model.enable_gradient_checkpointing=false"
    assert passes.update_pass(planned(frozen), 2).vision == passes.update_pass(planned(), 2).vision > 0
    assert passes.update_pass(planned(frozen, off), 2).vision == 0 < passes.update_pass(planned(off), 2).vision


def test_without_the_fused_kernel_the_logits_are_the_largest_part() -> None:
    run = planned(
        "actor_rollout_ref.model.use_fused_kernels=false", "actor_rollout_ref.model.use_remove_padding=false"
    )
    update = passes.update_pass(run, 2)
    assert update.logits == 24576 * 152064 * 10 > update.stored + update.layer


def test_the_tokens_per_pass_are_the_limit_or_the_mini_batch() -> None:
    key = "actor_rollout_ref.actor"
    assert passes.tokens_of_update(planned()) == 24576
    assert passes.tokens_of_update(planned(f"{key}.ppo_max_token_len_per_gpu=1000000")) == 64 * 1536
    fixed = planned(f"{key}.use_dynamic_bsz=false", f"{key}.ppo_micro_batch_size_per_gpu=4")
    assert passes.tokens_of_update(fixed) == 4 * 1536


def test_a_small_gpu_does_not_fit_and_a_large_one_does() -> None:
    for memory, verdict in ((24.0, "does not fit"), (80.0, "fits")):
        figures = named(planned(gpu_memory=memory))
        assert figures["Memory per GPU: training: peak: update"].basis.startswith(verdict)


def test_the_cache_is_the_memory_of_the_engine_less_its_weights() -> None:
    plan = planned()
    assert engine_weights(plan) == plan.model.parameters
    assert cache_bytes(plan) == pytest.approx(0.6 * 80 * GIB - plan.model.parameters - 3 * GIB)
    assert cache_bytes(planned("actor_rollout_ref.rollout.tensor_model_parallel_size=1")) < cache_bytes(plan)


def test_without_memory_for_the_cache_the_time_of_generation_is_unknown() -> None:
    figures = named(planned("actor_rollout_ref.rollout.gpu_memory_utilization=0.1"))
    assert figures["Memory per GPU: generation: concurrent sequences"].value == 0
    assert figures["Time: generation per step"].value is None


def test_megatron_shards_by_its_parallel_sizes() -> None:
    sizes = [f"actor_rollout_ref.actor.megatron.{kind}_model_parallel_size=2" for kind in ("tensor", "pipeline")]
    plan = planned()
    with_megatron = planned("model_engine=megatron", *MEGATRON, *sizes)
    state = sharding.model_state(with_megatron)
    assert state.weights == 2 * plan.model.parameters / 4
    assert state.optimizer == 12 * plan.model.parameters / 8
    assert named(with_megatron)["Steps and disk: steps"].value is None


def test_megatron_shards_experts_by_expert_parallelism() -> None:
    path = "actor_rollout_ref.model.path=Qwen/Qwen3-VL-30B-A3B-Instruct"
    size = "actor_rollout_ref.actor.megatron.expert_model_parallel_size=8"
    plan = planned(path, "model_engine=megatron", *MEGATRON, size)
    model = plan.model
    assert model.experts > 0.9 * model.parameters
    weights = 2 * (model.parameters - model.experts + model.experts / 8)
    assert sharding.model_state(plan).weights == pytest.approx(weights)


def test_generating_gpus_have_no_model_state() -> None:
    mode = ("trainer.v1.trainer_mode=vision_r1_separate_async", "actor_rollout_ref.rollout.nnodes=2")
    together, apart = planned(), planned(*mode)
    assert (together.replicas, apart.replicas) == (4, 8)
    name = "Memory per GPU: generation: peak: generation"
    both = [named(plan)[name].value for plan in (together, apart)]
    assert both[0] - both[1] == sharding.model_state(together).resident  # type: ignore[operator]
    assert "Memory per GPU: generation: peak: weight transfer" not in named(apart)


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml") if "_sft_" not in path.stem))
def test_every_recipe_can_be_estimated(name: str) -> None:
    model = Path(verl_vision_r1.__file__).parent / "demo" / "model"
    path = [f"actor_rollout_ref.model.path={model}"] if name == "vision_r1_cpu" else []
    figures = named(make_plan((f"+recipe={name}", AWAY, *path), Assumptions()))
    assert figures["Memory per GPU: generation: concurrent sequences"].value


MEGATRON = (
    "actor_rollout_ref.actor.strategy=megatron",
    "actor_rollout_ref.ref.strategy=megatron",
    "~actor_rollout_ref.actor.fsdp_config",
    "~actor_rollout_ref.ref.fsdp_config",
)
"""Megatron, without the keys of FSDP in the recipe."""


# Prompts, steps, workers, time.


def test_prompts_are_measured_on_the_samples(folder: Path) -> None:
    plan = tiny(folder)
    assert plan.lengths.samples == count_rows(folder / "train.parquet") == len(plan.lengths.prompts)
    assert all(image < prompt for image, prompt in zip(plan.lengths.images, plan.lengths.prompts, strict=True))
    assert max(plan.lengths.images) <= MAX_PIXELS // 28**2


def test_without_samples_an_image_has_the_maximum_size() -> None:
    plan = planned()
    assert plan.lengths.images == (512,)
    assert [figure.value for figure in prompts.figures(plan)] == [512, None]


def test_prompts_that_are_too_long_are_dropped(folder: Path) -> None:
    measured = Lengths(100, (5, 5, 5, 5), (10, 20, 30, 40), "four of a hundred samples")
    run = ("data.max_prompt_length=25", "data.train_batch_size=7", "trainer.total_training_steps=null")
    plan = replace(tiny(folder, *run), lengths=measured)
    assert measured.kept(25) == 50
    assert (plan.steps_per_epoch, plan.total_steps) == (7, 7000)
    assert plan.prompt_tokens == 15


def test_an_incomplete_batch_is_dropped(folder: Path) -> None:
    rows = count_rows(folder / "train.parquet")
    plan = tiny(
        folder, f"data.train_batch_size={rows - 1}", "trainer.total_training_steps=null", "trainer.total_epochs=3"
    )
    assert (plan.steps_per_epoch, plan.total_steps) == (1, 3)


def test_json_lines_are_counted(folder: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "train.parquet").to_pylist()
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert count_rows(file) == len(rows)


@pytest.mark.parametrize("total", [1, 2, 7, 100])
@pytest.mark.parametrize("at", [0.0, 1 / 3, 0.5, 0.9])
def test_the_first_step_of_a_stage_is_that_of_the_curriculum(total: int, at: float) -> None:
    later = Stage(0.75, 0.75, 0.9, at=at or 0.01, index=1)
    curriculum = Curriculum((Stage(0.5, 0.5, 0.75), later))
    begun = [step for step in range(1, total + 1) if curriculum.stage(step, total).index == 1]
    step = schedule.first_step(later, total)
    assert begun == list(range(step, total + 1))


def test_a_validation_run_has_no_steps() -> None:
    plan = make_plan(("+recipe=eval_coco", AWAY), Assumptions())
    assert plan.total_steps == 0
    assert "val_only" in named(plan)["Steps and disk: steps"].basis


def test_a_checkpoint_has_weights_and_moments(folder: Path) -> None:
    import torch
    from measured import model_of

    plan = tiny(folder)
    model = model_of(plan.model.config, checkpointing=False)
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    for name, state in (("model", model.state_dict()), ("optimizer", optimizer.state_dict())):
        torch.save(state, folder / f"{name}.pt")
    # The head is tied to the embeddings: torch saves them once.
    written = sum((folder / f"{name}.pt").stat().st_size for name in ("model", "optimizer"))
    assert written == pytest.approx(schedule.checkpoint_bytes(plan), rel=0.02)


def test_scoring_is_measured_with_the_rewards_of_the_run(folder: Path) -> None:
    plan = tiny(folder)
    seconds = workers.seconds_per_completion(plan.settings.preset, plan.settings.curriculum.stages[-1])
    assert seconds is not None
    assert 1e-6 < seconds < 0.05


def test_time_follows_the_flops() -> None:
    slow, fast = planned(mfu=0.2), planned(mfu=0.4)
    seconds = [named(plan)["Time: update per step"].value for plan in (slow, fast)]
    assert seconds[0] == pytest.approx(2 * seconds[1])  # type: ignore[operator]
    # Six FLOPs per parameter and token, plus attention, less the embeddings.
    tokens = slow.completions * (slow.prompt_tokens + slow.response_tokens)
    assert speed.update_flops(slow) == pytest.approx(6 * slow.model.parameters * tokens, rel=0.2)


def test_shorter_completions_take_less_time() -> None:
    long, short = planned(), planned(response_tokens=100)
    assert speed.decoding_seconds(short) < speed.decoding_seconds(long) / 4  # type: ignore[operator]


def test_without_kl_and_old_log_probabilities_there_is_no_such_pass() -> None:
    run = ("actor_rollout_ref.actor.use_kl_loss=false", "algorithm.rollout_correction.bypass_mode=true")
    figures = named(planned(*run))
    assert figures["Time: log-probabilities per step"].value == 0
    assert "Memory per GPU: training: peak: log-probabilities" not in figures
    assert figures["Memory per GPU: training: host memory per node"].value == 0


@pytest.mark.parametrize(
    ("family", "takes_images"), [("qwen2_5_vl", True), ("qwen3_vl_moe", True), ("glm4v", False), ("minicpmv", False)]
)
def test_images_are_passed_only_to_counters_that_take_them(family: str, takes_images: bool) -> None:
    from verl.utils.flops_counter import ESTIMATE_FUNC

    assert speed._takes_images(ESTIMATE_FUNC[family]) == takes_images


def test_the_flops_of_a_family_whose_counter_takes_no_images_are_counted() -> None:
    from transformers import AutoConfig

    plan = planned()
    config = AutoConfig.for_model("glm4v")
    glm = replace(plan, model=replace(plan.model, config=config))
    tokens = plan.completions * (plan.prompt_tokens + plan.response_tokens)
    flops = speed.update_flops(glm)
    assert flops is not None
    text = config.get_text_config()
    layer = 3 * text.hidden_size * text.intermediate_size + 2 * text.hidden_size**2
    assert flops > 6 * tokens * text.num_hidden_layers * layer


# The command.


def test_the_command_prints_text_or_json(folder: Path) -> None:
    run = ["estimate", "+recipe=vision_r1_cpu", f"actor_rollout_ref.model.path={folder / 'model'}"]
    run += [f"data.train_files={folder / 'train.parquet'}", "--gpu-memory", "8"]
    shown = CliRunner().invoke(app, run)
    assert shown.exit_code == 0, shown.output
    assert "Memory per GPU: training" in shown.output
    sections = json.loads(CliRunner().invoke(app, [*run, "--json"]).stdout)
    assert sections[0]["title"] == "Model"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["+recipe=vision_r1_qwen8b"], "vision_r1_qwen8b"),
        (["data.train_batch_size=8"], "vision_r1"),
        ([RECIPE, "actor_rollout_ref.model.path=somebody/else"], "--model-config FILE"),
        ([RECIPE, "--model-config", "nowhere.json"], "--model-config: expected"),
        ([RECIPE, "--gpu", "b300"], "--gpu: expected one of a100, a100-40gb, h100, h200, b200, l40s"),
        ([RECIPE, "--mfu", "30"], "--mfu: expected a fraction in (0, 1], got 30"),
        ([RECIPE, "--gpu-memory", "0"], "--gpu-memory: expected"),
        ([RECIPE, "--response-tokens", "0"], "--response-tokens: expected"),
        ([RECIPE, "actor_rollout_ref.actor.strategy=veomni"], "expected fsdp, fsdp2 or megatron, got 'veomni'"),
        ([RECIPE, "actor_rollout_ref.rollout.dtype=int3"], "got 'int3'"),
    ],
)
def test_an_error_is_one_line(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["estimate", *arguments])
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1
    assert done.output.startswith("error: ")
    assert message in done.output


def test_a_file_of_another_type_is_an_error(folder: Path, tmp_path: Path) -> None:
    file = shutil.copy(folder / "train.parquet", tmp_path / "train.csv")
    with pytest.raises(ValueError, match="expected a file name that ends in"):
        tiny(folder, f"data.train_files={file}")
