"""`vision-r1 rehearse` as a whole, of the 7B with one layer: a run that would run, and one that does not fit."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from verl_vision_r1.cli import app

pytestmark = [pytest.mark.process, pytest.mark.verl, pytest.mark.timeout(600)]

BUDGETS = (
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu={0}"
    " actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu={0}"
    " actor_rollout_ref.ref.log_prob_max_token_len_per_gpu={0}"
)


def rehearse(model: Path, recipe: str, *words: str) -> Result:
    """Rehearse a recipe for the 7B without its reference model."""
    run = (f"+recipe={recipe}", "actor_rollout_ref.actor.use_kl_loss=false", "data.train_batch_size=32")
    return CliRunner().invoke(app, ["rehearse", *run, "--model-config", str(model / "config.json"), *words])


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_a_run_that_would_run(short_model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = rehearse(short_model, "vision_r1_qwen7b", *BUDGETS.format(3072).split(), "--json", "--log", str(log))
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["would_run"] is True
    assert found["verdict"] == "would run"
    names = ["configuration", "model", "rollout engine", "training", "weight transfer", "placement"]
    assert list(found["steps"]) == names
    assert all(step["ok"] for step in found["steps"].values())
    assert found["steps"]["training"]["figures"]["tokens per pass"] == 3072
    # What the rehearsed actor has sent, not what a test has made up.
    assert found["steps"]["weight transfer"]["figures"]["weights"] > 40
    assert all(f"\n{name}: ok: " in "\n" + done.stderr for name in names)
    assert "training: building the models" in log.read_text()


def test_a_run_that_does_not_fit_is_told_the_smallest_change_that_makes_it_fit(short_model: Path) -> None:
    done = rehearse(short_model, "vision_r1_qwen7b_sglang", "--gpu-memory", "13")
    assert done.exit_code == 1
    first, *table = done.stdout.splitlines()
    assert first.startswith("would not run: training: ")
    assert " of 13.0 GiB at the peak, in the update: " in first
    assert first.endswith(f"; try {BUDGETS.format(6144)}")
    assert [line.split()[0] for line in table if " FAILED " in line] == ["training"]
    tried = [line for line in done.stderr.splitlines() if line.startswith("training: begins")]
    assert tried == ["training: begins", *(f"training: begins with {BUDGETS.format(size)}" for size in (12288, 6144))]
    assert "\nplacement: ok: 1 node x 8 GPUs" in done.stderr
