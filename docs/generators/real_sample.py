"""One sample through the real reward manager, verl's validation metrics and its rollout file: what is logged."""

import asyncio
import contextlib
import io
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

from generators.recipes import composed
from verl_vision_r1 import Target
from verl_vision_r1.rewards.presets import load_curriculum, load_preset
from verl_vision_r1.rewards.readiness import Readiness
from verl_vision_r1.training.metrics import Rollouts, readiness_metrics, reward_metrics

CRITERION: Final = "CRITERION"
SOURCE: Final = "SOURCE"
PRESET: Final = "vision_r1"


@cache
def extras() -> dict[str, float | str]:
    """What the reward manager reports of a sample besides its reward; any criterion is called CRITERION.

    Example:
        >>> [key for key, value in extras().items() if isinstance(value, str)]
        ['data_source', 'image_id', 'question', 'subject', 'image', 'frame', 'output']
    """
    criteria = load_preset(PRESET).criteria
    named = {name: CRITERION for name in criteria} | {f"{name}_raw": f"{CRITERION}_raw" for name in criteria}
    return {named.get(key, key): value for key, value in _scored()["reward_extra_info"].items()}


def training_names() -> list[str]:
    """The names of a training step's metrics."""
    readiness = Readiness(load_curriculum("when_ready"), total_steps=1)
    readiness.observe(1, 1.0)
    both = [extras(), extras() | {"negative": 0.0}]
    rewards = reward_metrics(Rollouts([SOURCE] * 2, ["prompt"] * 2, [1.0, 0.0], [9, 7], both))
    return [*rewards, *readiness_metrics(readiness)]


def validation_names() -> list[str]:
    """The names of a validation's metrics, with one completion a sample."""
    from verl.trainer.ppo.v1 import PPOTrainer

    columns = {"reward": [0.0], **{key: [value] for key, value in extras().items()}}
    return list(PPOTrainer._val_metrics_update(None, [SOURCE], ["prompt"], columns, []))


def rollout_keys() -> list[str]:
    """The keys of a line of a predictions file, as verl's validation writes it."""
    from verl.trainer.ppo.v1 import PPOTrainer

    columns = {"reward": [0.0], **{key: [value] for key, value in extras().items()}, "uid": ["prompt"]}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        PPOTrainer._write_generations(["?"], ["[]"], ["{}"], [0.0], columns, folder, 0)
        return list(json.loads((Path(folder) / "0.jsonl").read_text(encoding="utf-8")))


def _scored() -> dict[str, Any]:
    """A completion that does not parse for a negative sample, scored as a reward worker does it."""
    from transformers import AutoTokenizer

    import verl_vision_r1
    from verl_vision_r1.reward_manager import VisionR1RewardManager

    model = Path(verl_vision_r1.__file__).parent / "demo" / "model"
    config = composed(
        *("+recipe=vision_r1_cpu", f"vision_r1/reward={PRESET}", "vision_r1.frame=relative_1000"),
        *(f"actor_rollout_ref.model.path={model}", "actor_rollout_ref.actor.optim.total_training_steps=1"),
    )
    manager = VisionR1RewardManager(config, AutoTokenizer.from_pretrained(model), None)
    return asyncio.run(manager.run_single(_sample()))


def _sample() -> Any:
    import numpy as np
    import torch
    from tensordict import TensorDict
    from verl import DataProto

    ids = torch.ones(1, 4, dtype=torch.long)
    tensors = {"prompts": ids[:, :2], "responses": ids[:, 2:], "attention_mask": ids, "input_ids": ids}
    ground_truth = Target([], [], width=64, height=48).to_json()
    columns = {"reward_model": {"ground_truth": ground_truth}, "raw_prompt": [], "global_steps": 1}
    values = {name: np.array([value], dtype=object) for name, value in columns.items() if name != "raw_prompt"}
    values["raw_prompt"] = np.empty(1, dtype=object)
    values["raw_prompt"][0] = []
    return DataProto(batch=TensorDict(tensors, batch_size=1), non_tensor_batch=values)
