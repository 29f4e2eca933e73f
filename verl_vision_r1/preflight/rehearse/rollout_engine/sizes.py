"""The numbers of a run that decide how many rollout engines it has, and how long their sequences are."""

import math
from typing import Any


def engine_size(config: Any) -> int:
    """GPUs of one rollout engine."""
    rollout = config.actor_rollout_ref.rollout
    sizes = (rollout.tensor_model_parallel_size, rollout.data_parallel_size, rollout.pipeline_model_parallel_size)
    return math.prod(int(size) for size in sizes)


def separate(config: Any) -> bool:
    """Whether GPUs that do not train generate."""
    return str(config.trainer.v1.trainer_mode).endswith("separate_async")


def hybrid(config: Any) -> bool:
    """Whether the GPUs that train also generate."""
    return not separate(config) or bool(config.actor_rollout_ref.get("hybrid_engine", True))


def pools(config: Any) -> list[int]:
    """GPUs of each pool with rollout engines."""
    rollout, trainer, found = config.actor_rollout_ref.rollout, config.trainer, []
    if hybrid(config):
        found.append(int(trainer.nnodes * trainer.n_gpus_per_node))
    if separate(config):
        found.append(int(rollout.nnodes * rollout.n_gpus_per_node))
    return found


def longest(config: Any) -> int:
    """Tokens of the longest prompt and completion together."""
    return int(config.data.max_prompt_length + config.data.max_response_length)
