"""What verl logged is read and judged: exact where it must be, by its limits where there are some."""

import json
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1.preflight.gpu_check.machine import ASSUMED
from verl_vision_r1.preflight.gpu_check.measured import measure
from verl_vision_r1.preflight.gpu_check.plan import ROLLOUTS, STEPS, Expected, Plan
from verl_vision_r1.preflight.gpu_check.verdict import Finding, judge

EXPECTED = Expected([], 70.0, {"gen": 12.0, "update_actor": 30.0, "step": 60.0})


def write_run(plan: Plan, steps: int = STEPS, score: float = 0.5, **later: float) -> None:
    """What a run leaves: its first step is slow, the others have these seconds."""
    plan.rollouts.mkdir(parents=True)
    lines: list[dict[str, Any]] = [{"step": 0, "data": {"training/global_step": 0}}]
    for step in range(1, steps + 1):
        seconds = {"gen": 5.0, "update_actor": 20.0, "step": 30.0, **later} if step > 1 else {"gen": 99, "step": 300}
        data = {f"timing_s/{name}": value + step / 10 for name, value in seconds.items()}
        memory = {"actor/perf/max_memory_allocated_gb": 50.0 + step}
        lines.append({"step": step, "data": {**data, **memory, "critic/score/mean": score}})
        answers = [json.dumps({"score": score, "output": ""})] * (plan.prompts * ROLLOUTS)
        (plan.rollouts / f"{step}.jsonl").write_text("\n".join(answers) + "\n")
    plan.metrics.write_text("\n".join(map(json.dumps, lines)) + "\n")


def findings(plan: Plan, expected: Expected = EXPECTED) -> dict[str, Finding]:
    return {finding.name: finding for finding in judge(plan, expected, measure(plan.metrics, plan.rollouts))}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path / "check", ASSUMED)


def test_a_run_within_its_limits_is_right(plan: Plan) -> None:
    write_run(plan)
    found = findings(plan)
    assert all(finding.ok for finding in found.values())
    assert found["rollouts scored"].found == 16 * ROLLOUTS * STEPS
    assert found["gen"].found == pytest.approx(5.25)  # The median of the later steps.
    assert found["peak memory"] == Finding("peak memory", 53.0, 70.0, "GiB", True)


def test_a_slow_part_is_named(plan: Plan) -> None:
    write_run(plan, gen=14.0)
    assert [name for name, finding in findings(plan).items() if finding.ok is False] == ["gen"]


def test_a_part_that_was_never_timed_is_not_within_its_limit(plan: Plan) -> None:
    write_run(plan)
    found = findings(plan, Expected([], 70.0, {"ref": 12.0}))
    assert found["ref"] == Finding("ref", None, 12.0, "seconds", False)


def test_too_much_memory_is_wrong(plan: Plan) -> None:
    write_run(plan)
    assert findings(plan, Expected([], 52.0, {}))["peak memory"].ok is False


def test_without_limits_seconds_and_memory_are_shown_and_not_judged(plan: Plan) -> None:
    write_run(plan, gen=1e6)
    found = findings(plan, Expected([], None, {}))
    assert {name for name, finding in found.items() if finding.ok is None} == {
        *("gen", "update_actor", "step", "peak memory")
    }
    assert found["gen"].found == pytest.approx(1e6, rel=1e-3)


def test_a_score_that_is_no_number_is_found(plan: Plan) -> None:
    write_run(plan, score=float("nan"))
    assert [name for name, finding in findings(plan).items() if finding.ok is False] == ["scores that are finite"]


def test_a_run_that_stopped_early_is_found(plan: Plan) -> None:
    write_run(plan, steps=2)
    wrong = {name for name, finding in findings(plan).items() if finding.ok is False}
    assert wrong == {"steps", "rollouts scored", "scores that are finite"}


def test_a_broken_line_is_named(plan: Plan) -> None:
    write_run(plan)
    plan.metrics.write_text("{}{")
    with pytest.raises(ValueError, match=r"metrics\.jsonl:1: expected JSON, got '\{\}\{'"):
        findings(plan)
