"""The command: without a GPU it passes no judgement; with a trainer of ours it does. And the model that it makes."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.preflight.gpu_check import machine, run
from verl_vision_r1.preflight.gpu_check.machine import ASSUMED, Machine
from verl_vision_r1.preflight.gpu_check.model import architecture, build
from verl_vision_r1.preflight.gpu_check.plan import Expected, Plan

pytestmark = pytest.mark.verl

TEXTS = ["Where is the red circle?", '[{"bbox_2d": [1, 2, 30, 40], "label": "red circle"}]']
TRAINER = """
import json, os, pathlib, sys
folder, failing = pathlib.Path(sys.argv[1]), sys.argv[2] == "fail"
assert (folder / "model" / "model.safetensors").is_file() and (folder / "rows" / "train.parquet").is_file()
(folder / "rollouts").mkdir()
with open(os.environ["VERL_FILE_LOGGER_PATH"], "w") as metrics:
    for step in (1, 2, 3):
        print(json.dumps({"step": step, "data": {"timing_s/step": 5.0, "critic/score/mean": 0.0}}), file=metrics)
        (folder / "rollouts" / f"{step}.jsonl").write_text('{"score": 0.0}\\n' * 32)
sys.exit(3 if failing else 0)
"""


def told(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(app, ["gpu-check", "--json", *arguments])
    assert done.exit_code == 0, done.output
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_without_a_gpu_it_says_what_it_would_do_and_judges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "find", lambda: None)
    done = CliRunner().invoke(app, ["gpu-check", "--out", str(tmp_path / "check")])
    assert done.exit_code == 0
    assert "No judgement is passed." in done.output
    assert "verl.trainer.main_ppo +recipe=vision_r1_qwen3b" in done.output
    assert "update_actor     at most" in done.output
    result = told("--small", "--out", str(tmp_path / "check"))
    assert (result["judged"], result["passed"], result["findings"]) == (False, None, [])
    assert not (tmp_path / "check").exists()


def test_a_dry_run_trains_nothing_where_there_is_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find", lambda: Machine("NVIDIA H200", 4, 141.0, True))
    result = told("--dry-run", "--out", str(tmp_path / "check"))
    assert result["judged"] is False
    assert "trainer.n_gpus_per_node=4" in str(result["command"])


def test_the_large_model_is_not_trained_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    done = CliRunner().invoke(app, ["gpu-check", "--out", str(tmp_path / "check")])
    assert done.exit_code == 1
    assert done.output.startswith("error: VERL_PLATFORM=cpu: expected --small")


def check_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, expected: Expected) -> tuple[int, str]:
    """Run the check with a trainer that only leaves what verl would, or fails."""
    script, folder = tmp_path / "trainer.py", tmp_path / "check"
    script.write_text(TRAINER)
    monkeypatch.setattr(machine, "find", lambda: ASSUMED)
    monkeypatch.setattr(run, "expect", lambda plan: expected)
    monkeypatch.setattr(run, "trainer_command", lambda overrides: [sys.executable, str(script), str(folder), end])
    done = CliRunner().invoke(app, ["gpu-check", "--small", "--json", "--out", str(folder)])
    assert not (folder / "model").exists()
    return done.exit_code, done.output


def test_what_was_trained_is_judged_and_the_model_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, output = check_with(tmp_path, monkeypatch, "end", Expected([], None, {"step": 6.0}))
    assert status == 0
    assert '"judged": true,\n  "passed": true' in output


def test_a_folder_that_is_somebody_elses_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find", lambda: ASSUMED)
    precious = tmp_path / "model" / "weights"
    precious.parent.mkdir()
    precious.touch()
    done = CliRunner().invoke(app, ["gpu-check", "--small", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output.startswith("error: --out: expected a folder that is empty or of an earlier check")
    assert precious.is_file()


def test_the_folder_of_an_earlier_check_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        assert check_with(tmp_path, monkeypatch, "end", Expected([], None, {"step": 6.0}))[0] == 0


def test_a_step_over_its_budget_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, output = check_with(tmp_path, monkeypatch, "end", Expected([], None, {"step": 4.0}))
    assert status == 1
    assert '"passed": false' in output


def test_a_training_that_fails_names_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, output = check_with(tmp_path, monkeypatch, "fail", Expected([], None, {}))
    assert status == 1
    assert f"the training ended with status 3; the end of {tmp_path / 'check' / 'train.log'}" in output


def test_every_number_that_the_model_can_write_has_a_text(tmp_path: Path) -> None:
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
