"""What the steps share: input and result as lines, and exceptions as results."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from verl_vision_r1.preflight.doctor.check import FailedError, SkippedError
from verl_vision_r1.preflight.rehearse.step import Spec, Step, as_line, attempt, composed, plan_of, read_spec

SPEC = Spec("dress rehearsal", ("+recipe=vision_r1_qwen7b",), Path("model"))


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a function the step `dress rehearsal`."""

    def make(function: Any) -> None:
        module = "verl_vision_r1.preflight.rehearse.dress_rehearsal"
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(take=function))  # type: ignore[arg-type]

    return make


def raising(error: BaseException) -> Any:
    def take(spec: Spec) -> Step:
        raise error

    return take


@pytest.mark.parametrize(
    "spec",
    [SPEC, Spec("training", ("a=1", "b='x\ny'"), Path("model"), Path("sent.json"), (2, 8), 23.5, kernels=False)],
)
def test_an_input_is_read_as_it_was_written(spec: Spec) -> None:
    line = as_line(spec)
    assert "\n" not in line
    assert read_spec(line) == spec


def test_a_result_is_read_as_it_was_written() -> None:
    step = Step(None, "skipped:\n7 Gründe", "limit", "advice", {"update: parameters": 2.5})
    line = as_line(step)
    assert "\n" not in line
    assert Step(**json.loads(line)) == step


def test_a_step_is_the_module_of_its_name(take: Any) -> None:
    take(lambda spec: Step(True, spec.step))
    assert attempt(SPEC) == Step(True, "dress rehearsal")


def test_exceptions_are_results(take: Any, capsys: pytest.CaptureFixture[str]) -> None:
    take(raising(SkippedError("no kernels on a CPU")))
    assert attempt(SPEC) == Step(None, "no kernels on a CPU")
    assert capsys.readouterr().err == ""
    take(raising(FailedError("28 heads, 3 GPUs", "tensor_model_parallel_size=4")))
    assert attempt(SPEC) == Step(False, "28 heads, 3 GPUs", advice="tensor_model_parallel_size=4")
    take(raising(SystemExit("bad option")))
    assert attempt(SPEC) == Step(False, "SystemExit: bad option")
    assert "Traceback" in capsys.readouterr().err


def test_a_user_can_interrupt_a_step(take: Any) -> None:
    take(raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        attempt(SPEC)


def test_a_folder_has_a_tokenizer_or_not(tmp_path: Path) -> None:
    spec = Spec("training", (), tmp_path)
    assert not spec.has_tokenizer
    (tmp_path / "tokenizer_config.json").touch()
    assert spec.has_tokenizer


@pytest.mark.verl
def test_a_run_that_does_not_compose_is_a_failure_with_advice() -> None:
    with pytest.raises(FailedError, match=r"\+recipe=no_such_recipe: .*no_such_recipe") as raised:
        composed(["+recipe=no_such_recipe"])
    assert "main_ppo +recipe=NAME --cfg job" in raised.value.advice


@pytest.mark.verl
def test_the_plan_has_the_model_of_the_folder(short_model: Path) -> None:
    plan = plan_of(Spec("training", ("+recipe=vision_r1_qwen7b",), short_model, gpu_memory=24))
    assert plan.model.config.text_config.num_hidden_layers == 1
    assert plan.assumed.memory == 24
