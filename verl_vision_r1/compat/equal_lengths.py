"""verl #7899, verl 0.9 and 0.10.0.dev, any vision-language model, trainer V1.

If all sequences of a rank's batch have the same length, torch treats the first axis of the (C, L) M-RoPE ids as the
ragged one, but verl's `maybe_fix_3d_position_ids` marks the second: the next `unbind` raises. It can happen in any
run, after hours.

https://github.com/verl-project/verl/issues/7899. Remove when https://github.com/verl-project/verl/pull/7901 or an
equivalent fix is released.
"""

from types import ModuleType
from typing import Any, Final

import torch

from verl_vision_r1.compat.workaround import Workaround


def needed(module: ModuleType) -> bool:
    """Whether a batch of two sequences of the same length cannot be taken apart after verl's fix."""
    from tensordict import TensorDict

    ids = torch.nested.as_nested_tensor([torch.zeros(4, 5, dtype=torch.long)] * 2, layout=torch.jagged)
    data = TensorDict({"position_ids": ids}, batch_size=[2])
    module.maybe_fix_3d_position_ids(data)
    try:
        data["position_ids"].unbind()
    except RuntimeError:
        return True
    return False


def patch(module: ModuleType) -> None:
    """Replace verl's fix."""
    module.maybe_fix_3d_position_ids = fix_position_ids  # type: ignore[attr-defined]


def fix_position_ids(data: Any) -> None:
    """Make the nested `position_ids` of a batch ragged along the sequence, whatever axis torch chose.

    Args:
        data: A TensorDict. Its `position_ids`, if nested, contain B samples of shape (C, L_b), C = 3 or 4.
    """
    ids = data["position_ids"] if "position_ids" in data.keys() else None  # noqa: SIM118, a TensorDict is no dict
    if ids is None or not ids.is_nested or ids.dim() != 3:
        return
    values, offsets = ids.values(), ids.offsets()
    samples = len(offsets) - 1
    channels = values.shape[0] // samples
    by_channel = channels >= 3 and torch.equal(offsets, torch.arange(samples + 1, device=offsets.device) * channels)
    if not by_channel:
        ids._ragged_idx = 2  # Already ragged along the sequence; pickling loses the index of the axis.
        return
    length = values.shape[1]
    joined = values.reshape(samples, channels, length).transpose(0, 1).reshape(channels, samples * length)
    ends = torch.arange(samples + 1, device=offsets.device) * length
    data["position_ids"] = torch.nested.nested_tensor_from_jagged(joined, offsets=ends, jagged_dim=2)


WORKAROUND: Final = Workaround(
    "sequences of equal length", 7899, ">=0.9,<0.11", "verl.utils.tensordict_utils", needed, patch
)
