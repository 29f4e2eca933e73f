"""What goes wrong in the middle of a run: a criterion that raises, images that vanish, a reward worker that is killed.

The first two cost the samples their score and are counted; the last one ends the run, by name. The run trains a LoRA
adapter, by verl's own keys.
"""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from runs import DRILLS, Finished, process_of, worker_processes
from runs import run as run_trainer

from verl_vision_r1.data.options import Source
from verl_vision_r1.data.prepare import prepare
from verl_vision_r1.demo.plan import Demo

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not DRILLS, reason="a drill of minutes: make drills"),
]

OURS = "critic/vision_r1/shapes/detection"


class Disturbed:
    """Takes the images away after the first step, and kills a reward worker after the third."""

    def __init__(self, images: Path) -> None:
        self.images = images
        self.killed: list[int] = []

    def __call__(self, line: str) -> None:
        if " step:1 - " in line:
            for image in self.images.iterdir():
                image.unlink()
        if " step:3 - " in line:
            self.killed = worker_processes("RewardLoopWorker", process_of(line))[:1]
            for process in self.killed:
                os.kill(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Disturbed, dict[int, dict[str, Any]]]:
    """The run, what was done to it, and its metrics by step."""
    from verl_vision_r1.demo.shapes import write_shapes
    from verl_vision_r1.demo.teach import batches_of_rows, read_rows, teach, texts_of
    from verl_vision_r1.demo.tiny_model import build_tiny_model

    demo = Demo(tmp_path_factory.mktemp("faults"), steps=40, teaching_steps=60)
    source = write_shapes(demo.folder / "source", "train", 96)
    prepare([Source("coco", str(source), alias="shapes")], demo.rows)
    rows = read_rows(demo.rows / "train.parquet")
    build_tiny_model(demo.model, texts_of(rows))
    teach(demo.model, lambda examples: batches_of_rows(examples, rows), demo.teaching_steps, lambda step, loss: None)
    disturbed = Disturbed(source / "images" / "train")
    finished = run_trainer(
        demo,
        *("trainer.val_before_train=false", "trainer.test_freq=-1", "trainer.save_freq=-1", "reward.num_workers=2"),
        *("data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4"),
        *("actor_rollout_ref.model.lora_rank=8", "actor_rollout_ref.model.lora_alpha=64"),
        *("actor_rollout_ref.model.target_modules=all-linear", "actor_rollout_ref.rollout.load_format=safetensors"),
        *("actor_rollout_ref.model.exclude_modules='.*visual.*'", "actor_rollout_ref.actor.optim.lr=1e-3"),
        *("actor_rollout_ref.actor.use_kl_loss=true", "algorithm.rollout_correction.bypass_mode=false"),
        "vision_r1/reward=vision_r1",
        "+vision_r1.reward.tasks.detection.criteria.mine={weight: 1, function: 'json:loads'}",
        disturb=disturbed,
    )
    entries = map(json.loads, demo.metrics.read_text().splitlines())
    return finished, disturbed, {entry["step"]: entry["data"] for entry in entries}


def test_a_criterion_that_raises_counts_nothing_and_is_told_once(drill: Any) -> None:
    finished, _, metrics = drill
    assert metrics[1][f"{OURS}/criterion_failed/mean"] == 1
    assert metrics[1][f"{OURS}/mine/mean"] == 0
    assert metrics[1][f"{OURS}/image_unreadable/mean"] == 0
    told = [line for line in finished.lines if "mine failed and counts 0; row {" in line]
    assert 1 <= len(told) <= 2  # Once in each of two reward workers.
    assert "TypeError: loads() takes 1 positional argument but 4 were given" in finished.log


def test_an_image_that_vanishes_costs_its_samples_the_score(drill: Any) -> None:
    finished, _, metrics = drill
    assert metrics[3][f"{OURS}/image_unreadable/mean"] == 1
    assert metrics[3][f"{OURS}/total/mean"] == 0
    assert metrics[3]["critic/vision_r1/groups/all_zero"] == 1
    assert "an image could not be read, its samples score 0: " in finished.log
    assert "Error in _run_prompt" not in finished.log.split(" step:3 - ")[0]


def test_an_adapter_is_trained_and_generated_with(drill: Any) -> None:
    _, _, metrics = drill
    assert metrics[1]["actor/grad_norm"] > 0
    # The policy has left the reference, which is the model without the adapter, and vLLM's has left it alike.
    assert metrics[3]["actor/kl_loss"] > 1e-3
    assert metrics[3]["training/rollout_probs_diff_mean"] < 0.01


def test_a_dead_reward_worker_ends_the_run_by_name(drill: Any) -> None:
    finished, disturbed, metrics = drill
    assert disturbed.killed
    assert finished.status == 1
    assert 3 <= max(metrics) < 40
    assert "expected a living reward worker, got " in finished.log
