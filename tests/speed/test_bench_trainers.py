"""The benchmark of trainers: its sums, its page, and a step of the floor."""

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).with_name("trainers")))

import bench_trainers
import samples

from verl_vision_r1 import Target
from verl_vision_r1.rewards.forms import correct_completion


def test_the_summary_leaves_out_the_first_steps() -> None:
    first = [{"step": 9.0, "generation": 5.0, "update": 4.0, "end": 30.0}] * bench_trainers.WARM_UP
    later = [{"step": 3.0, "generation": 1.0, "update": 1.5, "end": 40.0}] * 3
    watch = bench_trainers.Watch()
    watch.begin, watch.peak = 10.0, 2**31
    found = bench_trainers.summary([*first, *later], watch)
    assert found == {
        **{"step": 3.0, "generation": 1.0, "update": 1.5, "rest": 0.5},
        **{"to the first step": 20.0, "GiB": 2.0, "all steps": 27.0},
    }


def test_processor_time_is_that_of_the_steps_alone() -> None:
    before, after = (
        Counter(AgentLoopWorker=7.0, engine=2.0),
        Counter(AgentLoopWorker=10.0, engine=3.0, RewardLoopWorker=0.5),
    )
    assert bench_trainers.per_step(before, after, 2) == {
        "AgentLoopWorker": 1.5,
        "engine": 0.5,
        "RewardLoopWorker": 0.25,
    }


def test_the_memory_is_not_added_up_in_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [100.0]
    monkeypatch.setattr(bench_trainers.time, "time", lambda: times[0])
    watch, found = bench_trainers.Watch(), [[3, 4], [9]]
    monkeypatch.setattr(bench_trainers, "read_each", lambda *_: found.pop(0))
    for now, peak in ((100.0, 7), (101.0, 7), (100.0 + bench_trainers.LOOK, 9)):
        times[0] = now
        watch.look(1)
        assert watch.peak == peak


def test_a_process_of_its_own_counts_under_the_engine() -> None:
    before = bench_trainers.processor_seconds(os.getpid())
    sum(index * index for index in range(2_000_000))
    assert bench_trainers.processor_seconds(os.getpid())[bench_trainers.ENGINE] > before[bench_trainers.ENGINE]


def test_the_medians_take_what_each_round_has() -> None:
    first = {"step": 1.0, "AP": 0.5, bench_trainers.PROCESSORS: {"engine": 1.0}}
    made = [{"TRL": first}, {"TRL": {"step": 3.0}}, {"TRL": {"step": 2.0}}]
    assert bench_trainers.medians(made) == {"TRL": {"step": 2.0, "AP": 0.5}}


def test_the_reward_is_that_of_the_recipe() -> None:
    target = Target([[10, 20, 50, 60]], ("red circle",), 140, 140, ("red circle",))
    rules = samples.PRESET.rules_of(target)
    right = str(correct_completion(target, rules.parser, target.boxes))
    assert samples.reward(right, target.to_json()) == pytest.approx(1.0)
    assert samples.reward("nothing", target.to_json()) == 0.0


@pytest.mark.slow
@pytest.mark.process
def test_a_step_of_the_floor_saves_both_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import floor

    from verl_vision_r1.demo.run import TAUGHT_MODEL, prepare_shapes

    monkeypatch.setattr("verl_vision_r1.demo.run.SCENES", {"categories": (4, 1), "category": (4, 1)})
    for name, value in (("PROMPTS", 2), ("ROLLOUTS", 2), ("TOKENS", 8)):
        monkeypatch.setattr(floor, name, value)
    prepare_shapes(tmp_path, 0)
    floor.train(tmp_path / "rows" / "train.parquet", TAUGHT_MODEL, tmp_path, 1, 0.0)
    (step,) = json.loads((tmp_path / "steps.json").read_text())
    assert step["step"] == pytest.approx(step["generation"] + step["update"], abs=0.01)
    assert all((tmp_path / kind / "config.json").is_file() for kind in ("steps", "time"))


def test_our_tokens_are_the_rivals() -> None:
    assert bench_trainers.TOKENS == samples.TOKENS
