"""Faults of verl that would stop our users, mended until upstream does. Each names its thread and its end.

A test for each fails once upstream no longer needs it.
"""

from typing import Any

import torch


def apply() -> None:
    """Apply all of them, once for each process, before verl's workers are imported."""
    _mend_equally_long_position_ids()


def _mend_equally_long_position_ids() -> None:
    """https://github.com/verl-project/verl/issues/7899, verl 0.9.0 and 0.9.1, any vision-language model, trainer V1.

    Where all sequences of a rank's batch are equally long, torch takes the first axis of the (C, L) M-RoPE ids for the
    ragged one, and verl's `maybe_fix_3d_position_ids` then labels the second axis as ragged all the same: the next
    `unbind` dies. It can hit any run, after hours.

    Goes when https://github.com/verl-project/verl/pull/7901 or the like is released.
    """
    from verl.utils import tensordict_utils

    tensordict_utils.maybe_fix_3d_position_ids = fix_position_ids


def fix_position_ids(data: Any) -> None:
    """Make the nested `position_ids` of a batch ragged along the sequence, whichever way torch laid them out.

    Args:
        data: A TensorDict. Its `position_ids`, if nested, hold B samples of shape (C, L_b), C = 3 or 4.
    """
    ids = data["position_ids"] if "position_ids" in data.keys() else None  # noqa: SIM118, a TensorDict is no dict
    if ids is None or not ids.is_nested or ids.dim() != 3:
        return
    values, offsets = ids.values(), ids.offsets()
    samples = len(offsets) - 1
    channels = values.shape[0] // samples
    by_channel = channels >= 3 and torch.equal(offsets, torch.arange(samples + 1, device=offsets.device) * channels)
    if not by_channel:
        ids._ragged_idx = 2  # Ragged along the sequence already; pickling alone forgets which axis that is.
        return
    length = values.shape[1]
    joined = values.reshape(samples, channels, length).transpose(0, 1).reshape(channels, samples * length)
    ends = torch.arange(samples + 1, device=offsets.device) * length
    data["position_ids"] = torch.nested.nested_tensor_from_jagged(joined, offsets=ends, jagged_dim=2)
