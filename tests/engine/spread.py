"""A criterion that pays nothing, and leaves a mark of the node and the process that it was asked in."""

import os
import re
from pathlib import Path
from typing import Any

import ray

FOLDER = "VISION_R1_TEST_MARKS"
"""The variable of the environment that names the folder of the marks."""


def where(answer: Any, target: Any, match: Any, stage: Any) -> float:
    """One letter more in the file of this process: `NODE-PROCESS`."""
    mark = Path(os.environ[FOLDER]) / f"{ray.util.get_node_ip_address()}-{os.getpid()}"
    with mark.open("a") as file:
        file.write(".")
    return 0.0


def marks(folder: Path) -> dict[str, int]:
    """How many answers were scored on each node, by its address."""
    found: dict[str, int] = {}
    for mark in folder.iterdir():
        node = mark.name.rsplit("-", 1)[0]
        found[node] = found.get(node, 0) + len(mark.read_text())
    return found


def overrides(prompts: int, rollouts: int) -> tuple[str, ...]:
    """A run whose rewards leave marks, with two workers of each kind; it saves and validates nothing."""
    return (
        *(f"data.train_batch_size={prompts}", f"actor_rollout_ref.actor.ppo_mini_batch_size={prompts}"),
        *(f"actor_rollout_ref.rollout.n={rollouts}", "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8"),
        *("reward.num_workers=2", "actor_rollout_ref.rollout.agent.num_workers=2"),
        "+vision_r1.reward.tasks.detection.criteria.where={function: 'spread:where', weight: 0}",
        *("trainer.save_freq=-1", "trainer.val_before_train=false", "trainer.test_freq=-1"),
    )


def processes(log: str, actor: str) -> int:
    """How many processes of Ray's actors of that name said something in a log."""
    return len(set(re.findall(rf"\({actor} pid=(\d+)", log)))
