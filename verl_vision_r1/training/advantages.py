"""Advantages by criterion: each is normalised within its group, then they are summed (GDPO, arXiv 2601.05242).

If the sum is normalised as a whole, the criterion with the largest variance dominates. Select it with
`algorithm.adv_estimator=vision_r1_gdpo`, `algorithm.gdpo_reward_keys=[format,recall,precision]` and, for unequal
weights, `algorithm.gdpo_reward_weights`. verl's own estimator `gdpo` fails in its V1 trainer: `_compute_advantage`
fetches a fixed list of fields that includes neither the reward's keys nor the attention mask.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from verl.trainer.ppo.core_algos import compute_gdpo_outcome_advantage, register_adv_est

Columns = dict[str, NDArray[np.float32]]

_criteria: ContextVar[Columns | None] = ContextVar("criteria", default=None)
"""Criteria of the current batch: verl passes an estimator only tensors and the configuration."""


@contextmanager
def criteria_of_the_batch(extras: Sequence[Mapping[str, float | str]]) -> Iterator[None]:
    """Make each sample's `reward_extra_info` available to the estimator."""
    keys = [key for key, value in extras[0].items() if not isinstance(value, str)] if extras else []
    columns = {key: np.array([extra.get(key, 0.0) for extra in extras], dtype=np.float32) for key in keys}
    token = _criteria.set(columns)
    try:
        yield
    finally:
        _criteria.reset(token)


@register_adv_est("vision_r1_gdpo")  # type: ignore[untyped-decorator]
def compute_advantage_by_criterion(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: NDArray[np.object_],
    config: Any = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Verl's GDPO on the criteria of the batch.

    Args:
        token_level_rewards: (B, L); only the shape is used.
        response_mask: (B, L), 1 for response tokens, left-aligned.
        index: (B,) group of each sample.
        config: `algorithm`, with `gdpo_reward_keys` and optionally `gdpo_reward_weights`.
        kwargs: Other arguments of verl, unused.

    Returns:
        (B, L) advantages and returns, which are equal.

    Raises:
        ValueError: The trainer mode is not one of ours, or a key is not a key of the reward.

    Source:
        GDPO (arXiv 2601.05242), as implemented in verl's `compute_gdpo_outcome_advantage`.
    """
    columns, keys = _criteria.get(), list((config or {}).get("gdpo_reward_keys") or ())
    if columns is None:
        raise ValueError("trainer.v1.trainer_mode: expected a mode that begins with vision_r1_ for vision_r1_gdpo")
    if not keys or not set(keys) <= columns.keys():
        raise ValueError(f"algorithm.gdpo_reward_keys: expected some of {', '.join(sorted(columns))}, got {keys}")
    advantages: tuple[torch.Tensor, torch.Tensor] = compute_gdpo_outcome_advantage(
        token_level_rewards=token_level_rewards,
        response_mask=response_mask,
        index=index,
        config=config,
        non_tensor_batch=columns,
        # Only used to find the end of each response.
        batch={"prompts": response_mask[:, :0], "attention_mask": response_mask},
    )
    return advantages
