"""What makes a training step fit: which changes are tried, in which order, and which one is the advice."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from verl_vision_r1.preflight.estimate.figure import GIB
from verl_vision_r1.preflight.rehearse.remedies import ADAPTERS, OFFLOAD, ON_HOST, advised, changes
from verl_vision_r1.preflight.rehearse.step import Step

Change = tuple[str, ...]

TOKENS = (
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu",
    "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu",
    "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu",
)
MORE_NODES = [("trainer.nnodes=4",), ("trainer.nnodes=8",)]


def run(lora_rank: int = 0, **actor: Any) -> Any:
    """The keys that decide what is tried, of a run on two nodes."""
    state = {"param_offload": False, "optimizer_offload": False, "offload_policy": False} | actor.pop("fsdp", {})
    passes = {"use_dynamic_bsz": True, "ppo_max_token_len_per_gpu": 8192, "ppo_micro_batch_size_per_gpu": None}
    parts = {"model": {"lora_rank": lora_rank}, "actor": {**passes, **actor, "fsdp_config": state}}
    lengths = {"max_prompt_length": 1024, "max_response_length": 512}
    return OmegaConf.create({"data": lengths, "trainer": {"nnodes": 2}, "actor_rollout_ref": parts})


def tokens(budget: int) -> Change:
    return tuple(f"{key}={budget}" for key in TOKENS)


def too_large(activations: float = 60, parameters: float = 10) -> Step:
    """A step whose peak does not fit into 40 GiB."""
    figures = {
        "update: activations": activations * GIB,
        "update: parameters": parameters * GIB,
        "reference: parameters": 1.0 * GIB,
        "tokens per pass": 8192.0,
        "reserve": 4.0 * GIB,
    }
    return Step(False, "too large", figures=figures)


def test_smaller_changes_are_tried_first() -> None:
    assert list(changes(run(), tokens=True)) == [
        *(tokens(4096), tokens(2048), tokens(1536)),
        *((OFFLOAD,), (OFFLOAD, *tokens(1536)), (ON_HOST,), (ON_HOST, *tokens(1536))),
        (ADAPTERS,),
        *MORE_NODES,
    ]


def test_fewer_tokens_alone_are_not_tried_where_they_cannot_be_enough() -> None:
    assert next(changes(run(), tokens=False)) == (OFFLOAD,)


def test_a_pass_is_at_least_the_longest_prompt_and_completion() -> None:
    found = list(changes(run(ppo_max_token_len_per_gpu=3072), tokens=True))
    assert found[:2] == [tokens(1536), (OFFLOAD,)]
    assert next(changes(run(ppo_max_token_len_per_gpu=1536), tokens=True)) == (OFFLOAD,)


def test_micro_batches_of_a_fixed_number_of_sequences_become_one_sequence() -> None:
    fixed = run(use_dynamic_bsz=False, ppo_micro_batch_size_per_gpu=4)
    first = next(changes(fixed, tokens=True))
    assert first[0] == "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1"
    assert len(first) == 3
    single = run(use_dynamic_bsz=False, ppo_micro_batch_size_per_gpu=1)
    assert next(changes(single, tokens=True)) == (OFFLOAD,)


def test_what_the_run_has_already_is_not_tried() -> None:
    fsdp = {"param_offload": True, "optimizer_offload": True, "offload_policy": True}
    assert list(changes(run(lora_rank=64, fsdp=fsdp), tokens=False)) == MORE_NODES


def test_the_first_change_that_fits_is_the_advice() -> None:
    tried: list[Change] = []

    def retry(change: Change) -> Step:
        tried.append(change)
        return Step(change == (OFFLOAD,), "tried")

    step = advised(too_large(), run(), 40, retry)
    assert (step.ok, step.found, step.advice) == (False, "too large", OFFLOAD)
    assert tried == [tokens(4096), tokens(2048), tokens(1536), (OFFLOAD,)]


def test_fewer_tokens_are_not_tried_if_the_state_alone_is_too_large() -> None:
    tried: list[Change] = []
    advised(too_large(activations=1, parameters=37), run(), 40, lambda change: tried.append(change) or Step(True, ""))
    assert tried == [(OFFLOAD,)]


def test_where_nothing_fits_larger_gpus_are_the_advice() -> None:
    step = advised(too_large(), run(), 40, lambda change: Step(False, "still too large"))
    assert step.advice == "larger GPUs: none of 10 changes makes it fit"


@pytest.mark.parametrize("step", [Step(True, "fits"), Step(None, "skipped"), Step(False, "empty parameter list")])
def test_other_results_are_left_as_they_are(step: Step) -> None:
    def retry(change: Change) -> Step:
        raise AssertionError(change)

    assert advised(step, run(), 40, retry) is step
