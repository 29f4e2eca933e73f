"""What a rehearsal says of the tiny recipe, against what verl's trainer then does on the CPU."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from runs import run

from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.preflight.rehearse.process import Process
from verl_vision_r1.preflight.rehearse.step import Spec, Step

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

SHORT = ("data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4", "data.max_response_length=32")


@pytest.fixture(scope="module")
def demo(folder: Path) -> Demo:
    steps = ("trainer.total_training_steps=2", "trainer.val_before_train=false", "trainer.save_freq=-1")
    return Demo(folder, steps=2, rows=folder, model=folder / "model", overrides=(*SHORT, *steps))


@pytest.fixture(scope="module")
def rehearsed(demo: Demo) -> Step:
    overrides = demo.command()[demo.command().index("+recipe=vision_r1_cpu") :]
    with Process(demo.folder / "rehearsal.log") as process:
        return process.take(Spec("training", tuple(overrides), demo.model, kernels=False))


@pytest.fixture(scope="module")
def measured(demo: Demo) -> dict[str, Any]:
    """The second step: in the first one the optimizer has no state yet."""
    lines = demo.folder / "measured.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEASURED_STEPS", str(lines))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        done = run(demo, "actor_rollout_ref.model.external_lib=measured_step")
    assert done.status == 0, done.log[-3000:]
    first, second = map(json.loads, lines.read_text().splitlines())
    assert first["state"].get("moments", 0) < second["state"]["moments"]
    return dict(second)


def test_the_micro_batches_are_those_of_the_run(rehearsed: Step, measured: dict[str, Any]) -> None:
    assert rehearsed.ok, rehearsed
    assert measured["sequences"] == [32]
    assert rehearsed.figures["micro-batches"] == 1
    assert rehearsed.figures["tokens per pass"] / 32 == pytest.approx(measured["longest"], rel=0.02)


@pytest.mark.parametrize("kind", ["parameters", "gradients", "moments"])
def test_the_state_is_that_of_the_run(rehearsed: Step, measured: dict[str, Any], kind: str) -> None:
    assert rehearsed.figures[f"optimizer step: {kind}"] == pytest.approx(measured["state"][kind], rel=0.02)


def test_the_peak_is_that_of_the_run(rehearsed: Step, measured: dict[str, Any]) -> None:
    peak = sum(size for name, size in rehearsed.figures.items() if name.startswith("update: ") and "host" not in name)
    assert peak == pytest.approx(measured["peak"], rel=0.1)
