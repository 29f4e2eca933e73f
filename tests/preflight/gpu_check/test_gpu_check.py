"""`vision-r1 gpu-check` with a trainer that only writes files, or without a GPU; and the model that it builds."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.preflight.gpu_check import machine, run
from verl_vision_r1.preflight.gpu_check.machine import ASSUMED, Machine
from verl_vision_r1.preflight.gpu_check.model import architecture, build
from verl_vision_r1.preflight.gpu_check.plan import Expected, Plan

pytestmark = pytest.mark.verl

TEXTS = ["Where is the red circle?", '[{"bbox_2d": [1, 2, 30, 40], "label": "red circle"}]']


@pytest.fixture(autouse=True)
def one_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Build the model and train in this process, except in a test of processes."""
    if request.node.get_closest_marker("process") is None:
        monkeypatch.setattr(run, "in_new_process", lambda function, *arguments: function(*arguments))
        monkeypatch.setattr(run, "train", write_files)


def write_files(plan: Plan, command: list[str]) -> Iterator[str]:
    """The files that three steps of verl leave."""
    assert (plan.model / "model.safetensors").is_file()
    assert (plan.data / "train.parquet").is_file()
    plan.rollouts.mkdir()
    with plan.metrics.open("w") as metrics:
        for step in (1, 2, 3):
            data = {"timing_s/step": 5.0, "critic/score/mean": 0.0}
            print(json.dumps({"step": step, "data": data}), file=metrics)
            (plan.rollouts / f"{step}.jsonl").write_text('{"score": 0.0}\n' * 32)
            yield f"step:{step} - critic/score/mean:0.0"


def result_of(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(app, ["gpu-check", "--json", *arguments])
    assert done.exit_code == 0, done.output
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_without_a_gpu_the_plan_is_printed_and_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find", lambda: None)
    done = CliRunner().invoke(app, ["gpu-check", "--out", str(tmp_path / "check")])
    assert done.exit_code == 0
    assert done.output.startswith("skipped: no GPU found")
    assert "verl.trainer.main_ppo +recipe=vision_r1_qwen3b" in done.output
    assert "update_actor     at most" in done.output
    result = result_of("--small", "--out", str(tmp_path / "check"))
    assert (result["limits_checked"], result["passed"], result["verdicts"]) == (False, None, [])
    assert not (tmp_path / "check").exists()


def test_a_dry_run_trains_nothing_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find", lambda: Machine("NVIDIA H200", 4, 141.0, True))
    result = result_of("--dry-run", "--out", str(tmp_path / "check"))
    assert result["limits_checked"] is False
    assert "trainer.n_gpus_per_node=4" in str(result["command"])


def test_the_large_model_is_not_trained_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    done = CliRunner().invoke(app, ["gpu-check", "--out", str(tmp_path / "check")])
    assert done.exit_code == 1
    assert done.output.startswith("error: VERL_PLATFORM=cpu: expected --small")


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Expected], tuple[int, str]]:
    """Run the check with given limits; the exit status and the output."""
    monkeypatch.setattr(machine, "find", lambda: ASSUMED)
    folder = tmp_path / "check"

    def checked(expected: Expected) -> tuple[int, str]:
        monkeypatch.setattr(run, "expect", lambda plan: expected)
        done = CliRunner().invoke(app, ["gpu-check", "--small", "--json", "--out", str(folder)])
        assert not (folder / "model").exists()
        return done.exit_code, done.output

    return checked


def test_a_run_is_checked_and_its_model_removed(check: Any) -> None:
    status, output = check(Expected([], None, {"step": 6.0}))
    assert status == 0
    assert '"limits_checked": true,\n  "passed": true' in output
    assert "step 3, mean score of the rollouts 0.000" in output


def test_a_folder_with_something_else_is_not_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find", lambda: ASSUMED)
    precious = tmp_path / "model" / "weights"
    precious.parent.mkdir()
    precious.touch()
    done = CliRunner().invoke(app, ["gpu-check", "--small", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output.startswith("error: --out: expected a new or empty folder or that of an earlier check")
    assert precious.is_file()


def test_the_folder_of_an_earlier_check_is_emptied(check: Any) -> None:
    for _ in range(2):
        assert check(Expected([], None, {"step": 6.0}))[0] == 0


def test_a_step_above_its_limit_is_an_error(check: Any) -> None:
    status, output = check(Expected([], None, {"step": 4.0}))
    assert status == 1
    assert '"passed": false' in output


@pytest.mark.process
def test_a_failed_training_run_names_its_log(check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit(3)"]
    monkeypatch.setattr(run, "trainer_command", lambda overrides: failing)
    status, output = check(Expected([], None, {}))
    assert status == 1
    assert f"ended with status 3; the end of {tmp_path / 'check' / 'train.log'}" in output


def test_every_id_of_the_model_has_a_token(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoProcessor

    build(tmp_path, TEXTS, small=True)
    tokenizer, config = AutoProcessor.from_pretrained(tmp_path).tokenizer, AutoConfig.from_pretrained(tmp_path)
    size = config.text_config.vocab_size
    assert all(tokenizer.convert_ids_to_tokens(list(range(size))))
    assert tokenizer.convert_tokens_to_ids("<|image_pad|>") == config.image_token_id
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == config.text_config.eos_token_id
    assert tokenizer.decode(tokenizer(TEXTS[1])["input_ids"]) == TEXTS[1]


def test_the_large_model_has_the_size_of_the_published_one() -> None:
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(architecture(small=False))
    assert sum(parameter.numel() for parameter in model.parameters()) == 3_754_622_976
    assert Plan(Path(), ASSUMED).prompts * 4 * 256 == 16_384
