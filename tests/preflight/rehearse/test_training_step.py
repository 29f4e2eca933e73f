"""The step of training: verl's own workers on fake ranks, at the real width of the 7B with one layer or two."""

import json
from pathlib import Path

import pytest
from take_steps import take_steps, write_model

from verl_vision_r1.preflight.rehearse.step import Spec, Step

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

ACTOR, ROLLOUT, REFERENCE = (f"actor_rollout_ref.{part}." for part in ("actor", "rollout", "ref"))
SHORT = (
    "data.train_batch_size=8",
    f"{ACTOR}ppo_max_token_len_per_gpu=3072",
    f"{ROLLOUT}log_prob_max_token_len_per_gpu=3072",
    f"{REFERENCE}log_prob_max_token_len_per_gpu=3072",
)
ALONE = f"{ACTOR}use_kl_loss=false"  # Without a reference model.
CASES = {
    "memory": ("+recipe=vision_r1_qwen7b", *SHORT, ALONE),
    "offloaded": ("+recipe=vision_r1_qwen7b", *SHORT, "vision_r1/engine=fsdp2_offload"),
    "LoRA": ("+recipe=vision_r1_qwen7b_lora", *SHORT),
    "no such module": ("+recipe=vision_r1_qwen7b_lora", "actor_rollout_ref.model.target_modules=[query_proj]"),
    "micro-batch": (
        *("+recipe=vision_r1_qwen7b", *SHORT, ALONE),
        *(f"{ACTOR}use_dynamic_bsz=false", f"{ACTOR}ppo_micro_batch_size_per_gpu=7"),
        *(f"{ROLLOUT}log_prob_use_dynamic_bsz=false", f"{ROLLOUT}log_prob_micro_batch_size_per_gpu=4"),
    ),
    "megatron": ("+recipe=vision_r1_qwen7b_megatron",),
    "FSDP1": ("+recipe=vision_r1_qwen7b", f"{ACTOR}strategy=fsdp"),
    "memory again": ("+recipe=vision_r1_qwen7b", *SHORT, ALONE),
    # The last two: their libraries change verl's engine for good.
    "frozen": ("+recipe=vision_r1_qwen7b_frozen_vision", *SHORT, ALONE),
    "all frozen": ("+recipe=vision_r1_qwen7b", "actor_rollout_ref.model.external_lib=frozen_model"),
}


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory, short_model: Path) -> dict[str, Step]:
    folder = tmp_path_factory.mktemp("training")
    sent = folder / "sent.json"
    two_layers = write_model(folder / "model", "Qwen/Qwen2.5-VL-7B-Instruct", layers=2)
    specs = {"recipe": Spec("training", ("+recipe=vision_r1_qwen7b",), two_layers, sent)}
    specs |= {name: Spec("training", run, short_model, gpu_memory=8) for name, run in CASES.items()}
    found = take_steps(specs, folder, Path(__file__).parent)
    assert ["lm_head.weight", [152064, 3584], "float32"] in json.loads(sent.read_text())
    return found


def of(step: Step, phase: str, kind: str) -> float:
    return step.figures.get(f"{phase}: {kind}", 0)


def test_the_recipe_takes_a_step(steps: dict[str, Step]) -> None:
    step = steps["recipe"]
    assert step.ok, step
    assert " of 80.0 GiB at the peak, in the update: temporary " in step.found
    assert of(step, "update", "moments") == pytest.approx(2 * of(step, "update", "parameters"), rel=0.01)
    assert of(step, "update", "gradients") == pytest.approx(of(step, "update", "parameters"), rel=0.01)
    assert of(step, "update", "host") > of(step, "update", "parameters")  # The reference model, and the images.
    assert of(step, "old log-probabilities", "gradients") == 0
    assert (step.figures["tokens per pass"], step.figures["micro-batches"]) == (24576, 4)


def test_too_little_memory_is_named(steps: dict[str, Step]) -> None:
    step = steps["memory"]
    assert step.ok is False
    assert " of 8.0 GiB at the peak, in the update: " in step.found
    assert step.limit == "8.0 GiB of a GPU, 4.0 GiB reserved"


def test_a_step_does_not_depend_on_those_before_it_in_the_process(steps: dict[str, Step]) -> None:
    assert steps["memory again"] == steps["memory"]


def test_offloaded_state_is_not_on_the_gpu_in_other_phases(steps: dict[str, Step]) -> None:
    step = steps["offloaded"]
    assert of(step, "reference", "temporary") > 0
    assert of(step, "reference", "moments") == 0
    assert of(step, "reference", "parameters") == 0
    assert of(step, "update", "moments") == of(steps["memory"], "update", "moments")


def test_frozen_parameters_have_no_moments(steps: dict[str, Step]) -> None:
    step = steps["frozen"]
    assert 0 < of(step, "update", "moments") < 1.99 * of(step, "update", "parameters")


def test_adapters_need_little_and_no_reference_model(steps: dict[str, Step]) -> None:
    step = steps["LoRA"]
    assert of(step, "update", "moments") < 0.05 * of(step, "update", "parameters")
    assert of(step, "update", "host") < of(step, "update", "parameters")
    assert of(step, "reference", "temporary") > 0


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("no such module", "No modules were targeted for adaptation."),
        ("micro-batch", "update: AssertionError: data size must be divisible by force_group_size * micro_batch_size"),
        ("all frozen", "building the models: optimizer got an empty parameter list"),
    ],
)
def test_a_fault_is_named(steps: dict[str, Step], name: str, found: str) -> None:
    assert steps[name].ok is False
    assert steps[name].found.startswith(found), steps[name].found


@pytest.mark.parametrize(
    ("name", "reason"),
    [("megatron", "Megatron-Core has no CPU path"), ("FSDP1", "rehearse with vision_r1/engine=fsdp2")],
)
def test_an_engine_without_a_path_on_a_cpu_is_skipped(steps: dict[str, Step], name: str, reason: str) -> None:
    assert steps[name].ok is None
    assert reason in steps[name].found
