"""The metrics of a run are read and checked: counts exactly, seconds and memory against their limits."""

import json
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1.preflight.gpu_check.machine import ASSUMED
from verl_vision_r1.preflight.gpu_check.measured import measure
from verl_vision_r1.preflight.gpu_check.plan import ROLLOUTS, STEPS, Expected, Plan
from verl_vision_r1.preflight.gpu_check.verdict import Verdict, verdicts

EXPECTED = Expected([], 70.0, {"gen": 12.0, "update_actor": 30.0, "step": 60.0})


def write_run(plan: Plan, steps: int = STEPS, score: float = 0.5, **later: float) -> None:
    """Write the files of a run: its first step is slow, the others take these seconds."""
    plan.rollouts.mkdir(parents=True)
    lines: list[dict[str, Any]] = [{"step": 0, "data": {"training/global_step": 0}}]
    for step in range(1, steps + 1):
        seconds = {"gen": 5.0, "update_actor": 20.0, "step": 30.0, **later} if step > 1 else {"gen": 99, "step": 300}
        data = {f"timing_s/{name}": value + step / 10 for name, value in seconds.items()}
        memory = {"actor/perf/max_memory_allocated_gb": 50.0 + step}
        lines.append({"step": step, "data": {**data, **memory, "critic/score/mean": score}})
        completions = [json.dumps({"score": score, "output": ""})] * (plan.prompts * ROLLOUTS)
        (plan.rollouts / f"{step}.jsonl").write_text("\n".join(completions) + "\n")
    plan.metrics.write_text("\n".join(map(json.dumps, lines)) + "\n")


def checked(plan: Plan, expected: Expected = EXPECTED) -> dict[str, Verdict]:
    return {verdict.name: verdict for verdict in verdicts(plan, expected, measure(plan.metrics, plan.rollouts))}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path / "check", ASSUMED)


def test_a_run_within_its_limits_passes(plan: Plan) -> None:
    write_run(plan)
    found = checked(plan)
    assert all(verdict.ok for verdict in found.values())
    assert found["rollouts scored"].measured == 16 * ROLLOUTS * STEPS
    assert found["gen"].measured == pytest.approx(5.25)  # The median of the later steps.
    assert found["peak memory"] == Verdict("peak memory", 53.0, 70.0, "GiB", True)


def test_a_slow_part_fails(plan: Plan) -> None:
    write_run(plan, gen=14.0)
    assert [name for name, verdict in checked(plan).items() if verdict.ok is False] == ["gen"]


def test_a_part_without_a_measurement_fails(plan: Plan) -> None:
    write_run(plan)
    found = checked(plan, Expected([], 70.0, {"ref": 12.0}))
    assert found["ref"] == Verdict("ref", None, 12.0, "seconds", False)


def test_too_much_memory_fails(plan: Plan) -> None:
    write_run(plan)
    assert checked(plan, Expected([], 52.0, {}))["peak memory"].ok is False


def test_without_limits_seconds_and_memory_are_only_shown(plan: Plan) -> None:
    write_run(plan, gen=1e6)
    found = checked(plan, Expected([], None, {}))
    assert {name for name, verdict in found.items() if verdict.ok is None} == {
        *("gen", "update_actor", "step", "peak memory")
    }
    assert found["gen"].measured == pytest.approx(1e6, rel=1e-3)


def test_a_reward_that_is_not_finite_fails(plan: Plan) -> None:
    write_run(plan, score=float("nan"))
    assert [name for name, verdict in checked(plan).items() if verdict.ok is False] == ["finite rewards"]


def test_a_run_that_stopped_early_fails(plan: Plan) -> None:
    write_run(plan, steps=2)
    wrong = {name for name, verdict in checked(plan).items() if verdict.ok is False}
    assert wrong == {"steps", "rollouts scored", "finite rewards"}


def test_a_broken_line_is_named(plan: Plan) -> None:
    write_run(plan)
    plan.metrics.write_text("{}{")
    with pytest.raises(ValueError, match=r"metrics\.jsonl:1: expected JSON, got '\{\}\{'"):
        checked(plan)
