"""A run is estimated as verl would run it, and what a person got wrong is named."""

import json
import shutil
from dataclasses import replace
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


def planned(*overrides: str, **assumed: Any) -> Plan:
    """The recipe for 7B with rows that are not here."""
    return make_plan((RECIPE, AWAY, *overrides), Assumptions(**assumed))


def tiny(folder: Path, *overrides: str) -> Plan:
    """The recipe for the CPU with the fixture's rows and model."""
    files = [f"data.{kind}_files={folder / f'{kind}.parquet'}" for kind in ("train", "val")]
    model = f"actor_rollout_ref.model.path={folder / 'model'}"
    return make_plan(("+recipe=vision_r1_cpu", *files, model, *overrides), Assumptions())


def named(plan: Plan) -> dict[str, Figure]:
    """All figures, by section and name."""
    return {f"{section.title}: {figure.name}": figure for section in estimate(plan) for figure in section.figures}


def test_every_figure_has_a_name_of_its_own_and_says_what_it_rests_on() -> None:
    sections = list(estimate(planned()))
    for section in sections:
        names = [figure.name for figure in section.figures]
        assert len(set(names)) == len(names)
        assert all(figure.basis and figure.shown for figure in section.figures)


# Memory.


def test_fsdp_divides_weights_gradients_and_moments_by_the_gpus() -> None:
    held, half = (sharding.shares(planned(f"trainer.n_gpus_per_node={gpus}")) for gpus in (8, 4))
    parameters = planned().model.parameters
    assert (held.weights, held.gradients, held.optimizer) == (parameters / 2, parameters / 2, parameters)
    assert half.weights == 2 * held.weights
    few = sharding.shares(planned("actor_rollout_ref.actor.fsdp_config.fsdp_size=2"))
    assert few.weights == 4 * held.weights


def test_offloaded_parts_leave_the_gpu_to_the_engine_but_come_back_for_the_update() -> None:
    keys = [f"actor_rollout_ref.actor.fsdp_config.{part}_offload=true" for part in ("param", "optimizer")]
    stays, goes = sharding.shares(planned()), sharding.shares(planned(*keys))
    assert stays.resident == stays.weights + stays.optimizer
    assert goes.resident == 0
    assert goes.in_use == stays.in_use
    assert (stays.host, goes.host) == (0, stays.resident)


def test_under_the_offload_policy_nothing_of_the_model_stays_on_the_gpu() -> None:
    held = sharding.shares(planned("actor_rollout_ref.actor.fsdp_config.offload_policy=true"))
    assert (held.resident, held.in_use) == (0, 0)
    assert held.host == held.weights + held.gradients + held.optimizer


def test_a_frozen_tower_has_neither_moments_nor_activations() -> None:
    whole, frozen = planned(), planned("vision_r1/freeze=vision")
    assert sharding.shares(frozen).optimizer < sharding.shares(whole).optimizer
    assert sharding.shares(frozen).weights == sharding.shares(whole).weights
    assert passes.update_pass(frozen, 2).vision == 0 < passes.update_pass(whole, 2).vision


def test_without_the_fused_kernel_the_logits_are_the_largest_part_of_a_pass() -> None:
    run = planned(
        "actor_rollout_ref.model.use_fused_kernels=false", "actor_rollout_ref.model.use_remove_padding=false"
    )
    update = passes.update_pass(run, 2)
    assert update.logits == 24576 * 152064 * 10 > update.kept + update.layer


def test_the_tokens_of_a_pass_are_the_budget_or_what_there_is() -> None:
    key = "actor_rollout_ref.actor"
    assert passes.tokens_of_update(planned()) == 24576
    assert passes.tokens_of_update(planned(f"{key}.ppo_max_token_len_per_gpu=1000000")) == 64 * 1536
    fixed = planned(f"{key}.use_dynamic_bsz=false", f"{key}.ppo_micro_batch_size_per_gpu=4")
    assert passes.tokens_of_update(fixed) == 4 * 1536


def test_a_small_gpu_does_not_fit_and_a_large_one_does() -> None:
    for memory, says in ((24.0, "does not fit"), (80.0, "fits")):
        figures = named(planned(gpu_memory=memory))
        assert figures["Memory of one GPU: training: peak: update"].basis.startswith(says)


def test_the_cache_is_what_the_engine_is_given_less_what_it_needs() -> None:
    plan = planned()
    assert engine_weights(plan) == plan.model.parameters
    assert cache_bytes(plan) == pytest.approx(0.6 * 80 * GIB - plan.model.parameters - 3 * GIB)
    assert cache_bytes(planned("actor_rollout_ref.rollout.tensor_model_parallel_size=1")) < cache_bytes(plan)


def test_where_the_cache_has_no_room_there_is_no_time_of_generation() -> None:
    figures = named(planned("actor_rollout_ref.rollout.gpu_memory_utilization=0.1"))
    assert figures["Memory of one GPU: generation: answers at once"].value == 0
    assert figures["Time: generation of a step, least"].value is None


def test_megatron_divides_by_its_own_sizes() -> None:
    sizes = [f"actor_rollout_ref.actor.megatron.{kind}_model_parallel_size=2" for kind in ("tensor", "pipeline")]
    plan = planned()
    with_megatron = make_plan((RECIPE, AWAY, "model_engine=megatron", *MEGATRON, *sizes), Assumptions())
    held = sharding.shares(with_megatron)
    assert held.weights == 2 * plan.model.parameters / 4
    assert held.optimizer == 12 * plan.model.parameters / 8
    assert named(with_megatron)["Steps and disk: steps"].value is None


def test_megatron_divides_the_experts_by_sizes_of_their_own() -> None:
    path = "actor_rollout_ref.model.path=Qwen/Qwen3-VL-30B-A3B-Instruct"
    size = "actor_rollout_ref.actor.megatron.expert_model_parallel_size=8"
    plan = make_plan((RECIPE, AWAY, path, "model_engine=megatron", *MEGATRON, size), Assumptions())
    model = plan.model
    assert model.experts > 0.9 * model.parameters
    assert sharding.shares(plan).weights == pytest.approx(2 * (model.parameters - model.experts + model.experts / 8))


def test_gpus_that_only_generate_hold_nothing_of_the_training() -> None:
    mode = ("trainer.v1.trainer_mode=vision_r1_separate_async", "actor_rollout_ref.rollout.nnodes=2")
    together, apart = planned(), planned(*mode)
    assert (together.replicas, apart.replicas) == (4, 8)
    name = "Memory of one GPU: generation: peak: generation"
    both = [named(plan)[name].value for plan in (together, apart)]
    assert both[0] - both[1] == sharding.shares(together).resident  # type: ignore[operator]
    assert "Memory of one GPU: generation: peak: weights to the engine" not in named(apart)


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_every_recipe_can_be_estimated(name: str) -> None:
    model = Path(verl_vision_r1.__file__).parent / "demo" / "model"
    path = [f"actor_rollout_ref.model.path={model}"] if name == "vision_r1_cpu" else []
    figures = named(make_plan((f"+recipe={name}", AWAY, *path), Assumptions()))
    assert figures["Memory of one GPU: generation: answers at once"].value


MEGATRON = (
    "actor_rollout_ref.actor.strategy=megatron",
    "actor_rollout_ref.ref.strategy=megatron",
    "~actor_rollout_ref.actor.fsdp_config",
    "~actor_rollout_ref.ref.fsdp_config",
)
"""The recipe sets keys of FSDP, which are taken out again."""


# Prompts, steps, workers, time.


def test_prompts_are_measured_in_the_rows(folder: Path) -> None:
    plan = tiny(folder)
    assert plan.lengths.rows == count_rows(folder / "train.parquet") == len(plan.lengths.prompts)
    assert all(image < prompt for image, prompt in zip(plan.lengths.images, plan.lengths.prompts, strict=True))
    assert max(plan.lengths.images) <= MAX_PIXELS // 28**2


def test_without_rows_an_image_is_taken_at_its_largest() -> None:
    plan = planned()
    assert plan.lengths.images == (512,)
    assert [figure.value for figure in prompts.figures(plan)] == [512, None]


def test_prompts_that_are_too_long_are_no_steps(folder: Path) -> None:
    measured = Lengths(100, (5, 5, 5, 5), (10, 20, 30, 40), "four of a hundred rows")
    run = ("data.max_prompt_length=25", "data.train_batch_size=7", "trainer.total_training_steps=null")
    plan = replace(tiny(folder, *run), lengths=measured)
    assert measured.kept(25) == 50
    assert (plan.steps_per_epoch, plan.total_steps) == (7, 7000)
    assert plan.prompt_tokens == 15


def test_what_does_not_fill_a_batch_is_dropped(folder: Path) -> None:
    rows = count_rows(folder / "train.parquet")
    plan = tiny(
        folder, f"data.train_batch_size={rows - 1}", "trainer.total_training_steps=null", "trainer.total_epochs=3"
    )
    assert (plan.steps_per_epoch, plan.total_steps) == (1, 3)


def test_rows_in_lines_are_counted_too(folder: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "train.parquet").to_pylist()
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert count_rows(file) == len(rows)


@pytest.mark.parametrize("total", [1, 2, 7, 100])
@pytest.mark.parametrize("at", [0.0, 1 / 3, 0.5, 0.9])
def test_a_stage_begins_where_the_refinement_begins_it(total: int, at: float) -> None:
    later = Stage(0.75, 0.75, 0.9, at=at or 0.01, index=1)
    curriculum = Curriculum((Stage(0.5, 0.5, 0.75), later))
    begun = [step for step in range(1, total + 1) if curriculum.stage(step, total).index == 1]
    step = schedule.first_step(later, total)
    assert begun == list(range(step, total + 1))


def test_a_run_that_only_validates_has_no_steps() -> None:
    plan = make_plan(("+recipe=eval_coco", AWAY), Assumptions())
    assert plan.total_steps == 0
    assert "val_only" in named(plan)["Steps and disk: steps"].basis


def test_a_checkpoint_is_weights_and_moments_as_stored(folder: Path) -> None:
    import torch
    from measured import model_of

    plan = tiny(folder)
    model = model_of(plan.model.config, checkpointing=False)
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    for name, state in (("model", model.state_dict()), ("optimizer", optimizer.state_dict())):
        torch.save(state, folder / f"{name}.pt")
    # The head is tied to the embeddings: torch saves what they share once.
    written = sum((folder / f"{name}.pt").stat().st_size for name in ("model", "optimizer"))
    assert written == pytest.approx(schedule.checkpoint_bytes(plan), rel=0.02)


def test_scoring_is_timed_with_the_rewards_of_the_run(folder: Path) -> None:
    plan = tiny(folder)
    seconds = workers.seconds_of_sample(plan.settings.preset, plan.settings.curriculum.stages[-1])
    assert seconds is not None
    assert 1e-6 < seconds < 0.05


def test_time_is_that_of_the_counted_operations() -> None:
    slow, fast = planned(mfu=0.2), planned(mfu=0.4)
    seconds = [named(plan)["Time: update of a step"].value for plan in (slow, fast)]
    assert seconds[0] == pytest.approx(2 * seconds[1])  # type: ignore[operator]
    # Six operations for each parameter and token, more by attention, less by the embeddings' look-up.
    tokens = slow.samples * (slow.prompt_tokens + slow.response_tokens)
    assert speed.update_flops(slow) == pytest.approx(6 * slow.model.parameters * tokens, rel=0.2)


def test_an_answer_that_is_shorter_takes_less_time() -> None:
    long, short = planned(), planned(response_tokens=100)
    assert speed.decoding_seconds(short) < speed.decoding_seconds(long) / 4  # type: ignore[operator]


def test_without_a_kl_term_and_old_probabilities_there_is_no_such_pass() -> None:
    run = ("actor_rollout_ref.actor.use_kl_loss=false", "algorithm.rollout_correction.bypass_mode=true")
    figures = named(planned(*run))
    assert figures["Time: probabilities of a step"].value == 0
    assert "Memory of one GPU: training: peak: probabilities" not in figures
    assert figures["Memory of one GPU: training: host memory of a node"].value == 0


# The command.


def test_the_command_speaks_to_people_and_to_machines(folder: Path) -> None:
    run = ["estimate", "+recipe=vision_r1_cpu", f"actor_rollout_ref.model.path={folder / 'model'}"]
    run += [f"data.train_files={folder / 'train.parquet'}", "--gpu-memory", "8"]
    shown = CliRunner().invoke(app, run)
    assert shown.exit_code == 0, shown.output
    assert "Memory of one GPU: training" in shown.output
    sections = json.loads(CliRunner().invoke(app, [*run, "--json"]).stdout)
    assert sections[0]["title"] == "Model"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["+recipe=vision_r1_qwen8b"], "vision_r1_qwen8b"),
        (["data.train_batch_size=8"], "vision_r1"),
        ([RECIPE, "actor_rollout_ref.model.path=somebody/else"], "--model-config FILE"),
        ([RECIPE, "--model-config", "nowhere.json"], "--model-config: expected"),
        ([RECIPE, "--gpu", "b300"], "--gpu: expected one of a100, h100, h200, got 'b300'"),
        ([RECIPE, "--mfu", "30"], "--mfu: expected a share"),
        ([RECIPE, "--gpu-memory", "0"], "--gpu-memory: expected"),
        ([RECIPE, "--response-tokens", "0"], "--response-tokens: expected"),
        ([RECIPE, "actor_rollout_ref.actor.strategy=veomni"], "expected fsdp, fsdp2 or megatron, got 'veomni'"),
        ([RECIPE, "actor_rollout_ref.rollout.dtype=int3"], "got 'int3'"),
    ],
)
def test_what_a_person_got_wrong_is_one_line(words: list[str], message: str) -> None:
    told = CliRunner().invoke(app, ["estimate", *words])
    assert told.exit_code == 1
    assert len(told.output.splitlines()) == 1
    assert told.output.startswith("error: ")
    assert message in told.output


def test_rows_of_another_kind_are_named(folder: Path, tmp_path: Path) -> None:
    file = shutil.copy(folder / "train.parquet", tmp_path / "train.csv")
    with pytest.raises(ValueError, match="expected a file that ends in"):
        tiny(folder, f"data.train_files={file}")
