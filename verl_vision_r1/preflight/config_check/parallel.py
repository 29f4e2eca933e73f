"""Checks of the rollout engine: a whole sequence fits, and GPUs are divided among engines without a remainder."""

from typing import Final

from omegaconf import DictConfig

ROLLOUT: Final = "actor_rollout_ref.rollout"


def check_parallel(config: DictConfig) -> None:
    """Check lengths and numbers of GPUs.

    Raises:
        ValueError: The message has the key, the expected value and the value found.
    """
    rollout = config.actor_rollout_ref.rollout
    _check_context(rollout)
    _check_batched_tokens(rollout)
    if (rollout.get("disaggregation") or {}).get("enabled"):  # Prefill and decoding have separate engines.
        return
    gpus_per_engine = (
        rollout.tensor_model_parallel_size * rollout.data_parallel_size * rollout.pipeline_model_parallel_size
    )
    if config.actor_rollout_ref.get("hybrid_engine", True):
        _check_gpus("trainer", config.trainer, gpus_per_engine)
    if rollout.nnodes:
        _check_gpus(ROLLOUT, rollout, gpus_per_engine)


def _check_context(rollout: DictConfig) -> None:
    """Check that prompt and completion fit: verl cuts the completion off at the limit."""
    needed, limit = rollout.prompt_length + rollout.response_length, rollout.max_model_len
    if limit and needed > limit:
        raise ValueError(
            f"{ROLLOUT}.max_model_len: expected at least {needed}, data.max_prompt_length + data.max_response_length"
            f" ({rollout.prompt_length} + {rollout.response_length}), got {limit}, at which verl cuts completions off;"
            f" set it to {needed}, or lower one of the two"
        )


def _check_batched_tokens(rollout: DictConfig) -> None:
    """Check that a sequence fits into a batch: verl 0.9 would raise the limit, but fails at its own frozen field."""
    tokens, longest = rollout.max_num_batched_tokens, rollout.max_model_len
    if rollout.name == "vllm" and not rollout.enable_chunked_prefill and longest and tokens < longest:
        raise ValueError(
            f"{ROLLOUT}.max_num_batched_tokens: expected at least max_model_len without enable_chunked_prefill,"
            f" {longest}, got {tokens}; set it to {longest}"
        )


def _check_gpus(where: str, place: DictConfig, gpus_per_engine: int) -> None:
    """Check that engines fill the nodes: verl asserts a part of it after minutes, and places the rest wrongly."""
    nodes, gpus = place.nnodes, place.n_gpus_per_node
    within_nodes = gpus % gpus_per_engine == 0
    across_nodes = gpus_per_engine % gpus == 0 and nodes * gpus % gpus_per_engine == 0
    if not within_nodes and not across_nodes:
        got = f"{gpus} on {nodes} node{'s' if nodes > 1 else ''}"
        raise ValueError(
            f"{where}.n_gpus_per_node: expected a multiple of {gpus_per_engine}, the GPUs of a rollout engine"
            f" ({ROLLOUT}.tensor_model_parallel_size), got {got}; change one of the two"
        )
