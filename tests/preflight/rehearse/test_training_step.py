"""The step of training: verl's own workers on fake ranks, at the real width of the 7B with two layers."""

import json

import pytest
from take_steps import take_steps, write_model

from verl_vision_r1.preflight.rehearse.step import Step

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

LAYERS = 2

ACTOR = "actor_rollout_ref.actor."
SHORT = [
    "data.train_batch_size=8",
    f"{ACTOR}ppo_max_token_len_per_gpu=3072",
    "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=3072",
    "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu=3072",
]
CASES = {
    "recipe": {"overrides": ["+recipe=vision_r1_qwen7b"]},
    "memory": {"overrides": ["+recipe=vision_r1_qwen7b", *SHORT], "gpu_memory": 8},
    "offloaded": {"overrides": ["+recipe=vision_r1_qwen7b", *SHORT, "vision_r1/engine=fsdp2_offload"]},
    "frozen": {"overrides": ["+recipe=vision_r1_qwen7b_frozen_vision", *SHORT]},
    "LoRA": {"overrides": ["+recipe=vision_r1_qwen7b_lora", *SHORT]},
    "no such module": {
        "overrides": ["+recipe=vision_r1_qwen7b_lora", "actor_rollout_ref.model.target_modules=[query_proj]"]
    },
    "micro-batch": {
        "overrides": [
            *("+recipe=vision_r1_qwen7b", *SHORT),
            *(f"{ACTOR}use_dynamic_bsz=false", f"{ACTOR}ppo_micro_batch_size_per_gpu=7"),
            *("actor_rollout_ref.rollout.log_prob_use_dynamic_bsz=false",),
            "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=8",
        ]
    },
    "megatron": {"overrides": ["+recipe=vision_r1_qwen7b_megatron"]},
    "all frozen": {"overrides": ["+recipe=vision_r1_qwen7b", "actor_rollout_ref.model.external_lib=frozen_model"]},
}


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Step]:
    folder = tmp_path_factory.mktemp("training")
    model = write_model(folder / "model", "Qwen/Qwen2.5-VL-7B-Instruct", LAYERS)
    cases = {name: {"folder": str(model), **case} for name, case in CASES.items()}
    cases["recipe"]["sent"] = str(folder / "sent.json")
    found = take_steps("training", cases, folder)
    sent = json.loads((folder / "sent.json").read_text())
    assert ["lm_head.weight", [152064, 3584], "float32"] in sent
    return found


def of(step: Step, phase: str, kind: str) -> float:
    return step.figures.get(f"{phase}: {kind}", 0)


def test_the_recipe_takes_a_step(steps: dict[str, Step]) -> None:
    step = steps["recipe"]
    assert step.ok, step
    assert "at the peak, in the update" in step.found
    assert of(step, "update", "moments") == pytest.approx(2 * of(step, "update", "parameters"), rel=0.01)
    assert of(step, "update", "gradients") == pytest.approx(of(step, "update", "parameters"), rel=0.01)
    assert of(step, "update", "host") > of(step, "update", "parameters")  # The reference model, and the images.
    assert of(step, "old log-probabilities", "gradients") == 0
    assert (step.figures["tokens per pass"], step.figures["micro-batches"]) == (24576, 4)


def test_too_little_memory_is_named(steps: dict[str, Step]) -> None:
    step = steps["memory"]
    assert step.ok is False
    assert step.limit == "8.0 GiB of a GPU, 4.0 GiB reserved"


def test_offloaded_state_is_not_on_the_gpu_in_other_phases(steps: dict[str, Step]) -> None:
    step = steps["offloaded"]
    assert step.ok, step
    assert of(step, "reference", "moments") == 0
    assert of(step, "reference", "parameters") == 0
    assert of(step, "update", "moments") == of(steps["memory"], "update", "moments")


def test_frozen_parameters_have_no_moments(steps: dict[str, Step]) -> None:
    step = steps["frozen"]
    assert step.ok, step
    assert of(step, "update", "moments") < 1.99 * of(step, "update", "parameters")


def test_adapters_need_little_and_no_reference_model(steps: dict[str, Step]) -> None:
    step = steps["LoRA"]
    assert step.ok, step
    assert of(step, "update", "moments") < 0.05 * of(step, "update", "parameters")
    assert of(step, "update", "host") < of(step, "update", "parameters")
    assert "reference: temporary" in step.figures


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no such module", "No modules were targeted"),
        ("micro-batch", "divisible"),
        ("all frozen", "empty parameter list"),
    ],
)
def test_a_fault_is_named(steps: dict[str, Step], name: str, words: str) -> None:
    assert steps[name].ok is False
    assert words in steps[name].found, steps[name].found


def test_what_has_no_path_on_a_cpu_is_said(steps: dict[str, Step]) -> None:
    assert steps["megatron"].ok is None
    assert "Megatron-Core has no CPU path" in steps["megatron"].found
