"""The step of the rollout engine: vLLM's own verdict on the arguments that verl passes."""

import importlib.util
from pathlib import Path

import pytest
from take_steps import take_steps

from verl_vision_r1.preflight.rehearse.step import Spec, Step

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]

ROLLOUT = "actor_rollout_ref.rollout."
CASES = {
    "recipe": [],
    "heads": ["tensor_model_parallel_size=8"],
    "long": ["max_model_len=200000"],
    "long and heads": ["max_model_len=200000", "tensor_model_parallel_size=8"],
    "batch": ["max_model_len=17000"],
    "experts": ["expert_parallel_size=4"],
    "images": ["limit_images=2"],
    "option": ["engine_kwargs.vllm.speed=3"],
}


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory, short_model: Path) -> dict[str, Step]:
    runs = {
        name: ("+recipe=vision_r1_qwen7b", *(f"++{ROLLOUT}{override}" for override in overrides))
        for name, overrides in CASES.items()
    }
    runs["LoRA"] = ("+recipe=vision_r1_qwen7b_lora",)
    specs = {name: Spec("rollout engine", run, short_model) for name, run in runs.items()}
    return take_steps(specs, tmp_path_factory.mktemp("engine"))


def test_vllm_accepts_the_recipe(steps: dict[str, Step]) -> None:
    assert steps["recipe"].ok, steps["recipe"]
    assert steps["recipe"].found.endswith("accepts: TP 2, 2,048 tokens, bfloat16, any number of images")
    assert steps["recipe"].limit.startswith("prompt 1,024 + completion 512 tokens; 8 GPUs, 2 per engine")
    assert steps["recipe"].figures == {"tensor_parallel": 2, "tokens": 1536, "engines": 4}
    assert steps["LoRA"].found.endswith("LoRA rank up to 64")
    assert steps["images"].found.endswith("2 images per prompt")


@pytest.mark.parametrize(
    ("case", "found", "advice"),
    [
        ("heads", "Total number of attention heads (28) must be divisible by", "tensor_model_parallel_size=4"),
        ("long", "max_model_len (200000) should be less than or equal to", "max_model_len=1536"),
        ("long and heads", "max_model_len (200000)", f"max_model_len=1536 {ROLLOUT}tensor_model_parallel_size=4"),
        # verl 0.9.1 raises this limit itself, in an object that it has frozen.
        ("batch", "'max_num_batched_tokens' is frozen", "max_num_batched_tokens=17000"),
        ("experts", "expert_parallel_size must be equal to", "expert_parallel_size=1"),
    ],
)
def test_a_refused_run_is_told_what_is_accepted(steps: dict[str, Step], case: str, found: str, advice: str) -> None:
    assert steps[case].ok is False
    assert found in steps[case].found
    assert steps[case].advice == ROLLOUT + advice


def test_an_unknown_option_of_the_engine_is_named(steps: dict[str, Step]) -> None:
    assert steps["option"].ok is False
    assert steps["option"].found == "vLLM's command line: unrecognized arguments: --speed 3"
