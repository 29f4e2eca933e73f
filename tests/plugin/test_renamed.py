"""Old names are refused with the new one, wherever they are written."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.mix import read_mix
from verl_vision_r1.renamed import CHOICES, OPTIONS, check_overrides
from verl_vision_r1.rewards.presets import names_in, preset_from_config, read_preset

TASK = "vision_r1.reward.tasks.detection"


@pytest.mark.parametrize("word", [*CHOICES, "++vision_r1/curriculum='off'"])
def test_an_old_choice_names_the_new_one(word: str) -> None:
    with pytest.raises(ValueError, match=r"renamed; expected vision_r1/(\w+)=(\w+)$") as caught:
        check_overrides(["+recipe=vision_r1_qwen7b", word])
    group, _, name = str(caught.value).rpartition("vision_r1/")[2].partition("=")
    assert name in names_in(group)
    assert word.rpartition("=")[2].strip("'") not in names_in(group)


@pytest.mark.parametrize(
    ("word", "new"),
    [(f"{TASK}.match=same_label", f"{TASK}.matcher=same_label"), (f"+{TASK}.answer.iou=1", f"{TASK}.parser.iou=1")],
)
def test_an_old_key_of_a_task_names_the_new_one(word: str, new: str) -> None:
    with pytest.raises(ValueError, match=f"renamed; expected {new}$"):
        check_overrides([word])


def test_other_words_pass() -> None:
    check_overrides(["answer=1", "vision_r1/curriculum=none", f"{TASK}.matcher=none", "--rows", "", "=", "off"])


def test_an_old_key_in_a_preset_names_the_new_one() -> None:
    config: dict[str, Any] = json.loads(json.dumps(read_preset("vision_r1")))
    task = config["tasks"]["detection"]
    task["answer"], task["match"] = task.pop("parser"), task.pop("matcher")
    with pytest.raises(ValueError, match=r"; answer is now parser; match is now matcher$"):
        preset_from_config(config)


def test_an_old_key_in_a_mix_names_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "mix.yaml"
    file.write_text("parts: [{name: coco, source: x, rows: 3, whole: true}]\n")
    with pytest.raises(ValueError, match=r"; rows is now max_samples; whole is now keep_empty$"):
        read_mix(file)


@pytest.mark.parametrize(
    ("command", "old", "new"), [(command, *pair) for command, pairs in OPTIONS.items() for pair in pairs.items()]
)
def test_an_old_option_names_the_new_one(command: str, old: str, new: str) -> None:
    done = CliRunner().invoke(app, [command, "x", f"{old}=3"])
    assert done.exit_code == 1
    assert f"error: vision-r1 {command}: expected {new}, got its old name {old}" in done.stderr
    assert new in CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout


@pytest.mark.process
@pytest.mark.verl
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["+recipe=vision_r1_qwen7b", "vision_r1/freeze=nothing"],
            "vision_r1/freeze=nothing: renamed; expected vision_r1/freeze=none",
        ),
        (
            ["+recipes=vision_r1_qwen7b"],
            "+recipes=vision_r1_qwen7b: expected +recipe=vision_r1_qwen7b, got the unknown",
        ),
    ],
)
def test_a_run_with_a_wrong_override_ends_with_the_right_one(words: list[str], message: str) -> None:
    command = [sys.executable, "-m", "verl.trainer.main_ppo", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "VERL_PLATFORM": "cpu"}
    )
    assert done.returncode == 1
    assert f"verl-vision-r1: {message}" in done.stderr
