"""The order of the steps, what they are given, and that none is lost when another fails."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1.preflight.rehearse import Options, run
from verl_vision_r1.preflight.rehearse.run import STEPS, rehearse
from verl_vision_r1.preflight.rehearse.step import Spec, Step

pytestmark = pytest.mark.verl

Take = Callable[[Spec], Step]
LORA = "vision_r1/tuning=lora"
TOO_LARGE = Step(False, "too large", figures={"update: parameters": 9e9, "reserve": 4e9})


class Process:
    """Takes steps in this process, by a function of the test."""

    take: Take

    def __init__(self, log: Path | None) -> None: ...

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None: ...


@pytest.fixture
def steps_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Take], None]:
    """Has all steps taken by a function."""
    monkeypatch.setattr(run, "Process", Process)
    return lambda take: monkeypatch.setattr(Process, "take", staticmethod(take), raising=False)


def play(*overrides: str, **options: Any) -> dict[str, Step]:
    return dict(rehearse(("+recipe=vision_r1_qwen7b", *overrides), Options(**options)))


def passing(spec: Spec) -> Step:
    """A step that passes; training writes the weights that it sends."""
    if spec.step == "training" and spec.sent:
        spec.sent.write_text("[]")
    return Step(True, spec.step)


def test_every_step_is_taken_once_and_has_its_own_result(steps_by: Any) -> None:
    steps_by(passing)
    steps = play()
    assert set(steps) == set(STEPS)
    assert [name for name in STEPS[2:] if steps[name].found != name] == []


def test_steps_are_given_the_run_and_what_is_assumed(steps_by: Any) -> None:
    specs: dict[str, Spec] = {}

    def take(spec: Spec) -> Step:
        specs[spec.step] = spec
        assert (spec.folder / "config.json").exists()
        return passing(spec)

    steps_by(take)
    play("trainer.nnodes=2", gpu_memory=24.0, nodes=(4, 8))
    assert all(spec.overrides == ("+recipe=vision_r1_qwen7b", "trainer.nnodes=2") for spec in specs.values())
    assert {(spec.gpu_memory, spec.nodes, spec.kernels) for spec in specs.values()} == {(24.0, (4, 8), True)}
    assert specs["training"].sent == specs["weight transfer"].sent


def test_a_result_comes_as_soon_as_it_is_known(steps_by: Any) -> None:
    placed = threading.Event()

    def take(spec: Spec) -> Step:
        if spec.step == "training":
            placed.wait(60)
        return passing(spec)

    steps_by(take)
    order = []
    for name, _ in rehearse(["+recipe=vision_r1_qwen7b"]):
        order.append(name)
        if name == "placement":
            placed.set()
    assert order == ["configuration", "model", "rollout engine", "placement", "training", "weight transfer"]


def test_weights_are_transferred_while_remedies_are_tried(steps_by: Any) -> None:
    transferred = threading.Event()

    def take(spec: Spec) -> Step:
        if spec.step == "weight transfer":
            transferred.set()
        if spec.step == "training" and not spec.sent:
            return Step(transferred.wait(60), "tried")
        passing(spec)
        return TOO_LARGE if spec.step == "training" else Step(True, "passed")

    steps_by(take)
    assert play(gpu_memory=10.0)["training"].advice


@pytest.mark.parametrize(
    ("failing", "reason"),
    [("training", "the step training did not pass"), ("rollout engine", "the step rollout engine did not pass")],
)
def test_without_training_or_engine_nothing_is_transferred_but_the_rest_is_rehearsed(
    steps_by: Any, failing: str, reason: str
) -> None:
    steps_by(lambda spec: Step(False, "failed") if spec.step == failing else passing(spec))
    steps = play()
    assert steps["weight transfer"] == Step(None, reason)
    assert steps[failing] == Step(False, "failed")
    assert steps["placement"].ok


def test_weights_of_a_run_that_does_not_fit_are_transferred_as_the_run_sends_them(steps_by: Any) -> None:
    """And not as the last remedy sends them, which may train an adapter."""
    told: list[str] = []

    def take(spec: Spec) -> Step:
        if spec.step == "weight transfer":
            assert spec.sent is not None
            return Step(True, spec.sent.read_text())
        if spec.sent:
            spec.sent.write_text("as the run")
        return TOO_LARGE if spec.step == "training" and LORA not in spec.overrides else Step(True, "fits")

    steps_by(take)
    steps = play(gpu_memory=10.0, tell=told.append)
    assert steps["training"].advice == LORA
    assert steps["weight transfer"].found == "as the run"
    assert f"training: begins with {LORA}" in told


def test_remedies_can_be_left_out(steps_by: Any) -> None:
    steps_by(lambda spec: TOO_LARGE if spec.step == "training" else passing(spec))
    assert play(remedies=False)["training"] == TOO_LARGE


def test_a_run_that_does_not_compose_ends_there(steps_by: Any) -> None:
    steps_by(passing)
    steps = play("trainer.no_such_key=1")
    assert list(steps) == ["configuration"]
    assert steps["configuration"].ok is False
    assert "no_such_key" in steps["configuration"].found
