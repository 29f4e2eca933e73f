"""The plan: the command composes, fits the GPUs, and has limits."""

from pathlib import Path

import pytest

from verl_vision_r1.preflight.gpu_check.machine import ASSUMED, Machine, find
from verl_vision_r1.preflight.gpu_check.plan import OFFLOAD, STEPS, UNPACKED, Plan, expect, overrides

pytestmark = pytest.mark.verl

CPU = Machine("CPU", 0, 0.0, False)


def offload_of(run: list[str]) -> tuple[str, ...]:
    """The entry of `OFFLOAD` that a run has."""
    return next(each for each in reversed(OFFLOAD) if set(each) <= set(run))


@pytest.mark.parametrize(("gpus", "memory", "chosen"), [(1, 141, 0), (1, 80, 1), (1, 40, 2), (8, 80, 0)])
def test_what_does_not_fit_the_gpus_is_offloaded(gpus: int, memory: float, chosen: int, tmp_path: Path) -> None:
    expected = expect(Plan(tmp_path, Machine("NVIDIA H100", gpus, memory, True)))
    assert offload_of(expected.run) == OFFLOAD[chosen]
    assert expected.memory is not None
    assert 10 < expected.memory < memory
    assert f"trainer.n_gpus_per_node={gpus}" in expected.run


def test_gpus_that_are_too_small_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"expected GPUs with memory for 3\.75 billion parameters, got 1 x 8 GiB; --small"
    ):
        expect(Plan(tmp_path, Machine("NVIDIA RTX 3070", 1, 8.0, True)))


def test_a_slower_gpu_has_higher_limits(tmp_path: Path) -> None:
    fast = expect(Plan(tmp_path, Machine("NVIDIA H200", 1, 141.0, True))).seconds
    unknown = expect(Plan(tmp_path, Machine("NVIDIA X1", 1, 141.0, True))).seconds
    assert set(fast) == {"gen", "old_log_prob", "ref", "update_actor", "update_weights", "step"}
    assert unknown["update_actor"] > fast["update_actor"] > fast["ref"] > 10
    assert fast["step"] == pytest.approx(sum(fast.values()) - fast["step"], abs=0.1)


def test_without_flash_attention_sequences_are_not_packed(tmp_path: Path) -> None:
    packed = overrides(Plan(tmp_path, ASSUMED))
    plain = overrides(Plan(tmp_path, Machine("NVIDIA H100", 1, 80.0, False)))
    assert set(plain) - set(packed) == set(UNPACKED)


def test_a_cpu_has_no_limits(tmp_path: Path) -> None:
    expected = expect(Plan(tmp_path, CPU, small=True))
    assert expected.run[0] == "+recipe=vision_r1_cpu"
    assert (expected.memory, expected.seconds) == (None, {})


@pytest.mark.parametrize("machine", [ASSUMED, CPU])
@pytest.mark.parametrize("small", [False, True])
def test_the_run_composes_as_planned(machine: Machine, small: bool, tmp_path: Path) -> None:
    from verl_vision_r1.preflight.doctor.check import Case
    from verl_vision_r1.preflight.doctor.installation import recipes

    plan = Plan(tmp_path, machine, small)
    case = Case(tuple(overrides(plan, OFFLOAD[2] if machine.gpus else ())))
    assert recipes(case).ok, recipes(case).found
    assert case.run.data.train_batch_size == case.run.actor_rollout_ref.actor.ppo_mini_batch_size == plan.prompts
    assert case.run.trainer.total_training_steps == STEPS
    assert case.run.trainer.n_gpus_per_node == 1
    assert case.run.actor_rollout_ref.actor.strategy == "fsdp2"


def test_a_cpu_is_used_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    assert find() == CPU
