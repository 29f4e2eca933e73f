"""Faults of verl that would stop our users, mended until upstream does. Each names its thread and its end.

A test for each fails once upstream no longer needs it.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import wrapt


def apply() -> None:
    """Apply all of them, once for each process, before verl's workers are imported."""
    _mend_equally_long_position_ids()
    for family in ("qwen2_vl", "glm4v"):
        wrapt.register_post_import_hook(_mend_vision_output, f"verl.models.transformers.{family}")
    wrapt.register_post_import_hook(_mend_operations_of_glm, "verl.utils.flops_counter")


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


def _mend_vision_output(module: ModuleType) -> None:
    """https://github.com/verl-project/verl/issues/6814, verl 0.9.0 and 0.9.1 with transformers 5.

    The vision tower gives an object there, which verl takes for the tensor. GLM-4.1V never trains. Qwen2-VL and
    Qwen2.5-VL stop at a micro-batch without an image: such a one comes up, in any run and after hours, when verl fills
    up a batch that lost a prompt (`trainer/ppo/padding_utils.py`).

    verl's main branch unpacks it (seen at commit 0c63411). Goes with the first release that does.
    """
    module._get_input_embeds = with_tensor_of_the_vision_tower(module._get_input_embeds)  # type: ignore[attr-defined]


def with_tensor_of_the_vision_tower(embed: Callable[..., Any]) -> Callable[..., Any]:
    """Have the vision tower return the tensor alone while `embed` runs.

    Args:
        embed: Takes a model first, and calls its `visual`.
    """

    def mended(model: Any, *arguments: Any, **options: Any) -> Any:
        with model.visual.register_forward_hook(lambda tower, given, output: getattr(output, "pooler_output", output)):
            return embed(model, *arguments, **options)

    return mended


def _mend_operations_of_glm(module: ModuleType) -> None:
    """https://github.com/verl-project/verl/issues/6814, verl 0.9.0 and 0.9.1 with transformers 5.

    To count the operations of a step, verl looks in GLM-4.1V's configuration for sizes that its part for text holds.
    """
    count = module.ESTIMATE_FUNC["glm4v"]
    module.ESTIMATE_FUNC["glm4v"] = lambda config, *arguments: count(config.get_text_config(), *arguments)
